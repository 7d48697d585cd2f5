"""The board: what the processes of the service count, in memory that they have in common.

Each process writes into a slot of its own, and whoever is asked adds the slots up. The supervisor has the first slot,
and tells each worker which one is its: none is ever that of two living processes. A worker that takes over the slot of
a dead one counts on from there, so that no sum ever falls. All labels come from fixed sets, so the board never grows.
What drift counts stands in the same slots, and is bounded likewise. The newest answers, which wait for their labels,
are in memory of their own: how much of it there is is a setting.
"""

import mmap
import os
import threading
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from service.errors import CODES
from service.telemetry import drift, windows
from service.telemetry.answers import memory_bytes
from service.telemetry.feedback import RESULTS, Feedback, Result

ROUTES = ("predict", "explain", "invocations", "infer", "feedback", "metadata", "health", "page", "metrics", "other")
# Seconds. The first are about what a row alone takes, the last what a worker in trouble takes.
BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
# Seconds. How late an event loop is tells of single requests that hold it; a timer alone is late by a millisecond.
LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
# Classes in a prediction set.
SET_BUCKETS = (1, 2, 3, 5, 10, 20, 50, 100, 1000)
# Why a worker ended: somebody else's signal, an exit code of its own, the supervisor that saw it hang, and SIGHUP, by
# which it was replaced or, the last one, should have replaced another.
CAUSES = ("signal", "code", "hang", "renewal", "failed_renewal")
# What is counted of shadows, with its explanation.
SHADOW_COUNTS = {
    "requests": "Requests that a shadow has answered too.",
    "rows": "Rows of these requests.",
    "disagreements": "Rows that the shadow has given another label.",
    "difference": "Sum over the rows of the mean absolute difference of their probabilities.",
    "seconds": "Time that shadows have taken.",
    "dropped": "Requests that a shadow was too slow for, or that were too long to keep.",
    "failed": "Requests that a shadow could not answer.",
}
# What becomes of the lines of the prediction log.
LOG_COUNTS = ("written", "queue", "disk", "failed")
# What there is at the moment, in all processes; all but the first two are of a worker.
GAUGES = ("process", "workers", "workers_ready", "connections", "requests_waiting")


# So many answers of each worker wait for their labels by default, in 2.5 MB.
FEEDBACK_ROWS = 10_000


class _Layout:
    """Which cell of a slot has what."""

    def __init__(self) -> None:
        self.cells = 0
        self.requests = {labels: self._take() for labels in product(ROUTES, CODES)}
        self.rows = {route: self._take() for route in ROUTES}
        # The first cell of each: one for each bucket, one for what is slower than the last, and one for the sum.
        self.seconds = {route: self._take(len(BUCKETS) + 2) for route in ROUTES}
        self.lag = self._take(len(LAG_BUCKETS) + 2)
        self.shadow = {what: self._take() for what in SHADOW_COUNTS}
        self.prediction_log = {what: self._take() for what in LOG_COUNTS}
        self.exits = {cause: self._take() for cause in CAUSES}
        self.lines_dropped = self._take()
        self.feedback = {result: self._take() for result in RESULTS}
        self.sets = self._take(len(SET_BUCKETS) + 2)
        self.gauges = {what: self._take() for what in GAUGES}

    def _take(self, cells: int = 1) -> int:
        self.cells += cells
        return self.cells - cells


LAYOUT = _Layout()
# Behind these, drift counts.
_SLOT_CELLS = LAYOUT.cells + windows.SLOT_BYTES // 8
_SLOT_BYTES = 8 * _SLOT_CELLS


@dataclass(frozen=True)
class Board:
    """The slots of all processes, all zero at first, in memory that they share; `mine` is the number of the own one.
    Of so many `rows` the newest answers of each process are in `answers`.
    """

    cells: "memoryview[float]"
    count: int
    answers: memoryview
    rows: int
    mine: int = 0

    @classmethod
    def create(cls, slots: int = 1, rows: int = FEEDBACK_ROWS) -> "Board":
        """A new one, for this process and those that are forked from it."""
        answers = mmap.mmap(-1, max(slots * memory_bytes(rows), 1))
        return cls(memoryview(mmap.mmap(-1, slots * _SLOT_BYTES)).cast("d"), slots, memoryview(answers), rows)

    def seat(self, seat: int) -> "Board":
        """The board of the worker that has this seat."""
        return replace(self, mine=1 + seat)

    @property
    def slot(self) -> "memoryview[float]":
        """The own slot."""
        return self._slot(self.mine)

    @property
    def slots(self) -> "list[memoryview[float]]":
        """All slots."""
        return [self._slot(slot) for slot in range(self.count)]

    def newest(self, slot: int) -> memoryview:
        """The memory of the newest answers of one process."""
        size = memory_bytes(self.rows)
        return self.answers[slot * size : (slot + 1) * size]

    @property
    def processes(self) -> list[int]:
        """The processes that live, the supervisor first."""
        return [int(process) for process in self.cells[LAYOUT.gauges["process"] :: _SLOT_CELLS] if process]

    def sums(self) -> list[float]:
        """Each cell, summed over the slots."""
        return [sum(self.cells[cell::_SLOT_CELLS]) for cell in range(LAYOUT.cells)]

    def note(self, amounts: Mapping[str, int]) -> None:
        """What this process has at the moment, of each gauge."""
        for what, amount in amounts.items():
            self.slot[LAYOUT.gauges[what]] = amount

    def clear(self) -> None:
        """Nothing is left of what the process that had this slot had at the moment; what it counted stays."""
        self.note(dict.fromkeys(GAUGES, 0))

    def _slot(self, slot: int) -> "memoryview[float]":
        return self.cells[slot * _SLOT_CELLS : (slot + 1) * _SLOT_CELLS]


class Metrics:
    """What this process counts, and what all processes have counted."""

    def __init__(self, board: Board, drift_seconds: float = drift.WINDOW_SECONDS) -> None:
        self.board = board
        self._cells = board.slot[: LAYOUT.cells]
        board.note({"process": os.getpid()})
        mine, *everyone = (each[LAYOUT.cells :].cast("B") for each in (board.slot, *board.slots))
        self.drift = drift.Drift(mine, everyone, drift_seconds)
        newest = [board.newest(slot) for slot in range(board.count)]
        self.feedback = Feedback(newest, board.mine, board.rows, self.drift.seconds)
        # Requests are counted by the event loop and by threads.
        self._lock = threading.Lock()

    def count(self, route: str, code: str, rows: int, seconds: float) -> None:
        """A request was answered."""
        cells, histogram = self._cells, LAYOUT.seconds[route]
        with self._lock:
            cells[LAYOUT.requests[route, code]] += 1
            cells[LAYOUT.rows[route]] += rows
            cells[histogram + bisect_left(BUCKETS, seconds)] += 1
            cells[histogram + len(BUCKETS) + 1] += seconds

    def count_lag(self, seconds: float) -> None:
        """By so much the event loop is late."""
        with self._lock:
            self._cells[LAYOUT.lag + bisect_left(LAG_BUCKETS, seconds)] += 1
            self._cells[LAYOUT.lag + len(LAG_BUCKETS) + 1] += max(seconds, 0.0)

    def count_sets(self, sizes: Sequence[int]) -> None:
        """Rows were answered with sets: so many of each size, from 0."""
        with self._lock:
            for size, rows in enumerate(sizes):
                if rows:
                    self._cells[LAYOUT.sets + bisect_left(SET_BUCKETS, size)] += rows
                    self._cells[LAYOUT.sets + len(SET_BUCKETS) + 1] += size * rows

    def count_shadow(self, amounts: Mapping[str, float]) -> None:
        """A shadow was asked, or was not."""
        with self._lock:
            for what, amount in amounts.items():
                self._cells[LAYOUT.shadow[what]] += amount

    def count_prediction_log(self, lines: Mapping[str, int]) -> None:
        """Lines of the prediction log were written, or dropped."""
        with self._lock:
            for what, count in lines.items():
                self._cells[LAYOUT.prediction_log[what]] += count

    def count_exit(self, cause: str) -> None:
        """A worker ended."""
        with self._lock:
            self._cells[LAYOUT.exits[cause]] += 1

    def count_dropped_lines(self, lines: int) -> None:
        """Lines of the log were dropped."""
        with self._lock:
            self._cells[LAYOUT.lines_dropped] += lines

    def count_feedback(self, results: Mapping[Result, int]) -> None:
        """Labels have come."""
        with self._lock:
            for result, labels in results.items():
                self._cells[LAYOUT.feedback[result]] += labels

    def note(self, amounts: Mapping[str, int]) -> None:
        """What this process has at the moment, of each gauge."""
        self.board.note(amounts)

    def vacate(self, seat: int) -> None:
        """Nobody has this seat any more."""
        self.board.seat(seat).clear()

    def labelled(self) -> dict[Result, int]:
        """How many labels have come to all workers, by what became of them."""
        sums = self.board.sums()
        return {result: int(sums[cell]) for result, cell in LAYOUT.feedback.items()}

    def shadowed(self) -> dict[str, float]:
        """What the shadows of all workers have come to."""
        sums = self.board.sums()
        return {what: sums[cell] for what, cell in LAYOUT.shadow.items()}
