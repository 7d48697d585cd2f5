"""A card that is right in every part, without any trainer."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from models.card import FrozenStatistics, GoldenRow, Metrics, ModelCard, Provenance
from models.features import CategoricalFeature, NumericFeature
from models.repository import ModelRepository


@pytest.fixture
def card() -> ModelCard:
    return ModelCard(
        name="tides",
        features=(
            NumericFeature(name="height-m", nullable=True, minimum=0.5, maximum=7.25),
            CategoricalFeature(name="__class__", nullable=False, categories=("ebb", "flow")),
        ),
        classes=("<=50K", "naïve, “quoted”"),
        metrics={"test": Metrics(rows=10, log_loss=0.5, accuracy=0.9)},
        provenance=Provenance(
            created=datetime(2026, 11, 21, tzinfo=UTC),
            evenkeel="0.1.0",
            python="3.11.7",
            libraries={},
            table="tides.csv",
            table_sha256="0" * 64,
            target="class",
            rows_without_target=0,
            settings={},
        ),
        frozen_statistics=(
            FrozenStatistics(source="running", epsilon=1e-5, ewma_decay=0.9, largest_shift=0.0, layers=()),
        ),
        golden=(GoldenRow(instance={"height-m": None, "__class__": "ebb"}, probabilities=(0.25, 0.75)),),
    )


@pytest.fixture
def repository(tmp_path: Path) -> ModelRepository:
    return ModelRepository(tmp_path / "store")
