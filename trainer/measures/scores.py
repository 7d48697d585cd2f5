"""Measures of probabilities (n, classes) against labels (n,). Rows count by their weights (n,), or alike."""

from collections.abc import Sequence
from math import sqrt

import numpy as np
import numpy.typing as npt

from models.evaluation import MOST_CLASSES, MOST_CONFUSED, Z95, ClassScore, Confusion, Count, Evaluation, wilson
from trainer.arrays import Array, Labels
from trainer.nn.loss import cross_entropy

# The mean of one class against all others is taken over the commonest classes: each costs a sort of all rows.
MOST_CURVES = 1000
DIGITS = 6

Vector = npt.NDArray[np.float64]


def measure(probabilities: Array, labels: Labels, classes: Sequence[str], weights: Array | None = None) -> Evaluation:
    """Everything about the answers but the baselines."""
    counts = np.ones(len(labels)) if weights is None else weights.astype(np.float64)
    predicted = probabilities.argmax(axis=1)
    accuracy = float(np.average(predicted == labels, weights=counts))
    scores = _class_scores(predicted, labels, classes, counts)
    occurring = [score.f1 for score in scores if score.f1 is not None]
    return Evaluation(
        rows=len(labels),
        log_loss=cross_entropy(probabilities, labels, weights),
        accuracy=accuracy,
        accuracy_interval=wilson(accuracy, effective_rows(counts)),
        auc=mean_auc(probabilities, labels, counts),
        macro_f1=round(sum(occurring) / len(occurring), DIGITS),
        classes=tuple(_with_the_most(scores)),
        confusion=_confusion(predicted, labels, classes, counts),
    )


def effective_rows(weights: Vector) -> float:
    """How many rows of equal weight would tell as much (Kish 1965): n, where all count alike."""
    return float(weights.sum() ** 2 / (weights @ weights))


def mean_auc(probabilities: Array, labels: Labels, weights: Vector) -> float | None:
    """The area under the ROC curve of two classes; of more, the mean of each against all others.

    Classes without rows, or without rows of others, have none; None where no class has one.
    """
    if probabilities.shape[1] == 2:
        area = auc(probabilities[:, 1], labels == 1, weights)
        return None if area is None else round(area, DIGITS)
    rows = np.bincount(labels, minlength=probabilities.shape[1])
    commonest = np.argsort(-rows, kind="stable")[:MOST_CURVES]
    areas = [auc(probabilities[:, label], labels == label, weights) for label in commonest if rows[label]]
    known = [area for area in areas if area is not None]
    return round(sum(known) / len(known), DIGITS) if known else None


def auc(scores: Array, positive: npt.NDArray[np.bool_], weights: Vector) -> float | None:
    """How likely a positive row has a higher score (n,) than a negative one; equal scores count half.

    None where there is only one kind of rows.
    """
    order = np.argsort(scores, kind="stable")
    ordered, by_kind = scores[order], np.stack([~positive, positive])[:, order] * weights[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    negatives, positives = np.add.reduceat(by_kind, starts, axis=1)
    pairs = negatives.sum() * positives.sum()
    if not pairs:
        return None
    below = np.cumsum(negatives) - negatives / 2
    return float(positives @ below / pairs)


def gain_over(losses: Vector, baseline: Vector, weights: Vector) -> tuple[float, tuple[float, float]]:
    """By how much the losses (n,) are lower than those of a baseline, row by row; the mean and its 95 % interval."""
    gains = baseline - losses
    mean = float(np.average(gains, weights=weights))
    error = float(np.sqrt(weights**2 @ (gains - mean) ** 2) / weights.sum())
    if len(gains) > 1:
        error *= sqrt(len(gains) / (len(gains) - 1))
    return round(mean, DIGITS), (round(mean - Z95 * error, DIGITS), round(mean + Z95 * error, DIGITS))


def losses_of(probabilities: Array, labels: Labels) -> Vector:
    """The loss -log p(true class) of each row, in nats."""
    chosen = probabilities[np.arange(len(labels)), labels]
    return -np.log(np.maximum(chosen, np.finfo(np.float32).tiny), dtype=np.float64)


def precision_recall(right: float, predicted: float, actual: float) -> tuple[float | None, float | None, float | None]:
    """Precision, recall and F1 of one class, by the weight of its rows; None where one has no meaning."""
    precision = round(right / predicted, DIGITS) if predicted else None
    recall = round(right / actual, DIGITS) if actual else None
    f1 = round(2 * right / (predicted + actual), DIGITS) if predicted + actual else None
    return precision, recall, f1


def count(weight: float) -> Count:
    """A sum of weights as a person writes it: 12, or 12.5."""
    return int(weight) if float(weight).is_integer() else round(float(weight), DIGITS)


def _class_scores(predicted: Labels, labels: Labels, classes: Sequence[str], weights: Vector) -> list[ClassScore]:
    hit = predicted == labels
    actual, taken, right = (
        np.bincount(which, counted, minlength=len(classes)).tolist()
        for which, counted in ((labels, weights), (predicted, weights), (labels[hit], weights[hit]))
    )
    scores = []
    for label, rows, answers, hits in zip(classes, actual, taken, right, strict=True):
        precision, recall, f1 = precision_recall(hits, answers, rows)
        scores.append(
            ClassScore(
                label=label, rows=count(rows), predicted=count(answers), precision=precision, recall=recall, f1=f1
            )
        )
    return scores


def _with_the_most(scores: list[ClassScore]) -> list[ClassScore]:
    """The classes with the most rows, in their order."""
    most = sorted(range(len(scores)), key=lambda label: -scores[label].rows)[:MOST_CLASSES]
    return [scores[label] for label in sorted(most)]


def _confusion(predicted: Labels, labels: Labels, classes: Sequence[str], weights: Vector) -> Confusion:
    """Of many classes those that are mistaken most, then those with the most rows."""
    wrong = predicted != labels
    mistaken = sum(np.bincount(which[wrong], weights[wrong], minlength=len(classes)) for which in (labels, predicted))
    rows = np.bincount(labels, weights, minlength=len(classes))
    kept = np.sort(np.lexsort((-rows, -np.asarray(mistaken)))[:MOST_CONFUSED])
    others = len(classes) - len(kept)
    place = np.full(len(classes), len(kept))
    place[kept] = np.arange(len(kept))
    size = len(kept) + (1 if others else 0)
    counts = np.bincount(place[labels] * size + place[predicted], weights, minlength=size * size).reshape(size, size)
    return Confusion(
        labels=tuple(classes[label] for label in kept),
        others=others,
        counts=tuple(tuple(map(count, row)) for row in counts.tolist()),
    )
