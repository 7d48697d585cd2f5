r"""A service in one process over a real published model, and no trainer.

`published` holds one version as the trainer wrote it, so the service is held to the contract on disk, also by an
environment that cannot train. To renew it after a change of the contract, remove the folder and run

    python -m trainer fit examples/penguins.csv --target species --name penguins --hidden 8 \
        --repository tests/service/published

`numbers` holds a model of two numeric features only, made with `--name plain --hidden 4` and
`--drop` of every column but species, bill_length_mm and body_mass_g. `sets` holds one with prediction sets, made with
`--hidden 8 --members 1 --epochs 10 --coverage 0.95 --no-report`.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from models.card import ModelCard
from models.repository import ModelRepository
from service.app import create_app
from service.prediction.prediction import Bounds
from service.registry.registry import Registry

PUBLISHED = Path(__file__).parent / "published"
NUMBERS = Path(__file__).parent / "numbers"
SETS = Path(__file__).parent / "sets"
LIMIT = 4096

GENTOO = {
    "island": "Biscoe",
    "bill_length_mm": 45.1,
    "bill_depth_mm": 14.5,
    "flipper_length_mm": 215,
    "body_mass_g": 5000,
    "sex": "female",
    "year": 2007,
}


def with_codes(card: ModelCard, name: str, codes: tuple[float, ...]) -> list[dict[str, Any]]:
    """The features of a card, one of which training took for categories."""
    features = [feature.model_dump() for feature in card.features]
    return [feature | ({"codes": codes} if feature["name"] == name else {}) for feature in features]


@pytest.fixture
def repository(tmp_path: Path) -> ModelRepository:
    """A copy of the published model that a test may change."""
    return ModelRepository(Path(shutil.copytree(PUBLISHED, tmp_path / "store")))


@pytest.fixture
def publish(repository: ModelRepository) -> Callable[..., int]:
    """Publish the model once more, with parts of its card replaced."""

    def again(onnx: bytes | None = None, **parts: object) -> int:
        model = repository.read("penguins", 1)
        card = ModelCard.model_validate(model.card.model_dump() | parts)
        return repository.publish(card, {"model.onnx": onnx or model.onnx})

    return again


@pytest.fixture
def registry(repository: ModelRepository) -> Registry:
    registry = Registry(repository)
    registry.refresh()
    return registry


@pytest.fixture
def client(registry: Registry) -> FlaskClient:
    return create_app(registry, Bounds(LIMIT)).test_client()


@pytest.fixture
def numeric_client() -> FlaskClient:
    """A service of a model without categories."""
    registry = Registry(ModelRepository(NUMBERS))
    registry.refresh()
    return create_app(registry, Bounds(LIMIT)).test_client()


@pytest.fixture
def record() -> dict[str, object]:
    """A Gentoo, as a client would send it."""
    return dict(GENTOO)
