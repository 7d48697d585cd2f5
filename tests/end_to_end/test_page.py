import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Service, train
from tests.service.conftest import PUBLISHED

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed"),
]

QUIET = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update", "--disable-sync"]
FLAGS = ["--headless", "--no-sandbox", "--disable-background-networking", *QUIET]


def seen_by_a_browser(url: str, profile: Path) -> str:
    command = ["chromium", *FLAGS, "--virtual-time-budget=4000", "--dump-dom", f"--user-data-dir={profile}", url]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def test_the_page_asks_the_model_and_shows_its_answer(
    penguins: Path, tmp_path: Path, serve: Callable[..., Service]
) -> None:
    """A real browser opens it: the form is filled with an example, the bars with the model's probabilities."""
    train(penguins, tmp_path / "store", "--target", "species", "--name", "penguins")
    service = serve(tmp_path / "store")
    service.wait()
    page = seen_by_a_browser(service.url, tmp_path / "profile")
    _, models = service.ask("/v1/models/penguins")
    golden = models["card"]["golden"][0]
    label = models["classes"][golden["probabilities"].index(max(golden["probabilities"]))]

    assert f'<output class="label">{label}</output>' in page
    assert re.search(rf'<li data-class="{label}"[^>]* class="first"', page)
    assert f"curl {service.url}/v1/models/penguins:predict" in page


def test_the_docs_page_shows_every_operation(tmp_path: Path, serve: Callable[..., Service]) -> None:
    """A real browser opens it, without the internet: each operation with its schema and its example."""
    service = serve(PUBLISHED)
    service.wait()
    page = seen_by_a_browser(f"{service.url}/docs", tmp_path / "profile")
    _, described = service.ask("/openapi.json")

    assert page.count('class="path">/') == sum(len(methods) for methods in described["paths"].values())
    assert ">bill_length_mm</code>" in page


def test_the_page_waits_for_the_first_model(tmp_path: Path, serve: Callable[..., Service]) -> None:
    """It says how to publish one."""
    service = serve(tmp_path)
    service.wait("/v2/health/live")

    assert "evenkeel fit" in seen_by_a_browser(service.url, tmp_path / "profile")
