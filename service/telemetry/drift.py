"""Drift: how the rows of late are spread over the bins of training, over all workers, and what that means; and what
their answers let expect of themselves.

A prediction only leaves its tensors here. Once there are enough of them, or a second later, they are sorted into bins
together, which takes a row a fraction of the time that it would take alone. Each row counts once, whatever it arrived
with, but of a request of many rows an even choice: that takes little of its time.
"""

import hashlib
import logging
import threading
from collections.abc import Callable, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from models.card import ModelCard
from models.performance import Expected, expect
from models.shift import FALSE_ALARMS, Status, Verdict, judge, worst_of
from service.rows.tensors import Probabilities, Tensors
from service.telemetry.bins import RowBins
from service.telemetry.expected import expected_sums
from service.telemetry.windows import LENGTHS, Counted, Windows

# So many are counted of one request at most.
MOST_ROWS = 256
# So many are sorted together, or as many as have so many numbers, which a core's cache holds: four times the rows take
# twice the time.
ENOUGH_ROWS, ENOUGH_NUMBERS = 1024, 1 << 16
FOLD_SECONDS = 1.0
WINDOW_SECONDS = 3600.0

log = logging.getLogger(__name__)

# What is left of an answered request: its numeric tensor as bytes, the bins of its texts, its answer as bytes, and how
# many rows it had and runs it took. Arrays that are kept would let the next requests have memory that is in no cache.
Noted = tuple[bytes, list[int], bytes, int, int]
# The places of the classes (n,) that answers with these probabilities (n, classes) name.
Decide = Callable[[Probabilities], Sequence[int]]


class Window(NamedTuple):
    """One window of time: `counts` of the bins of each feature, and then of the predicted classes; of each feature,
    how many of its values were `odd`; and what all that means. `expected` is None of fewer than two rows.
    """

    hours: float
    counts: list[list[int]]
    odd: list[int]
    verdict: Verdict
    expected: Expected | None


class Spread(NamedTuple):
    """What is told of one version: all rows ever counted, its status, and what each window has to do with it."""

    watch: "Watch"
    rows: int
    status: Status
    windows: list[Window]


class Answered(NamedTuple):
    """Rows of one version that were answered, and the runs of the model that answered them."""

    rows: int
    runs: int


class Watch:
    """One version of a model, whose card has a drift baseline. `decide` says which class an answer names, by its
    place; by default the most probable one.
    """

    def __init__(
        self, card: ModelCard, version: int, decide: Callable[[Probabilities], Sequence[int]] | None = None
    ) -> None:
        assert card.drift is not None
        self.card, self.decide = card, decide or (lambda probabilities: probabilities.argmax(axis=1).tolist())
        self.model, self.version, self.baseline = card.name, version, card.drift
        self.bins = RowBins(card, card.drift)
        # So many of its rows are sorted together.
        self.enough = max(1, min(ENOUGH_ROWS, ENOUGH_NUMBERS // (self.bins.numbers + self.bins.classes)))
        self.owner = owner_of(card, version)

    def window(self, hours: float, counted: Counted) -> Window:
        """What was counted over so many hours, and what it means. False alarms are shared out among the windows."""
        parts = [counted.counts[part].tolist() for part in self.bins.parts]
        verdict = judge(self.baseline, parts, FALSE_ALARMS / len(LENGTHS))
        return Window(hours, parts, counted.counts[self.bins.odd].tolist(), verdict, expect(verdict.rows, counted.sums))


def owner_of(card: ModelCard, version: int) -> int:
    """What the counts and answers of a version are found by, in all processes."""
    return int.from_bytes(hashlib.sha256(f"{version} {card.to_json()}".encode()).digest()[:8])


class Drift:
    """What this worker counts, in a slot of its own, and what all have counted, in all slots. Without
    `window_seconds` it counts nothing.
    """

    def __init__(
        self, mine: memoryview, everyone: Sequence[memoryview], window_seconds: float = WINDOW_SECONDS
    ) -> None:
        self.on = window_seconds > 0
        self._windows = Windows(mine, everyone, window_seconds or WINDOW_SECONDS)
        self.seconds = self._windows.seconds
        self._lock, self._folding = threading.Lock(), threading.Lock()
        self._noted: dict[Watch, list[Noted]] = {}
        # What is noted, as a part of what is sorted together.
        self._part = 0.0
        self._failed: set[Watch] = set()

    def count(self, watch: Watch, tensors: Tensors, probabilities: Probabilities, runs: int = 1) -> None:
        """Rows of a request, or of several with `MOST_ROWS` rows together at most, were answered by a run."""
        answered = len(probabilities)
        if answered > MOST_ROWS:
            some = np.arange(MOST_ROWS) * answered // MOST_ROWS
            tensors, probabilities = {name: tensor[some] for name, tensor in tensors.items()}, probabilities[some]
        numbers = tensors.get("numeric")
        noted = (
            b"" if numbers is None else numbers.tobytes(),
            watch.bins.of_texts(tensors),
            probabilities.tobytes(),
            answered,
            runs,
        )
        with self._lock:
            self._noted.setdefault(watch, []).append(noted)
            self._part += len(probabilities) / watch.enough
            enough = self._part >= 1
        if enough:
            self.fold()

    def fail(self, watch: Watch, error: Exception) -> None:
        """Rows were answered that could not be counted: it is said once for each version."""
        if watch not in self._failed:
            self._failed.add(watch)
            log.error(
                "rows not counted for drift", extra={"model": watch.model, "version": watch.version}, exc_info=error
            )

    def fold(self) -> None:
        """Sort what was noted into bins."""
        with self._folding:
            with self._lock:
                noted, self._noted, self._part = self._noted, {}, 0.0
            for watch, answers in noted.items():
                try:
                    numbers, texts, probabilities, answered, runs = zip(*answers, strict=True)
                    said = np.frombuffer(b"".join(probabilities), np.float32).reshape(-1, watch.bins.classes)
                    values = np.frombuffer(b"".join(numbers), np.float32).reshape(len(said), watch.bins.numbers)
                    counts = watch.bins.count(values, list(chain.from_iterable(texts)), said)
                    sums = expected_sums(said, watch.decide(said))
                    self._windows.add(watch.owner, counts, sums, len(said), (sum(answered), sum(runs)))
                except Exception as error:  # One version's rows keep no other's from being counted.
                    self.fail(watch, error)

    def spreads(self, watches: Sequence[Watch]) -> list[Spread]:
        """What all workers have counted of late."""
        self.fold()
        return [self._spread(watch) for watch in watches]

    def answered(self, watch: Watch) -> Answered:
        """What all workers have answered."""
        self.fold()
        return Answered(*self._windows.answered(watch.owner))

    def follow(self) -> None:
        """Fold once a second from a thread of its own: another worker may be asked for the sums."""

        def fold() -> None:
            pause = threading.Event()
            while not pause.wait(FOLD_SECONDS):
                try:
                    self.fold()
                except Exception:  # The thread must not end: nobody would notice.
                    log.exception("drift not counted")

        threading.Thread(target=fold, name="drift", daemon=True).start()

    def _spread(self, watch: Watch) -> Spread:
        rows, counted = self._windows.counted(watch.owner, watch.bins.odd.stop)
        hours = (seconds / 3600 for seconds in self._windows.seconds)
        windows = [watch.window(*one) for one in zip(hours, counted, strict=True)]
        return Spread(watch, rows, worst_of([window.verdict.status for window in windows]), windows)
