"""Counts over sliding windows of time, in memory that the processes of a service have in common.

Each process counts in a slot of its own, in a region for each owner; the region that was counted in least recently
makes room for a new owner. A window is a ring of panes: the present one, and so many before it that together they are
never shorter than the window, and by an eighth longer at most. Whoever is asked adds up the panes of all slots, so that
a process that has died takes no count with it.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.drift import MOST_BINS, MOST_FEATURES
from models.performance import Sums

# A short window and a long one, as multiples of the short one: an hour and a day.
LENGTHS = (1, 24)
PANES = 8
REGIONS = 32
# The bins of all features and of the predicted classes, and one number more for each feature.
MOST_COUNTS = (MOST_FEATURES + 1) * MOST_BINS + MOST_FEATURES
# Whose it is (0 is nobody), all rows it ever counted, all that were answered and the runs of the model that answered
# them, and of each window which panes of time it holds, with their counts and what their rows let expect.
REGION = np.dtype(
    [
        ("owner", np.uint64),
        ("rows", np.int64),
        ("answered", np.int64, 2),
        ("panes", np.int64, (len(LENGTHS), PANES + 1)),
        ("sums", np.float64, (len(LENGTHS), PANES + 1, len(Sums._fields))),
        ("counts", np.uint32, (len(LENGTHS), PANES + 1, MOST_COUNTS)),
    ]
)
SLOT_BYTES = REGIONS * REGION.itemsize

Counts = npt.NDArray[np.int64]


class Counted(NamedTuple):
    """What was counted over one window."""

    counts: Counts
    sums: Sums


class Windows:
    """The counts of this process, in the slot `mine`, and of all processes, in `everyone`. The short window takes so
    many `seconds`. One thread adds at a time.
    """

    def __init__(self, mine: memoryview, everyone: Sequence[memoryview], seconds: float) -> None:
        self._mine = np.frombuffer(mine, REGION)
        self._everyone = [np.frombuffer(slot, REGION) for slot in everyone]
        self.seconds = [seconds * length for length in LENGTHS]

    def add(self, owner: int, counts: Counts, sums: Sums, rows: int, answered: tuple[int, int]) -> None:
        """Count so many rows, which `counts` and `sums` tell more about, as of now; `answered` are the rows that they
        stand for and the runs that answered those.
        """
        region = self._region(owner)
        for window, pane in enumerate(self._now()):
            place = pane % (PANES + 1)
            if region["panes"][window, place] != pane:
                # In this order: nobody may take old counts for new ones.
                region["counts"][window, place] = 0
                region["sums"][window, place] = 0
                region["panes"][window, place] = pane
            region["counts"][window, place, : len(counts)] += counts.astype(np.uint32)
            region["sums"][window, place] += sums
        region["rows"] += rows
        region["answered"] += answered

    def counted(self, owner: int, size: int) -> tuple[int, list[Counted]]:
        """All rows that were ever counted, and the first `size` counts over each window, with the sums."""
        rows, counts = 0, np.zeros((len(LENGTHS), size), np.int64)
        sums = np.zeros((len(LENGTHS), len(Sums._fields)))
        now = self._now()
        for slot in self._everyone:
            for at in np.flatnonzero(slot["owner"] == owner):
                region = slot[at]
                rows += int(region["rows"])
                for window, pane in enumerate(now):
                    # Only what was written is read: a page of memory that is read is one that is taken.
                    for place in np.flatnonzero(region["panes"][window] >= pane - PANES):
                        counts[window] += region["counts"][window, place, :size]
                        sums[window] += region["sums"][window, place]
        return rows, [Counted(one, Sums(*totals.tolist())) for one, totals in zip(counts, sums, strict=True)]

    def answered(self, owner: int) -> tuple[int, int]:
        """All rows that were ever answered, and the runs that answered them."""
        rows, runs = sum((slot["answered"][slot["owner"] == owner].sum(axis=0) for slot in self._everyone), np.zeros(2))
        return int(rows), int(runs)

    def _region(self, owner: int) -> np.void:
        """The region of an owner; where it has none, the one that was counted in least recently, cleared."""
        found = np.flatnonzero(self._mine["owner"] == owner)
        region: np.void = self._mine[found[0] if len(found) else self._mine["panes"][:, 0].max(axis=1).argmin()]
        if not len(found):
            region["rows"], region["answered"], region["panes"], region["owner"] = 0, 0, 0, owner
        return region

    def _now(self) -> list[int]:
        now = time.time()
        return [int(now * PANES // seconds) for seconds in self.seconds]
