"""Probabilities that can be trusted: a temperature fitted on the validation part, and how well they hold."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from models.card import Calibration, Reliability
from trainer.arrays import Array, Labels
from trainer.classifier import Classifier
from trainer.data.rows import Examples
from trainer.nn.loss import cross_entropy, softmax
from trainer.nn.network import Network
from trainer.training.fit import Encoded

# log T of a sound network lies about so far from zero; few validation rows cannot move it much farther.
USUAL_DEVIATION = 0.5
HALVINGS = 40
FAR = 1.5


def warning(temperature: float) -> str | None:
    """A sentence where the temperature is far from 1, else None."""
    if 1 / FAR <= temperature <= FAR:
        return None
    kind = "over" if temperature > 1 else "under"
    return (
        f"the network is {kind}confident: its logits had to be divided by {temperature:.2f} to fit the validation "
        "rows; another --learning-rate, --weight-decay or --dropout may suit the table better"
    )


def fit_temperature(logits: Array, labels: Labels, weights: Array | None = None) -> float:
    """The temperature with the lowest log-loss on logits (n, classes) and labels (n,) (Guo et al. 2017).

    The loss is counted whole, against a penalty on the distance of log T from zero: the mode of its distribution given
    the rows, if log T is normal around zero.
    """
    logits = logits.astype(np.float64)
    low, high = -3.0, 3.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if _slope(middle, logits, labels, weights) > 0:
            high = middle
        else:
            low = middle
    return float(np.exp((low + high) / 2))


def _slope(log_temperature: float, logits: Array, labels: Labels, weights: Array | None) -> float:
    """The derivative by log T of the summed loss, Σ (logit of the label - mean logit) / T, and of the penalty."""
    temperature = np.exp(log_temperature)
    expected = (softmax(logits / temperature) * logits).sum(axis=1)
    distances = (logits[np.arange(len(labels)), labels] - expected) / temperature
    total = float(distances.sum() if weights is None else distances @ weights)
    return total + log_temperature / USUAL_DEVIATION**2


def calibrate(held_out: Sequence[tuple[Network, Encoded]]) -> float:
    """One temperature for frozen networks, fitted on the validation rows of all of them together."""
    logits = np.concatenate([network.logits(validation.inputs) for network, validation in held_out])
    labels = np.concatenate([validation.labels for _, validation in held_out])
    weights = [validation.weights for _, validation in held_out if validation.weights is not None]
    return fit_temperature(logits, labels, np.concatenate(weights) if weights else None)


def hold_against(classifier: Classifier, test: Examples) -> Calibration:
    """Measure a calibrated classifier on test rows, without its temperature and with it."""
    before, after = (
        reliability(each.predict(test.rows), test.labels) for each in (replace(classifier, temperature=1.0), classifier)
    )
    return Calibration(temperature=classifier.temperature, before=before, after=after)


def reliability(probabilities: Array, labels: Labels) -> Reliability:
    """Measure probabilities (n, classes) against labels (n,)."""
    truth = np.eye(probabilities.shape[1])[labels]
    brier = float(((probabilities - truth) ** 2).sum(axis=1).mean())
    right = probabilities.argmax(axis=1) == labels
    error = calibration_error(probabilities.max(axis=1), right)
    return Reliability(log_loss=cross_entropy(probabilities, labels), brier=brier, ece=error)


def calibration_error(confidence: Array, right: npt.NDArray[np.bool_], bins: int = 15) -> float:
    """Expected calibration error: the mean distance, over bins of equal width, of confidence and accuracy."""
    places = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(places, confidence - right, minlength=bins)
    return float(np.abs(gaps).sum() / len(right))
