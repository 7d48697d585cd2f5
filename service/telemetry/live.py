"""What the labels of a version say of it, over one window of time."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.evaluation import MOST_CONFUSED
from models.performance import CONFIDENCE_BINS, Measured, Verdict, judge
from models.shift import FALSE_ALARMS
from service.telemetry.answers import KEPT, Records
from service.telemetry.drift import Watch
from service.telemetry.expected import SMALLEST
from service.telemetry.windows import LENGTHS


class Confidence(NamedTuple):
    """Labelled rows whose highest probability lies in one bin: its mean, the share that is right, and how many."""

    confidence: float
    accuracy: float
    rows: int


class Confused(NamedTuple):
    """How often rows of one class (a list each) were answered with another (a place in the list). `classes` are places
    in the card, of many those that are mistaken most; the `others`, so many, share the last row and the last column.
    """

    classes: list[int]
    others: int
    counts: list[list[int]]


class Live(NamedTuple):
    """What the labels of one window say. The means are None without labels; log-loss is in nats."""

    hours: float
    verdict: Verdict
    log_loss: float | None
    expected_log_loss: float | None
    calibration_error: float | None
    bins: list[Confidence]
    confused: Confused


def live_of(watch: Watch, hours: float, records: Records, known: Measured | None) -> Live:
    """The figures of some labelled answers, beside what the card says of the test rows."""
    classes = len(watch.card.classes)
    rows, level = len(records), FALSE_ALARMS / len(LENGTHS)
    if not rows:
        return Live(
            hours,
            judge(0, 0, known.accuracy if known else 0.5, known, level),
            None,
            None,
            None,
            [],
            Confused([], 0, []),
        )
    labels, kept = records["label"], min(classes, KEPT)
    probabilities = records["probabilities"][:, :kept]
    each = np.arange(rows)
    likeliest = probabilities.argmax(axis=1)
    confidence = probabilities[each, likeliest]
    decided = np.array(watch.decide(probabilities), np.intp)
    promised = probabilities[each, decided]
    # What those that were not kept have each.
    rest = np.maximum(1 - probabilities.sum(axis=1), 0) / max(classes - kept, 1)
    entropies = -(probabilities * np.log(np.maximum(probabilities, SMALLEST))).sum(axis=1)
    if classes > kept:
        names = records["classes"]
        likeliest, decided = names[each, likeliest], names[each, decided]
        here = names == labels[:, None]
        true = np.where(here.any(axis=1), (probabilities * here).sum(axis=1), rest)
        entropies -= (classes - kept) * rest * np.log(np.maximum(rest, SMALLEST))
    else:
        true = probabilities[each, labels]
    losses = -np.log(np.maximum(true, SMALLEST), dtype=np.float64)
    right = decided == labels
    verdict = judge(rows, int(right.sum()), float(promised.mean(dtype=np.float64)), known, level)
    bins = _bins(confidence, likeliest == labels)
    error = sum(one.rows * abs(one.confidence - one.accuracy) for one in bins) / rows
    return Live(
        hours,
        verdict,
        float(losses.mean()),
        float(entropies.mean(dtype=np.float64)),
        error,
        bins,
        _confused(labels, decided, classes),
    )


def _bins(confidence: npt.NDArray[np.float32], right: npt.NDArray[np.bool_]) -> list[Confidence]:
    """Bins of equal width that have rows, as those of the card's calibration error."""
    places = np.minimum((confidence * CONFIDENCE_BINS).astype(np.intp), CONFIDENCE_BINS - 1)
    found = []
    for place in np.unique(places):
        here = places == place
        mean = float(confidence[here].mean(dtype=np.float64))
        found.append(Confidence(mean, float(right[here].mean()), int(here.sum())))
    return found


def _confused(labels: npt.NDArray[np.int32], decided: npt.NDArray[np.intp], classes: int) -> Confused:
    wrong = labels != decided
    mistaken = sum(np.bincount(which[wrong], minlength=classes) for which in (labels, decided))
    rows = np.bincount(labels, minlength=classes)
    kept = np.sort(np.lexsort((-rows, -np.asarray(mistaken)))[:MOST_CONFUSED])
    place = np.full(classes, len(kept))
    place[kept] = np.arange(len(kept))
    others = classes - len(kept)
    size = len(kept) + bool(others)
    counts = np.bincount(place[labels] * size + place[decided], minlength=size * size).reshape(size, size)
    return Confused(kept.tolist(), others, counts.tolist())
