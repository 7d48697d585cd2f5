from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.repository import ModelRepository
from trainer.data.rows import Examples
from trainer.export.gate import check_export
from trainer.export.graph import to_onnx
from trainer.job.job import run
from trainer.job.publishing import Outcome
from trainer.nn.architecture import Architecture, build_network
from trainer.nn.calibrator import Calibrator
from trainer.nn.loss import softmax
from trainer.settings.config import TrainingConfig
from trainer.training.calibration import (
    calibrate,
    calibration_error,
    fit_calibrator,
    reliability,
    warning,
)
from trainer.training.records import Encoded


@pytest.mark.parametrize("truth", [0.5, 1.0, 2.0])
def test_the_temperature_is_found(truth: float) -> None:
    """Labels are drawn from softmax(logits / T): of 20 000 rows T is found within 5 %."""
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=2.0, size=(20_000, 3))
    labels = (softmax(logits / truth).cumsum(axis=1) > rng.uniform(size=(20_000, 1))).argmax(axis=1)

    assert fit_calibrator(logits, labels).temperature == pytest.approx(truth, rel=0.05)


def test_the_biases_are_found() -> None:
    """A class that is likelier than its logit says, and one that is less likely; only differences mean anything."""
    rng = np.random.default_rng(0)
    logits, truth = rng.normal(scale=2.0, size=(20_000, 3)), np.array([0.5, 0.0, -0.5])
    labels = (softmax(logits + truth).cumsum(axis=1) > rng.uniform(size=(20_000, 1))).argmax(axis=1)
    fitted = fit_calibrator(logits, labels)

    np.testing.assert_allclose(fitted.bias - fitted.bias.mean(), truth, atol=0.05)
    assert fitted.temperature == pytest.approx(1.0, rel=0.05)


def test_no_other_calibrator_is_better() -> None:
    """The penalised loss at what was found is below that at any of its neighbours."""
    rng = np.random.default_rng(2)
    logits, labels = rng.normal(scale=3.0, size=(200, 4)), rng.integers(4, size=200)
    fitted = fit_calibrator(logits, labels)

    def loss(temperature: float, bias: np.ndarray) -> float:
        shifted = softmax(logits / temperature + bias)
        penalty = np.log(temperature) ** 2 + bias @ bias
        return float(-np.log(shifted[np.arange(200), labels]).sum() + penalty / (2 * 0.5**2))

    lowest = loss(fitted.temperature, fitted.bias)
    for nudge in (-0.01, 0.01):
        assert loss(fitted.temperature * (1 + nudge), fitted.bias) > lowest
        for unit in np.eye(4):
            assert loss(fitted.temperature, fitted.bias + nudge * unit) > lowest


def test_few_rows_do_not_move_the_temperature_far() -> None:
    """Ten rows that are all right say little: without the penalty T would be zero."""
    logits = np.tile([4.0, 0.0], (10, 1))

    fitted = fit_calibrator(logits, np.zeros(10, np.int64))

    assert 0.8 < fitted.temperature < 1.0
    assert np.abs(fitted.bias).max() < 0.1


def test_a_weight_counts_a_row_so_many_times() -> None:
    """Weight 3 is the row three times."""
    rng = np.random.default_rng(1)
    logits, labels, counts = rng.normal(size=(30, 3)), rng.integers(3, size=30), rng.integers(1, 4, 30)
    weighted = fit_calibrator(logits, labels, counts.astype(np.float64))
    repeated = fit_calibrator(np.repeat(logits, counts, axis=0), np.repeat(labels, counts))

    assert weighted.temperature == pytest.approx(repeated.temperature)
    np.testing.assert_allclose(weighted.bias, repeated.bias, rtol=1e-5)


def test_reliability_by_hand() -> None:
    """Two rows at 0.8, one of them wrong.

    Log-loss (-ln 0.8 - ln 0.2) / 2 = 0.916, Brier (0.08 + 1.28) / 2 = 0.68, calibration error |0.8 - 0.5| = 0.3.
    """
    measured = reliability(np.array([[0.8, 0.2], [0.8, 0.2]]), np.array([0, 1]))

    assert (measured.log_loss, measured.brier, measured.ece) == pytest.approx((0.916, 0.68, 0.3), abs=1e-3)


def test_bins_do_not_cancel() -> None:
    """Overconfidence at 0.9 is not made good by underconfidence at 0.6."""
    confidence, right = np.repeat([0.9, 0.6], 10), np.repeat([False, True], 10)

    assert calibration_error(confidence, right) == pytest.approx((0.9 + 0.4) / 2)


def test_the_calibrator_is_in_the_graph(outcome: Outcome, examples: Examples) -> None:
    """The graph divides the logits by the temperature, adds the biases, and still answers as the network does."""
    warm = replace(outcome.classifier, calibrator=Calibrator(3.0, np.array([0.5, 0.0, -0.5], np.float32)))
    idle = replace(outcome.classifier, calibrator=Calibrator.idle(3))
    model = to_onnx(warm, {})

    assert check_export(model, warm, examples.rows, np.random.default_rng(0)) <= 1e-5
    assert warm.predict(examples.rows).max(axis=1).mean() < idle.predict(examples.rows).max(axis=1).mean()
    assert warm.predict(examples.rows)[:, 0].mean() > idle.predict(examples.rows)[:, 0].mean()


def test_an_overconfident_network_is_made_honest() -> None:
    """Its logits three times too large: a temperature near 3, a lower log-loss and calibration error, and a warning."""
    rng = np.random.default_rng(0)
    network = build_network(Architecture(2, (), 2), rng)
    network.values[:] = [6, -6, 0, 0, 0, 0]
    inputs = rng.normal(size=(4000, 2)).astype(np.float32)
    labels = (rng.uniform(size=4000) > 1 / (1 + np.exp(-4 * inputs[:, 0]))).astype(np.int64)
    calibrator = calibrate([(network, Encoded(inputs, labels))])
    logits = network.logits(inputs)
    before, after = (
        reliability(each.probabilities(logits.copy()), labels) for each in (Calibrator.idle(2), calibrator)
    )

    assert calibrator.temperature == pytest.approx(3, rel=0.1)
    assert after.log_loss < before.log_loss
    assert after.ece < before.ece / 2
    assert "overconfident" in (warning(calibrator.temperature) or "")


def test_an_ordinary_temperature_is_no_warning() -> None:
    """Within half as much again, in either direction."""
    assert warning(1.2) is None
    assert warning(0.7) is None
    assert "underconfident" in (warning(0.5) or "")


def test_the_card_tells_what_the_temperature_did(penguins: Path, tmp_path: Path) -> None:
    """Log-loss, Brier score and calibration error of the test rows, before and after."""
    config = TrainingConfig.of(table=penguins, target="species", name="penguins", epochs=20, members=2, distil=False)
    outcome = run(config, ModelRepository(tmp_path), with_report=False)
    calibration = outcome.card.calibration

    assert calibration is not None
    assert calibration.temperature == outcome.classifier.calibrator.temperature
    assert calibration.after.log_loss == pytest.approx(outcome.card.metrics["test"].log_loss)
    assert calibration.before != calibration.after


def test_weights_count_in_what_is_reported() -> None:
    """Weight 3 is the row three times, in every figure."""
    rng = np.random.default_rng(3)
    probabilities, labels = softmax(rng.normal(size=(40, 3))), rng.integers(3, size=40)
    counts = rng.integers(1, 5, 40)
    weighted = reliability(probabilities, labels, counts.astype(np.float32))
    repeated = reliability(np.repeat(probabilities, counts, axis=0), np.repeat(labels, counts))

    assert weighted.model_dump() == pytest.approx(repeated.model_dump())


def test_the_cards_calibration_and_its_metrics_are_of_the_same_rows(penguins: Path, tmp_path: Path) -> None:
    """With weights as well: the log-loss after calibration is that of the test rows."""
    config = TrainingConfig.of(
        table=penguins, target="species", name="m", weight="body_mass_g", epochs=2, members=1, compiled=False
    )
    lines = penguins.read_text().splitlines()
    (tmp_path / "t.csv").write_text("\n".join(line for line in lines if ",NA," not in line and ",," not in line))
    card = run(config.model_copy(update={"table": tmp_path / "t.csv"}), ModelRepository(tmp_path / "store")).card

    assert card.calibration is not None
    assert card.calibration.after.log_loss == pytest.approx(card.metrics["test"].log_loss, rel=1e-6)
