"""Probabilities that can be trusted: a calibrator fitted on the validation part, and how well they hold."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from models.card import Reliability
from trainer.arrays import Array, Labels
from trainer.nn.calibrator import Calibrator
from trainer.nn.loss import cross_entropy, softmax
from trainer.nn.network import Network
from trainer.training.records import Encoded

# log T and the biases of a sound network lie about so far from zero; few validation rows cannot move them much farther.
USUAL_DEVIATION = 0.5
MOST_STEPS, SMALLEST_STEP, MOST_ROWS = 50, 1e-6, 50_000
FAR = 1.5

Vector = npt.NDArray[np.float64]


def warning(temperature: float, *, dropout: bool = True) -> str | None:
    """A sentence where the temperature is far from 1, else None; `dropout` tells whether less of it may yet help."""
    if 1 / FAR <= temperature <= FAR:
        return None
    kind, way_out = "over", "another --learning-rate, --weight-decay or --dropout may suit the table better"
    if temperature < 1:
        less = "--input-dropout 0" if dropout else "a smaller --weight-decay or more --epochs"
        kind, way_out = "under", f"{less} may suit the table better"
    return (
        f"the network is {kind}confident: its logits had to be divided by {temperature:.2f} to fit the validation "
        f"rows; {way_out}"
    )


def fit_calibrator(logits: Array, labels: Labels, weights: Array | None = None) -> Calibrator:
    """The temperature and the biases with the lowest log-loss on logits (n, classes) and labels (n,).

    The loss is counted whole, against penalties on the distance of log T and of each bias from zero: the mode of their
    distribution given the rows, if all of them are normal around zero. Newton's method on 1 / T and the biases, in
    which the loss is convex; a step that does not lower the loss is halved.
    """
    precise, truth = logits.astype(np.float64), np.eye(logits.shape[1])[labels]
    counts = np.ones(len(labels)) if weights is None else weights.astype(np.float64)
    place = np.array([1.0, *np.zeros(logits.shape[1])])
    lowest = _loss(place, precise, truth, counts)
    for _ in range(MOST_STEPS):
        curvature, slope = _curvature_and_slope(place, precise, truth, counts)
        step = np.asarray(np.linalg.solve(curvature, slope), np.float64)
        while (loss := _loss(place - step, precise, truth, counts)) > lowest and np.abs(step).max() > SMALLEST_STEP:
            step /= 2
        if loss > lowest:
            break
        place, lowest = place - step, loss
        if np.abs(step).max() < SMALLEST_STEP:
            break
    return Calibrator(float(1 / place[0]), place[1:].astype(np.float32))


def _loss(place: Vector, logits: Vector, truth: Vector, counts: Vector) -> float:
    if place[0] <= 0:
        return np.inf
    shifted = logits * place[0] + place[1:]
    largest = shifted.max(axis=1, keepdims=True)
    log_total = np.log(np.exp(shifted - largest).sum(axis=1)) + largest[:, 0]
    penalty = np.log(place[0]) ** 2 + place[1:] @ place[1:]
    return float(counts @ (log_total - (shifted * truth).sum(axis=1)) + penalty / (2 * USUAL_DEVIATION**2))


def _curvature_and_slope(place: Vector, logits: Vector, truth: Vector, counts: Vector) -> tuple[Vector, Vector]:
    """Second and first derivatives of the loss; that of the penalty on log T is kept positive (Gauss-Newton)."""
    inverse = place[0]
    probabilities = softmax(logits * inverse + place[1:])
    weighted = probabilities * counts[:, np.newaxis]
    missed = weighted - truth * counts[:, np.newaxis]
    spread = logits - (probabilities * logits).sum(axis=1, keepdims=True)
    slope = np.array([(missed * logits).sum(), *missed.sum(axis=0)])
    curvature = np.empty((len(place), len(place)))
    curvature[0, 0] = (weighted * spread**2).sum()
    curvature[0, 1:] = curvature[1:, 0] = (weighted * spread).sum(axis=0)
    curvature[1:, 1:] = np.diag(weighted.sum(axis=0)) - weighted.T @ probabilities
    penalty = np.array([np.log(inverse) / inverse, *place[1:]])
    steepness = np.array([1 / inverse**2, *np.ones(len(place) - 1)])
    return curvature + np.diag(steepness) / USUAL_DEVIATION**2, slope + penalty / USUAL_DEVIATION**2


def calibrate(held_out: Sequence[tuple[Network, Encoded]]) -> Calibrator:
    """One calibrator for frozen networks, fitted on the validation rows of all of them together.

    The mean of several networks is less confident than each. Where each is overconfident their mean is about right, so
    a temperature above 1 is for one network alone.
    """
    parts = [_some(validation, MOST_ROWS // len(held_out)) for _, validation in held_out]
    logits = [network.logits(part.inputs) for (network, _), part in zip(held_out, parts, strict=True)]
    weights = [part.weights for part in parts if part.weights is not None]
    labels = np.concatenate([part.labels for part in parts])
    calibrator = fit_calibrator(np.concatenate(logits), labels, np.concatenate(weights) if weights else None)
    if len(held_out) > 1 and calibrator.temperature > 1:
        return replace(calibrator, temperature=1.0)
    return calibrator


def _some(part: Encoded, most: int) -> Encoded:
    """The part, or evenly spaced rows of a long one: more would not move the outcome."""
    return part if len(part) <= most else part.take(np.linspace(0, len(part) - 1, most, dtype=np.int64))


def reliability(probabilities: Array, labels: Labels, weights: Array | None = None) -> Reliability:
    """Measure probabilities (n, classes) against labels (n,); `weights` (n,) say how much each row counts."""
    missed = probabilities.astype(np.float64)
    missed[np.arange(len(labels)), labels] -= 1
    missed *= missed
    brier = float(np.average(missed.sum(axis=1), weights=weights))
    right = probabilities.argmax(axis=1) == labels
    error = calibration_error(probabilities.max(axis=1), right, weights)
    return Reliability(log_loss=cross_entropy(probabilities, labels, weights), brier=brier, ece=error)


def calibration_error(
    confidence: Array, right: npt.NDArray[np.bool_], weights: Array | None = None, bins: int = 15
) -> float:
    """Expected calibration error: the mean distance, over bins of equal width, of confidence and accuracy.

    Each row counts by its weight.
    """
    counts = np.ones(len(right)) if weights is None else weights.astype(np.float64)
    places = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(places, (confidence - right) * counts, minlength=bins)
    return float(np.abs(gaps).sum() / counts.sum())
