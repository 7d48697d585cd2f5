"""What a request for predictions may cost the event loop, told from the length of its body before that is read.

The unit is a turn of the loop: what it may do before it looks at its other clients again. It counts what the bytes may
be, and what the model was measured to take.
"""

from collections.abc import Callable
from time import thread_time
from typing import NamedTuple

import numpy as np

from service.rows.tensors import Tensors

# A turn is so much work: bytes of bodies times features and classes, since a byte may be a cell, and a row an answer;
# the bytes count for so much at least, however narrow the model is. The worst bodies of 16 kB take some 25 ms.
TURN_WORK, LEAST_WIDTH = 1 << 20, 64
# Or so many probabilities, of which the bodies may ask for one with each byte that may be a row.
TURN_ANSWERS = 1 << 16
# Or so many seconds of the model's run.
TURN_SECONDS = 0.02
# A processor that others use too is slower at times.
TRIES = 3
# Models that are quicker are measured with many rows too: a row more takes less than the first.
QUICK_SECONDS, MANY_ROWS = 0.001, 64


class Pace(NamedTuple):
    """How long a model runs: seconds of the processor for a row alone, and for each row more."""

    first: float
    more: float

    def rows(self, seconds: float) -> int:
        """How many rows at once take no longer."""
        return 1 + int((seconds - self.first) / self.more) if self.first <= seconds else 0


class Cost(NamedTuple):
    """What a request costs at most, as a part of a turn: whatever is in it, and with each byte of its body."""

    run: float = 0.0
    byte: float = 0.0

    def or_of(self, other: "Cost") -> "Cost":
        """Where it is not known which of two models will answer."""
        return Cost(max(self.run, other.run), max(self.byte, other.byte))


def measure(run: Callable[[Tensors], object], row: Tensors) -> Pace:
    """The pace of a model that runs with the tensors of a row."""
    first = _seconds(run, row)
    if first > QUICK_SECONDS:
        return Pace(first, first)
    many = _seconds(run, {name: np.repeat(tensor, MANY_ROWS, axis=0) for name, tensor in row.items()})
    # A clock that did not move is no reason to divide by nothing.
    return Pace(first, max((many - first) / (MANY_ROWS - 1), 1e-9))


def cost(features: int, classes: int, pace: Pace) -> Cost:
    """What requests to a model cost."""
    rows = 1 / max(1, features)
    work = max(features + classes, LEAST_WIDTH) / TURN_WORK
    return Cost(pace.first / TURN_SECONDS, max(work, rows * classes / TURN_ANSWERS, rows * pace.more / TURN_SECONDS))


def _seconds(run: Callable[[Tensors], object], tensors: Tensors) -> float:
    taken = []
    for _ in range(TRIES):
        began = thread_time()
        run(tensors)
        taken.append(thread_time() - began)
    return min(taken)
