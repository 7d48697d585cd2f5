"""Models of earlier versions are served: an upgrade of the service needs no training."""

from pathlib import Path

import pytest

from models.archive import unpack
from models.repository import ModelRepository
from service.registry.registry import Registry
from tests.conftest import ROOT

ARCHIVES = sorted((ROOT / "tests/models/cards").glob("*.tar.gz"))


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.name)
def test_a_model_of_an_earlier_version_answers_as_it_did(archive: Path, tmp_path: Path) -> None:
    """It passes the checks of today, and its golden rows have the probabilities that training gave them."""
    repository = ModelRepository(tmp_path)
    repository.add(unpack(archive.read_bytes(), archive.name))
    registry = Registry(repository)
    registry.refresh()

    assert registry.predictor("penguins").version == 1
    assert len(registry.predictor("penguins").card.golden) > 0
