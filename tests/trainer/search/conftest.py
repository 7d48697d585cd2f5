"""Searches on the example table, small enough to run in a blink."""

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="the extra `search` is not installed")

from trainer.search.place import Place
from trainer.search.plan import Ending, Trial
from trainer.search.search import Request
from trainer.search.space import Values


@pytest.fixture
def request_for(penguins: Path, tmp_path: Path) -> Callable[..., Request]:
    """A request for a search on the penguins in a folder of its own; keywords change it, `given` adds flags."""

    def make(trials: int = 12, jobs: int = 1, address: str | None = None, **changes: object) -> Request:
        given = {"table": penguins, "target": "species", "name": "penguins", "epochs": 9, "hidden": (4,)}
        given |= changes.pop("given", {})  # type: ignore[operator]
        place = Place("penguins", tmp_path / str(changes.pop("folder", "study")), address)
        return Request(given, place, trials, jobs, **changes)  # type: ignore[arg-type]

    return make


def finished(
    index: int, log_losses: tuple[float, ...] = (1.0,), ending: Ending = "epochs", values: Values | None = None
) -> Trial:
    """A trial as it is remembered."""
    log_loss = float("inf") if ending == "diverged" else min(log_losses)
    return Trial(index, values or {}, ending, log_losses, (0.5,) * len(log_losses), log_loss, 0.1, "somebody")
