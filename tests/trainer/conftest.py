"""Rows with every kind of cell, and a job that has run once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from models.repository import ModelRepository
from trainer.config import TrainingConfig
from trainer.data.rows import Examples
from trainer.data.table import read_table
from trainer.job import Outcome, run


@pytest.fixture(scope="session")
def examples(penguins: Path) -> Examples:
    return read_table(penguins, "species").examples


@pytest.fixture(scope="session")
def outcome(penguins: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The example, trained with defaults."""
    config = TrainingConfig.of(table=penguins, target="species", name="penguins")
    return run(config, ModelRepository(tmp_path_factory.mktemp("store")))


@pytest.fixture
def table(tmp_path: Path) -> Callable[[str | bytes], Path]:
    """Write a table and return its path."""

    def write(content: str | bytes) -> Path:
        path = tmp_path / "table.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write
