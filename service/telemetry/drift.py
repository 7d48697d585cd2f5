"""Drift counting: how the rows of late are spread over the bins of training, summed over all workers.

A prediction only leaves its tensors here. Once there are enough of them, or a second later, they are sorted into bins
together, which takes a row a fraction of the time that it would take alone. Of a request with many rows an even choice
is counted: that takes little of its time, and one large request does not weigh more than all the others.

Each worker counts in its own slot of the board, in a region for each version of a model; the region that was counted in
least recently makes room for a new version. A region holds the present window of time and the one before it.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.card import ModelCard
from models.drift import MOST_BINS, MOST_FEATURES, psi
from service.rows.tensors import Probabilities, Tensors
from service.telemetry.bins import RowBins

# Of one request.
MOST_ROWS = 32
ENOUGH_ROWS = 256
FOLD_SECONDS = 1.0
# Of fewer rows, chance alone makes as much as real drift does.
FEWEST_ROWS = 500
WINDOW_SECONDS = 3600.0

REGIONS = 32
MOST_COUNTS = (MOST_FEATURES + 1) * MOST_BINS
# Whose it is (0 is nobody), all rows it ever counted, all that were answered and the runs of the model that answered
# them, which two windows of time it holds, and the counts of each.
REGION = np.dtype(
    [
        *((name, np.int64) for name in ("rows", "answered", "runs")),
        ("owner", np.uint64),
        ("windows", np.int64, 2),
        ("counts", np.int64, (2, MOST_COUNTS)),
    ]
)
SLOT_BYTES = REGIONS * REGION.itemsize

log = logging.getLogger(__name__)

Counts = npt.NDArray[np.int64]
# The numeric tensor of an answered request, the bins of its texts, and the answer; and how many rows it had.
Noted = tuple[npt.NDArray[np.float32] | None, list[int], Probabilities, int]


class Spread(NamedTuple):
    """What is told of one version: all rows ever counted, and the PSI of its features and predictions of late, once
    there are enough rows.
    """

    model: str
    version: int
    rows: int
    features: dict[str, float]
    predictions: float | None


class Answered(NamedTuple):
    """Rows of one version that were answered, and the runs of the model that answered them."""

    rows: int
    runs: int


class Watch:
    """One version of a model, whose card has a drift baseline."""

    def __init__(self, card: ModelCard, version: int) -> None:
        assert card.drift is not None
        self.model, self.version, self.baseline = card.name, version, card.drift
        self.bins = RowBins(card, card.drift)
        self.owner = int.from_bytes(hashlib.sha256(f"{version} {card.to_json()}".encode()).digest()[:8])

    def spread(self, rows: int, counts: Counts) -> Spread:
        """What `counts` of the bins say; `rows` are those ever counted."""
        known = self.baseline
        parts = [counts[part].tolist() for part in self.bins.parts]
        if sum(parts[-1]) < FEWEST_ROWS:
            return Spread(self.model, self.version, rows, {}, None)
        features = {
            one.feature: psi(one.shares, known.rows, part) for one, part in zip(known.features, parts, strict=False)
        }
        predictions = psi(known.predictions.shares, known.rows, parts[-1])
        return Spread(self.model, self.version, rows, features, predictions)


class Drift:
    """What this worker counts, in a slot of its own, and what all have counted, in all slots."""

    def __init__(
        self, mine: memoryview, everyone: Sequence[memoryview], window_seconds: float = WINDOW_SECONDS
    ) -> None:
        self._mine = np.frombuffer(mine, REGION)
        self._everyone = [np.frombuffer(slot, REGION) for slot in everyone]
        self._window_seconds = window_seconds
        self._lock, self._folding = threading.Lock(), threading.Lock()
        self._noted: dict[Watch, list[Noted]] = {}
        self._rows = 0
        self._failed: set[Watch] = set()

    def count(self, watch: Watch, tensors: Tensors, probabilities: Probabilities) -> None:
        """Rows were answered."""
        rows = len(probabilities)
        if rows > MOST_ROWS:
            some = slice(None, None, -(-rows // MOST_ROWS))
            tensors = {name: tensor[some].copy() for name, tensor in tensors.items()}
            probabilities = probabilities[some].copy()
        noted = (tensors.get("numeric"), watch.bins.of_texts(tensors), probabilities, rows)
        with self._lock:
            self._noted.setdefault(watch, []).append(noted)
            self._rows += len(probabilities)
            enough = self._rows >= ENOUGH_ROWS
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
                noted, self._noted, self._rows = self._noted, {}, 0
            for watch, answers in noted.items():
                numbers, texts, probabilities, rows = zip(*answers, strict=True)
                try:
                    counts = watch.bins.count(numbers, chain.from_iterable(texts), probabilities)
                    self._add(watch, counts, sum(map(len, probabilities)), Answered(sum(rows), len(rows)))
                except Exception as error:  # One version's rows keep no other's from being counted.
                    self.fail(watch, error)

    def spreads(self, watches: Sequence[Watch]) -> list[Spread]:
        """What all workers have counted, in this window of time and the one before it."""
        self.fold()
        return [watch.spread(*self._sums(watch)) for watch in watches]

    def answered(self, watch: Watch) -> Answered:
        """What all workers have answered."""
        self.fold()
        regions = [region for slot in self._everyone for region in slot[slot["owner"] == watch.owner]]
        return Answered(sum(int(one["answered"]) for one in regions), sum(int(one["runs"]) for one in regions))

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

    def _add(self, watch: Watch, counts: Counts, rows: int, answered: Answered) -> None:
        region, window = self._region(watch.owner), self._window()
        half = window % 2
        if region["windows"][half] != window:
            region["counts"][half] = 0
            region["windows"][half] = window
        region["counts"][half, : len(counts)] += counts
        region["rows"] += rows
        region["answered"] += answered.rows
        region["runs"] += answered.runs

    def _region(self, owner: int) -> np.void:
        """The region of an owner; where it has none, the one that was counted in least recently, cleared."""
        found = np.flatnonzero(self._mine["owner"] == owner)
        region: np.void = self._mine[found[0] if len(found) else self._mine["windows"].max(axis=1).argmin()]
        if not len(found):
            region["rows"], region["answered"], region["runs"], region["windows"], region["owner"] = 0, 0, 0, 0, owner
        return region

    def _sums(self, watch: Watch) -> tuple[int, Counts]:
        rows, counts = 0, np.zeros(MOST_COUNTS, np.int64)
        for slot in self._everyone:
            for region in slot[slot["owner"] == watch.owner]:
                rows += int(region["rows"])
                counts += region["counts"][region["windows"] >= self._window() - 1].sum(axis=0)
        return rows, counts

    def _window(self) -> int:
        return int(time.time() // self._window_seconds)
