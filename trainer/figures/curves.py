"""ROC and precision–recall of the test answers, and how far their confidence can be trusted."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from models.evaluation import wilson
from models.figures import MOST_CURVES, MOST_POINTS, Confidence, Curves, Point
from trainer.arrays import Array
from trainer.evaluation.answers import Answers
from trainer.measures.scores import Vector, auc, effective_rows

BINS, DIGITS = 15, 5


def curves(test: Answers, classes: Sequence[str], positive: str | None, threshold: float | None) -> tuple[Curves, ...]:
    """Of two classes the curves of the one that is looked for, else of the last; of up to ten those of each."""
    if len(classes) > MOST_CURVES:
        return ()
    labels = range(len(classes)) if len(classes) > 2 else [classes.index(positive) if positive is not None else 1]
    cut = (0.5 if threshold is None else threshold) if len(classes) == 2 else None
    return tuple(_curves(test, label, classes[label], cut) for label in labels if (test.labels == label).any())


def confidences(probabilities: Array, test: Answers) -> tuple[Confidence, ...]:
    """The rows by their highest probability, in bins of equal width; empty bins are left out."""
    highest, counts = probabilities.max(axis=1).astype(np.float64), test.counts
    right = probabilities.argmax(axis=1) == test.labels
    places = np.minimum((highest * BINS).astype(np.int64), BINS - 1)
    found = []
    for place in np.unique(places):
        here = places == place
        accuracy = min(float(np.average(right[here], weights=counts[here])), 1.0)
        found.append(
            Confidence(
                confidence=_rounded(np.average(highest[here], weights=counts[here])),
                accuracy=_rounded(accuracy),
                interval=wilson(accuracy, effective_rows(counts[here])),
                share=_rounded(counts[here].sum() / counts.sum()),
            )
        )
    return tuple(found)


def _curves(test: Answers, label: int, name: str, cut: float | None) -> Curves:
    scores, positive, counts = test.probabilities[:, label], test.labels == label, test.counts
    order = np.argsort(-scores, kind="stable")
    ordered, counted, is_positive = scores[order], counts[order], positive[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    hits, called = np.cumsum(counted * is_positive)[last], np.cumsum(counted)[last]
    total, whole = float(hits[-1]), float(called[-1])
    false = np.append(0.0, (called - hits) / max(whole - total, np.finfo(np.float64).tiny))
    recall, precision = np.append(0.0, hits / total), hits / called
    at = None
    if cut is not None:
        place = int(np.searchsorted(-ordered[last], -cut, side="right"))  # So many thresholds call as much or less.
        precise = float(precision[place - 1]) if place else 1.0
        at = (_point(false[place], recall[place]), _point(recall[place], precise))
    area = auc(scores, positive, counts)
    return Curves(
        label=name,
        share=_rounded(total / whole),
        auc=None if area is None else _rounded(area),
        roc=_thinned(false, recall),
        precision_recall=_thinned(recall[1:], precision),
        at=at,
    )


def _thinned(x: Vector, y: Vector) -> tuple[Point, ...]:
    """The points of a line, or as many as are shown, at even distances along it."""
    if len(x) <= MOST_POINTS:
        return tuple(map(_point, x, y))
    along = np.append(0.0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y))))
    places: npt.NDArray[np.int64] = np.unique(np.searchsorted(along, np.linspace(0, along[-1], MOST_POINTS)))
    return tuple(map(_point, x[places], y[places]))


def _point(x: float, y: float) -> Point:
    return _rounded(x), _rounded(y)


def _rounded(value: float) -> float:
    return round(float(value), DIGITS)
