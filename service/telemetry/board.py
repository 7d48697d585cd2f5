"""Metrics in the Prometheus text format, right across workers.

The workers share a board of 64-bit floats in memory: each writes into a slot of its own, and whoever is asked adds the
slots up. A slot is held by a file lock, which the kernel drops when its worker dies; the next worker takes the slot
over and counts on from there, so that no sum ever falls. All labels come from fixed sets, so the board never grows.
What drift counts stands in the same slots, and is bounded likewise.
"""

import fcntl
import mmap
import os
import threading
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, product

from models import __version__
from service.errors import CODES
from service.telemetry import drift

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
ROUTES = ("predict", "invocations", "infer", "metadata", "health", "page", "metrics", "other")
# Seconds. The first are about what a row alone takes, the last what a worker in trouble takes.
BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

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

# What is there at the moment, in all workers.
GAUGES = {
    "connections": "Connections that are open.",
    "requests_waiting": "Requests that are with a thread, or wait for one; short ones need none.",
}

_REQUESTS = {labels: cell for cell, labels in enumerate(product(ROUTES, CODES))}
_ROWS = {route: len(_REQUESTS) + cell for cell, route in enumerate(ROUTES)}
# Of each route: a cell for each bucket, one for what is slower than the last, and one for the sum.
_SECONDS = {route: len(_REQUESTS) + len(_ROWS) + cell * (len(BUCKETS) + 2) for cell, route in enumerate(ROUTES)}
_SHADOW = {
    what: len(_REQUESTS) + len(_ROWS) + len(_SECONDS) * (len(BUCKETS) + 2) + cell
    for cell, what in enumerate(SHADOW_COUNTS)
}
_GAUGES = {what: max(_SHADOW.values()) + 1 + cell for cell, what in enumerate(GAUGES)}
_CELLS = max(_GAUGES.values()) + 1
# Behind these, drift counts.
_SLOT_CELLS = _CELLS + drift.SLOT_BYTES // 8
_SLOT_BYTES = 8 * _SLOT_CELLS


class Board:
    """The slots of all workers, all zero at first, in a file in memory that the workers have in common."""

    def __init__(self, descriptor: int, slots: int) -> None:
        self._descriptor = descriptor
        self._slots = slots
        # The first makes it as long as the others need it.
        os.ftruncate(descriptor, slots * _SLOT_BYTES)
        self._cells = memoryview(mmap.mmap(descriptor, 0)).cast("d")

    @classmethod
    def create(cls, slots: int = 1) -> "Board":
        """A new one."""
        return cls(os.memfd_create("evenkeel-metrics"), slots)

    @property
    def slots(self) -> "list[memoryview[float]]":
        """All slots."""
        return [self._slot(slot) for slot in range(self._slots)]

    def claim(self) -> "memoryview[float]":
        """A slot that no living process holds. It counts on from where the last holder left it.

        :raises OSError: every slot is held.
        """
        for slot in range(self._slots):
            try:
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, _SLOT_BYTES, slot * _SLOT_BYTES)
            except OSError:
                continue
            return self._slot(slot)
        raise OSError("the metrics have no slot left for this worker")

    def sums(self) -> list[float]:
        """Each cell of the metrics, summed over the slots."""
        return [sum(self._cells[cell::_SLOT_CELLS]) for cell in range(_CELLS)]

    def _slot(self, slot: int) -> "memoryview[float]":
        return self._cells[slot * _SLOT_CELLS : (slot + 1) * _SLOT_CELLS]


class Metrics:
    """What this worker counts, and what all workers have counted."""

    def __init__(self, board: Board, drift_seconds: float = drift.WINDOW_SECONDS) -> None:
        self._board = board
        slot = board.claim()
        self._cells = slot[:_CELLS]
        self.note(dict.fromkeys(GAUGES, 0))
        mine, *everyone = (each[_CELLS:].cast("B") for each in (slot, *board.slots))
        self.drift = drift.Drift(mine, everyone, drift_seconds)
        self._lock = threading.Lock()

    def count(self, route: str, code: str, rows: int, seconds: float) -> None:
        """A request was answered."""
        cells, histogram = self._cells, _SECONDS[route]
        with self._lock:
            cells[_REQUESTS[route, code]] += 1
            cells[_ROWS[route]] += rows
            cells[histogram + bisect_left(BUCKETS, seconds)] += 1
            cells[histogram + len(BUCKETS) + 1] += seconds

    def note(self, amounts: Mapping[str, int]) -> None:
        """What this worker has at the moment, of each gauge."""
        for what, amount in amounts.items():
            self._cells[_GAUGES[what]] = amount

    def count_shadow(self, amounts: Mapping[str, float]) -> None:
        """A shadow was asked, or was not."""
        with self._lock:
            for what, amount in amounts.items():
                self._cells[_SHADOW[what]] += amount

    def shadowed(self) -> dict[str, float]:
        """What the shadows of all workers have come to."""
        sums = self._board.sums()
        return {what: sums[cell] for what, cell in _SHADOW.items()}

    def exposition(self, loaded: Sequence[tuple[str, int]], watches: Sequence[drift.Watch] = ()) -> str:
        """The text for Prometheus; `loaded` are the models and versions that this worker holds, and `watches` those of
        them whose drift is known.
        """
        lines = chain(_lines(self._board.sums(), loaded), _drift_lines(self.drift.spreads(watches)))
        return "\n".join(lines) + "\n"


def _lines(sums: list[float], loaded: Sequence[tuple[str, int]]) -> Iterator[str]:
    yield from _head("requests_total", "counter", "Requests answered, by route and by the code word of the answer.")
    for (route, code), cell in _REQUESTS.items():
        # Every route has its ok from the start; a refusal appears once it has happened.
        if code == "ok" or sums[cell]:
            yield f'evenkeel_requests_total{{route="{route}",code="{code}"}} {sums[cell]:.0f}'
    yield from _head("rows_total", "counter", "Rows predicted.")
    for route in ("predict", "invocations", "infer"):
        yield f'evenkeel_rows_total{{route="{route}"}} {sums[_ROWS[route]]:.0f}'
    yield from _head("request_seconds", "histogram", "Time from the first look at a request to its answer.")
    for route, start in _SECONDS.items():
        count = 0.0
        for bucket, le in enumerate((*BUCKETS, "+Inf")):
            count += sums[start + bucket]
            yield f'evenkeel_request_seconds_bucket{{route="{route}",le="{le}"}} {count:.0f}'
        yield f'evenkeel_request_seconds_sum{{route="{route}"}} {sums[start + len(BUCKETS) + 1]!r}'
        yield f'evenkeel_request_seconds_count{{route="{route}"}} {count:.0f}'
    for what, sentence in GAUGES.items():
        yield from _head(what, "gauge", sentence)
        yield f"evenkeel_{what} {sums[_GAUGES[what]]:.0f}"
    yield from _head("model_loaded", "gauge", "Models and versions that the answering worker holds.")
    for model, version in loaded:
        yield f'evenkeel_model_loaded{{model="{model}",version="{version}"}} 1'
    yield from _head("build_info", "gauge", "The version of Evenkeel.")
    yield f'evenkeel_build_info{{version="{__version__}"}} 1'


def _drift_lines(spreads: Sequence[drift.Spread]) -> Iterator[str]:
    labels = [f'model="{spread.model}",version="{spread.version}"' for spread in spreads]
    yield from _head("drift_rows_total", "counter", "Rows that were held against the training rows.")
    for label, spread in zip(labels, spreads, strict=True):
        yield f"evenkeel_drift_rows_total{{{label}}} {spread.rows:.0f}"
    yield from _head("drift_psi", "gauge", "Population stability index of a feature's late rows against training's.")
    for label, spread in zip(labels, spreads, strict=True):
        for feature, psi in spread.features.items():
            yield f'evenkeel_drift_psi{{{label},feature="{_escaped(feature)}"}} {psi:.6g}'
    yield from _head("prediction_drift_psi", "gauge", "The same of the predicted classes.")
    for label, spread in zip(labels, spreads, strict=True):
        if spread.predictions is not None:
            yield f"evenkeel_prediction_drift_psi{{{label}}} {spread.predictions:.6g}"


def _escaped(text: str) -> str:
    """A label's value: a feature is called whatever its column was."""
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _head(name: str, kind: str, sentence: str) -> tuple[str, str]:
    return f"# HELP evenkeel_{name} {sentence}", f"# TYPE evenkeel_{name} {kind}"
