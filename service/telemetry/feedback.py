"""Feedback: labels that answers have got since, over all workers, and what they say of a version.

An answer is remembered when it is given, in a fraction of a microsecond, and found again by whichever worker is told
its label. The newest label of an answer is the one that counts.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from models.evaluation import MOST_CONFUSED
from models.performance import CONFIDENCE_BINS, Measured, Verdict, judge, measured
from models.shift import FALSE_ALARMS
from service.rows.tensors import Probabilities
from service.telemetry.answers import KEPT, RECORD, UNLABELLED, Newest, Records, key_of, looking_for, records_of
from service.telemetry.drift import Watch
from service.telemetry.expected import SMALLEST
from service.telemetry.windows import LENGTHS

Result = Literal["counted", "corrected", "repeated", "unknown"]
RESULTS: tuple[Result, ...] = ("counted", "corrected", "repeated", "unknown")

# The place of the label among the classes of an owner, for the row at a place of the request; None where nobody knows
# the owner. What is no class is refused.
ClassOf = Callable[[int, int], int | None]


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


class Feedback:
    """What this process has answered and was told, in rings of its own, and those of all processes. Without `rows` it
    remembers nothing.
    """

    def __init__(self, mine: memoryview, everyone: Sequence[memoryview], rows: int, seconds: Sequence[float]) -> None:
        self.on = rows > 0
        self._seconds = seconds
        if self.on:
            self._mine = Newest.within(mine, rows)
            self._everyone = [Newest.within(one, rows) for one in everyone]
        self._lock, self._taking = threading.Lock(), threading.Lock()

    def remember(
        self, watch: Watch, request_id: str, probabilities: Probabilities, places: Sequence[int] | None = None
    ) -> None:
        """The rows of a request were answered; `places` are theirs in the request where it has others."""
        now, owner = time.time(), watch.owner
        if len(probabilities) == 1 and places is None and probabilities.shape[1] <= KEPT:
            key, answer = key_of(request_id), probabilities.tobytes()
            with self._lock:
                self._mine.answers.put(key, owner, now, answer)
            return
        keys = [key_of(request_id, place) for place in (places or range(len(probabilities)))]
        records = records_of(owner, now, probabilities)
        with self._lock:
            self._mine.answers.extend(np.array(keys, np.uint64), records)

    def take(self, keys: Sequence[int], class_of: ClassOf) -> list[Result]:
        """Labels of the answers with these keys have come. Where `class_of` raises, none of them is taken."""
        with self._taking:
            found = self._found(keys)
            known = [(key, found.get(key)) for key in keys]
            classes = [
                None if record is None else class_of(at, int(record["owner"])) for at, (_, record) in enumerate(known)
            ]
            results: list[Result] = []
            taken: dict[int, Records] = {}
            for key, label in zip(keys, classes, strict=True):
                if label is None:
                    results.append("unknown")
                    continue
                record = found[key]
                before = int(record["label"])
                if before == label:
                    results.append("repeated")
                    continue
                results.append("counted" if before == UNLABELLED else "corrected")
                record["label"], record["labelled"] = label, time.time()
                taken[key] = record
            if taken:
                with self._lock:
                    self._mine.labels.extend(np.array(list(taken), np.uint64), np.array(list(taken.values()), RECORD))
        return results

    def refill(self, answers: Mapping[int, Records], labels: Mapping[int, Records]) -> None:
        """Remember records of before, each by its key: answers, and those of them that have labels."""
        with self._lock:
            for ring, rows in zip(self._mine, (answers, labels), strict=True):
                if rows:
                    ring.extend(np.array(list(rows), np.uint64), np.concatenate(list(rows.values())))

    def live(self, watches: Sequence[Watch]) -> list[list[Live]]:
        """What the labels of each window say of each version."""
        parts = [one.labels.matching(lambda keys: keys != 0) for one in self._everyone] if self.on else []
        keys = np.concatenate([keys for keys, _ in parts]) if parts else np.zeros(0, np.uint64)
        records = np.concatenate([found for _, found in parts]) if parts else np.zeros(0, RECORD)
        # Of the labels of one answer the last; of several answers with one id too.
        order = np.lexsort((records["labelled"], records["answered"], keys))
        last = np.append(keys[order][1:] != keys[order][:-1], True)[: len(order)]
        newest, now = records[order[last]], time.time()
        found = []
        for watch in watches:
            own, known = newest[newest["owner"] == watch.owner], measured(watch.card)
            recent = [(seconds / 3600, own[own["labelled"] > now - seconds]) for seconds in self._seconds]
            found.append([_live(watch, hours, rows, known) for hours, rows in recent])
        return found

    def _found(self, keys: Sequence[int]) -> dict[int, Records]:
        """The newest answer with each key, and of its labels the newest."""
        wanted, choose = set(keys), looking_for(keys)
        found: dict[int, Records] = {}
        for one in self._everyone:
            for ring in one:
                keys_there, records = ring.matching(choose)
                for key, record in zip(keys_there.tolist(), records, strict=True):
                    if key in wanted and (key not in found or _age(found[key]) < _age(record)):
                        found[key] = record
        return found


def _age(record: Records) -> tuple[float, float]:
    return float(record["answered"]), float(record["labelled"])


def _live(watch: Watch, hours: float, records: Records, known: Measured | None) -> Live:
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
