from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.repository import ModelRepository
from trainer.data.split import split
from trainer.data.table import read_table
from trainer.errors import ExportMismatch
from trainer.export.graph import to_onnx
from trainer.fitting.start import generator
from trainer.fitting.trained_classifier import TrainedClassifier
from trainer.job.job import run
from trainer.job.publishing import Outcome
from trainer.nn.calibrator import Calibrator
from trainer.settings.config import TrainingConfig


def train(table: Path, root: Path, target: str = "species", **settings: object) -> tuple[Outcome, bytes]:
    repository = ModelRepository(root)
    config = TrainingConfig.of(table=table, target=target, name="model", **({"members": 2} | settings))
    outcome = run(config, repository)
    return outcome, repository.read("model", outcome.version).onnx


def test_one_seed_is_one_file(penguins: Path, tmp_path: Path) -> None:
    """The same seed gives a byte-identical model.onnx, in another repository and at another time."""
    first, again, other = (
        train(penguins, tmp_path / str(index), seed=seed, epochs=5)[1] for index, seed in enumerate((7, 7, 8))
    )

    assert first == again
    assert first != other


def test_nothing_of_the_test_rows_reaches_the_model(penguins: Path, tmp_path: Path) -> None:
    """Scaling, imputation, categories and weights are the same whatever stands in the test part."""
    first, _ = train(penguins, tmp_path / "first", epochs=2)
    examples = read_table(penguins, "species").examples
    splitting = generator(0, 0)
    test_rows = set(split(examples, 0.2, 0.2, splitting).test.tolist())
    header, *lines = penguins.read_text().splitlines()
    spoilt = [
        f"{line.split(',')[0]},Bouvet,999,999,999,9999,male,1999" if row in test_rows else line
        for row, line in enumerate(lines)
    ]
    table = tmp_path / "spoilt.csv"
    table.write_text("\n".join([header, *spoilt]))
    second, _ = train(table, tmp_path / "second", epochs=2)

    assert len(test_rows) == first.card.metrics["test"].rows
    assert np.array_equal(first.classifier.networks[0].values, second.classifier.networks[0].values)
    assert first.classifier.encoder.categories == second.classifier.encoder.categories
    scaled = [each.classifier.encoder.scaling.apply(examples.rows.numeric) for each in (first, second)]
    assert np.array_equal(scaled[0], scaled[1], equal_nan=True)
    assert first.card.metrics["test"] != second.card.metrics["test"]


def test_a_graph_that_answers_otherwise_is_not_published(
    penguins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gate stands before the repository."""

    def mistaken(classifier: TrainedClassifier, *more: Any) -> bytes:
        return to_onnx(replace(classifier, calibrator=Calibrator(1.1, classifier.calibrator.bias)), *more)

    monkeypatch.setattr("trainer.job.trained.to_onnx", mistaken)
    with pytest.raises(ExportMismatch):
        train(penguins, tmp_path / "store", epochs=2)
    assert not (tmp_path / "store").exists()


def test_running_and_population_statistics_are_both_on_the_card(outcome: Outcome) -> None:
    """Running ones are frozen; the pass over the training rows says how far they are from the truth."""
    frozen = outcome.card.frozen_statistics[0]

    assert frozen.source == "running"
    assert [len(layer.running.mean) for layer in frozen.layers] == [256, 256]
    shifts = [
        np.abs(np.subtract(layer.running.mean, layer.population.mean))
        / np.sqrt(np.add(layer.population.variance, 1e-5))
        for layer in frozen.layers
    ]
    assert frozen.largest_shift == pytest.approx(np.max(shifts))
    assert 0 < frozen.largest_shift < 0.5


def test_golden_rows_are_the_networks_own_answers(outcome: Outcome) -> None:
    """Eight test rows, and one with everything missing that may be missing: all, where no schema requires it."""
    golden = outcome.card.golden

    assert len(golden) == 9
    assert [name for name, value in golden[-1].instance.items() if value is not None] == []
    assert all(sum(row.probabilities) == pytest.approx(1) for row in golden)


@pytest.mark.parametrize("hidden", [(), (1,), (5, 4, 3)])
def test_any_depth_trains_and_exports(penguins: Path, tmp_path: Path, hidden: tuple[int, ...]) -> None:
    """Softmax regression included."""
    outcome, _ = train(penguins, tmp_path, hidden=hidden, epochs=3)

    assert len(outcome.card.frozen_statistics[0].layers) == len(hidden)


@pytest.mark.parametrize("columns", ["numbers", "texts", "nothing but missing"])
def test_any_mix_of_columns_trains_and_exports(table: Callable[[str], Path], tmp_path: Path, columns: str) -> None:
    """All numeric, all categorical, or a column without a single value."""
    cells = {
        "numbers": lambda n: f"{n},{n * n}",
        "texts": lambda n: f"a{n % 3},b{n % 2}",
        "nothing but missing": lambda n: f",{n}",
    }
    lines = [f"{cells[columns](n)},{'even' if n % 2 else 'odd'}" for n in range(40)]
    outcome, _ = train(table("x,z,y\n" + "\n".join(lines)), tmp_path / "store", target="y", epochs=3)

    assert outcome.difference <= 1e-5


@pytest.mark.parametrize("rows", [10, 33, 107, 108, 109])
def test_no_size_of_table_leaves_a_batch_of_one_row(table: Callable[[str], Path], tmp_path: Path, rows: int) -> None:
    """Ten rows, and row counts around a multiple of the batch size."""
    lines = [f"{n},{'even' if n % 2 else 'odd'}" for n in range(rows)]
    outcome, _ = train(table("x,y\n" + "\n".join(lines)), tmp_path / "store", target="y", epochs=2)

    assert np.isfinite(outcome.card.metrics["test"].log_loss)
