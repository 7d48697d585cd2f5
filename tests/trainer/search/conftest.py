"""Searches on the example table, small enough to run in a blink."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

pytest.importorskip("optuna", reason="the extra `search` is not installed")

from trainer.search.place import Place
from trainer.search.plan import Ending, Trial
from trainer.search.rows import share
from trainer.search.search import Request, Search, open_search
from trainer.search.space import Values
from trainer.search.worker import Order, run_trials


@pytest.fixture
def request_for(penguins: Path, tmp_path: Path) -> Callable[..., Request]:
    """A request for a search on the penguins in a folder of its own; keywords change it, `given` adds flags."""

    def make(
        trials: int = 12,
        jobs: int = 1,
        address: str | None = None,
        folder: str = "study",
        given: Mapping[str, object] = MappingProxyType({}),
        **changes: Any,
    ) -> Request:
        usual = {
            "table": penguins,
            "target": "species",
            "name": "penguins",
            "epochs": 9,
            "hidden": (4,),
            "members": 1,
            "compiled": False,
        }
        return Request({**usual, **given}, Place("penguins", tmp_path / folder, address), trials, jobs, **changes)

    return make


@pytest.fixture
def space_file(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "space.toml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def opened() -> Iterator[Callable[[Request], Search]]:
    """Open a search; it is closed after the test."""
    with ExitStack() as stack:
        yield lambda request: stack.enter_context(open_search(request))


@pytest.fixture
def searched(opened: Callable[[Request], Search]) -> Callable[[Request], Search]:
    """Open a search and let it run to its end, in this process."""

    def run(request: Request) -> Search:
        search = opened(request)
        with request.place.folder_of_rows() as folder:
            run_trials(Order.of(search, share(search.table, search.config, search.plan.box, folder)))
        return search

    return run


def outcomes(search: Search) -> list[Trial]:
    """The finished trials without what differs from run to run: the time and the process."""
    return [replace(trial, seconds=0.0, worker="") for trial in search.finished().values()]


def finished(
    index: int, log_losses: tuple[float, ...] = (1.0,), ending: Ending = "epochs", values: Values | None = None
) -> Trial:
    """A trial as it is remembered."""
    log_loss = float("inf") if ending == "diverged" else min(log_losses)
    return Trial(index, values or {}, ending, log_losses, (0.5,) * len(log_losses), log_loss, 0.1, "somebody")
