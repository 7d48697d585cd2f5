"""The page in a real browser, over a real service."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.end_to_end.browser import Tab, browsing
from tests.end_to_end.conftest import Service
from tests.service.conftest import PUBLISHED

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed"),
]


@pytest.fixture
def tab(tmp_path: Path) -> Iterator[Tab]:
    """A browser with one tab; nothing that a test opened raised an error."""
    with browsing(tmp_path / "profile") as tab:
        yield tab
        assert [error for error in tab.errors if ":explain" not in error] == []


def test_the_page_asks_the_model_and_shows_its_answer(tab: Tab, serve: Callable[..., Service]) -> None:
    """The form is filled with an example, the bars with the model's probabilities."""
    service = serve(PUBLISHED)
    service.wait()
    tab.open(service.url)
    _, models = service.ask("/v1/models/penguins")
    golden = models["card"]["golden"][0]
    label = models["classes"][golden["probabilities"].index(max(golden["probabilities"]))]

    tab.wait(f"document.querySelector('.verdict .label')?.textContent === '{label}'")
    assert tab.js(f"document.querySelector('.bars .first').dataset.class === '{label}'")
    assert tab.js("document.querySelectorAll('[data-feature]').length") == 7


def test_the_docs_page_shows_every_operation(tab: Tab, serve: Callable[..., Service]) -> None:
    """Without the internet: each operation with its schema and its example."""
    service = serve(PUBLISHED)
    service.wait()
    tab.open(f"{service.url}/docs")
    _, described = service.ask("/openapi.json")

    count = sum(len(methods) for methods in described["paths"].values())
    tab.wait(f"document.querySelectorAll('.operations .path').length === {count}")
    tab.js("[...document.querySelectorAll('summary')].find((one) => one.textContent.includes(':predict')).click()")
    tab.wait("[...document.querySelectorAll('.schema code')].some((one) => one.textContent === 'bill_length_mm')")


def test_the_page_waits_for_the_first_model(tab: Tab, tmp_path: Path, serve: Callable[..., Service]) -> None:
    """It says how to publish one, and shows it once it is there."""
    (tmp_path / "store").mkdir()
    service = serve(tmp_path / "store")
    service.wait("/v2/health/live")
    tab.open(service.url)
    tab.wait("document.querySelector('main pre')?.textContent.includes('evenkeel fit')")

    shutil.copytree(PUBLISHED / "penguins", tmp_path / "penguins")
    (tmp_path / "penguins").rename(tmp_path / "store" / "penguins")
    tab.wait("document.querySelectorAll('[data-feature]').length === 7")
    # What was asked for before there was a model was refused.
    tab.errors.clear()
