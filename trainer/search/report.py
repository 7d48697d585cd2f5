"""The report."""

from pathlib import Path

from trainer.search.plan import Trials
from trainer.search.search import Search


def write(path: Path, search: Search, trials: Trials) -> None: ...
