"""What the command `drift` prints of a real service."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from evenkeel.command_line import main
from models.repository import ModelRepository
from tests.conftest import find_free_port
from tests.end_to_end.conftest import Service, running
from tests.evenkeel.conftest import Ended
from tests.service.conftest import PUBLISHED

KEY = "k" * 40
Drift = Callable[..., Ended]


@pytest.fixture
def drift(capsys: pytest.CaptureFixture[str]) -> Drift:
    """Run the command as the console does."""

    def run(*arguments: object) -> Ended:
        capsys.readouterr()
        code = main(["drift", *map(str, arguments)])
        return Ended(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with running(PUBLISHED, find_free_port()) as service:
        service.wait()
        yield service


def test_it_prints_what_the_service_tells(drift: Drift, service: Service) -> None:
    """The one status, and both windows with the furthest features first, in a table of 80 columns."""
    record: dict[str, Any] = dict(ModelRepository(PUBLISHED).card("penguins", 1).golden[0].instance)
    before = drift("penguins", "--url", service.url)
    service.ask("/predict", {"instances": [record | {"island": "Elsewhere"}] * 300})
    ended = drift("penguins", "1", "--url", service.url)
    told = service.ask("/v1/models/penguins/drift")[1]

    assert (before.code, before.err) == (0, "")
    assert before.out.splitlines()[1].startswith("too few rows: 0 in the last day")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[:2] == ["penguins version 1, 275 training rows", told["summary"]]
    assert lines[3] == "last hour: 256 rows"
    island = next(line for line in lines if line.startswith("  island"))
    measure = next(one for one in told["features"] if one["feature"] == "island")["windows"][0]
    cells = ["island", "shifted", f"{measure['band']:.3f}", "0.0%", "100.0%", f"{measure['psi']:.3f}"]
    assert island.split()[:6] == cells
    assert max(map(len, lines[2:])) <= 80


def test_what_it_cannot_tell_it_says(drift: Drift, service: Service, free_port: int) -> None:
    """No such model, no service there."""
    ended = drift("nowhere", "--url", service.url)
    assert ended.code == 65
    assert "GET /v1/models lists penguins (404)" in ended.err
    ended = drift("penguins", "--url", f"http://127.0.0.1:{free_port}")
    assert ended.code == 74
    assert "is it running there?" in ended.err


def test_it_needs_the_key_of_the_metrics(drift: Drift, tmp_path: Path) -> None:
    """The rows of all clients are none of the business of one that may only predict."""
    (tmp_path / "keys").write_text(f"predict,metrics {KEY}\npredict {KEY[1:]}p\n")
    keys = {"good": KEY, "bad": f"{KEY[1:]}p"}
    with running(PUBLISHED, find_free_port(), EVENKEEL_API_KEYS_FILE=str(tmp_path / "keys")) as service:
        service.wait()
        ended = {}
        for name, key in keys.items():
            (tmp_path / name).write_text(key)
            ended[name] = drift("penguins", "--url", service.url, "--key-file", tmp_path / name)

    assert ended["good"].code == 0
    assert ended["bad"].code == 65
    assert "(403)" in ended["bad"].err
