"""Versions with a report: the example with a bag, and a table of two classes with a threshold."""

from pathlib import Path

import pytest

from models.card import ModelCard
from models.figures import Figures, figures_of
from models.repository import ModelRepository
from trainer.command_line import main

TWO = "a,b,c,y\n" + "".join(
    f"{row * 37 % 101},{'xyz'[row % 3]},{row % 7 or ''},{['no', 'yes'][row * 37 % 101 > 60 - row % 9]}\n"
    for row in range(400)
)


@pytest.fixture(scope="session")
def store(penguins: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The penguins with a bag of two, and `two`, which has two classes."""
    folder = tmp_path_factory.mktemp("reports")
    (folder / "two.csv").write_text(TWO)
    to = ["--repository", str(folder / "store"), "--epochs", "12"]
    assert main(["fit", str(penguins), "--target", "species", "--name", "penguins", "--members", "2", *to]) == 0
    looks_for = ["--positive", "yes", "--threshold", "f1", "--members", "1"]
    assert main(["fit", str(folder / "two.csv"), "--target", "y", "--name", "two", *looks_for, *to]) == 0
    return folder / "store"


@pytest.fixture(scope="session")
def two(store: Path) -> tuple[ModelCard, Figures]:
    repository = ModelRepository(store)
    figures = figures_of(repository, "two", 1)
    assert figures is not None
    return repository.card("two", 1), figures
