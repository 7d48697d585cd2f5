"""Rows with every kind of cell, and a job that has run once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from models.repository import ModelRepository
from tests.trainer.long_tables import HEADER, lines
from tests.trainer.tables import PLAIN, fit
from trainer.data.rows import Examples
from trainer.data.table import read_table
from trainer.job.job import run
from trainer.job.publishing import Outcome
from trainer.settings.config import TrainingConfig


@pytest.fixture(scope="session")
def examples(penguins: Path) -> Examples:
    return read_table(penguins, "species").examples


@pytest.fixture(scope="session")
def outcome(penguins: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The example, trained for a moment with the other defaults."""
    config = TrainingConfig.of(table=penguins, target="species", name="penguins", epochs=20, members=2)
    return run(config, ModelRepository(tmp_path_factory.mktemp("store")))


@pytest.fixture
def table(tmp_path: Path) -> Callable[[str | bytes], Path]:
    """Write a table and return its path."""

    def write(content: str | bytes) -> Path:
        path = tmp_path / "table.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository that holds the model of the plain table, by the name of `plain`."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "plain.csv").write_text(PLAIN)
    assert fit(folder / "plain.csv", folder / "store", name="plain") == 0
    return folder / "store"


@pytest.fixture(scope="session")
def content() -> str:
    """The rows of a table that is longer than its memory, as CSV."""
    return HEADER + "".join(lines())
