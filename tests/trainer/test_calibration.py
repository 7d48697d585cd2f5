from dataclasses import replace

import numpy as np
import onnx
import pytest

from trainer.data.rows import Examples
from trainer.export.gate import check_export
from trainer.export.graph import to_onnx
from trainer.job import Outcome
from trainer.nn.architecture import Architecture, build_network
from trainer.nn.loss import softmax
from trainer.training.calibration import (
    calibrate,
    calibration_error,
    fit_temperature,
    reliability,
    warning,
)
from trainer.training.fit import Encoded


@pytest.mark.parametrize("truth", [0.5, 1.0, 2.0])
def test_the_temperature_is_found(truth: float) -> None:
    """Labels are drawn from softmax(logits / T): of 20 000 rows T is found within 5 %."""
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=2.0, size=(20_000, 3))
    labels = (softmax(logits / truth).cumsum(axis=1) > rng.uniform(size=(20_000, 1))).argmax(axis=1)

    assert fit_temperature(logits, labels) == pytest.approx(truth, rel=0.05)


def test_few_rows_do_not_move_the_temperature_far() -> None:
    """Ten rows that are all right say little: without the penalty T would be zero."""
    logits = np.tile([4.0, 0.0], (10, 1))

    assert 0.8 < fit_temperature(logits, np.zeros(10, np.int64)) < 1.0


def test_a_weight_counts_a_row_so_many_times() -> None:
    """Weight 3 is the row three times."""
    rng = np.random.default_rng(1)
    logits, labels, counts = rng.normal(size=(30, 3)), rng.integers(3, size=30), rng.integers(1, 4, 30)
    weighted = fit_temperature(logits, labels, counts.astype(np.float64))

    assert weighted == pytest.approx(fit_temperature(np.repeat(logits, counts, axis=0), np.repeat(labels, counts)))


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


def test_the_temperature_changes_no_label_and_is_in_the_graph(outcome: Outcome, examples: Examples) -> None:
    """The graph divides the logits by it and still answers as the network does."""
    cold, warm = (replace(outcome.classifier, temperature=temperature) for temperature in (1.0, 3.0))
    before, after = cold.predict(examples.rows), warm.predict(examples.rows)
    model = to_onnx(warm, {})
    difference = check_export(model, warm, examples.rows, np.random.default_rng(0))

    np.testing.assert_array_equal(before.argmax(axis=1), after.argmax(axis=1))
    assert after.max(axis=1).mean() < before.max(axis=1).mean()
    assert difference <= 1e-5
    assert any(node.name.endswith("calibrated") for node in onnx.load_from_string(model).graph.node)


def test_an_overconfident_network_is_made_honest() -> None:
    """Its logits three times too large: a temperature near 3, a lower log-loss and calibration error, and a warning."""
    rng = np.random.default_rng(0)
    network = build_network(Architecture(2, (), 2), rng)
    network.values[:] = [6, -6, 0, 0, 0, 0]
    inputs = rng.normal(size=(4000, 2)).astype(np.float32)
    labels = (rng.uniform(size=4000) > 1 / (1 + np.exp(-4 * inputs[:, 0]))).astype(np.int64)
    temperature = calibrate([(network, Encoded(inputs, labels))])
    logits = network.logits(inputs)
    before, after = (reliability(softmax(logits / by), labels) for by in (1.0, temperature))

    assert temperature == pytest.approx(3, rel=0.1)
    assert after.log_loss < before.log_loss
    assert after.ece < before.ece / 2
    assert "overconfident" in (warning(temperature) or "")


def test_an_ordinary_temperature_is_no_warning() -> None:
    """Within half as much again, in either direction."""
    assert warning(1.2) is None
    assert warning(0.7) is None
    assert "underconfident" in (warning(0.5) or "")


def test_the_card_tells_what_the_temperature_did(outcome: Outcome) -> None:
    """Log-loss, Brier score and calibration error of the test rows, before and after."""
    calibration = outcome.card.calibration

    assert calibration is not None
    assert calibration.temperature == outcome.classifier.temperature
    assert calibration.after.log_loss == pytest.approx(outcome.card.metrics["test"].log_loss)
    assert calibration.before != calibration.after
