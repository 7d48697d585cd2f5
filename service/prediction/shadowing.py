"""Shadowing: a version answers what the serving one was asked, after the fact, and is only compared with it.

One thread asks the shadow, behind a short queue: no request ever waits, and what finds the queue full is dropped.
"""

import queue
import threading
from collections.abc import Callable, Mapping
from operator import ne
from time import perf_counter

import numpy as np

from service.prediction.predictor import Predictor
from service.rows.tensors import Probabilities, Tensors

# Together they bound the memory that waiting requests hold.
LONGEST_QUEUE, MOST_ROWS = 32, 1024
Asked = tuple[Predictor, Tensors, Probabilities]
Count = Callable[[Mapping[str, float]], None]


class Shadowing:
    """Asks shadows, and counts what comes of it."""

    def __init__(self, count: Count) -> None:
        self._count = count
        self._queue: queue.Queue[Asked] = queue.Queue(LONGEST_QUEUE)
        self._begin = threading.Lock()
        self._thread: threading.Thread | None = None

    def ask(self, shadow: Predictor, tensors: Tensors, probabilities: Probabilities) -> None:
        """Compare a shadow's answer to these tensors with the one that was given, some time."""
        with self._begin:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="shadow", daemon=True)
                self._thread.start()
        try:
            if len(probabilities) > MOST_ROWS:
                raise queue.Full
            self._queue.put_nowait((shadow, tensors, probabilities))
        except queue.Full:
            self._count({"dropped": 1})

    def _work(self) -> None:
        while True:
            asked = self._queue.get()
            try:
                self._count(compare(*asked))
            except Exception:  # Whatever is wrong with the shadow, the next request may go well.
                self._count({"failed": 1})
            del asked  # A shadow that was unloaded meanwhile is not to wait here for the next request.


def compare(shadow: Predictor, tensors: Tensors, probabilities: Probabilities) -> dict[str, float]:
    """What one request adds to the counts.

    :raises InvalidAnswer: the shadow answers with no probabilities.
    """
    began = perf_counter()
    other = shadow.predict(tensors)
    seconds = perf_counter() - began
    return {
        "requests": 1,
        "rows": len(other),
        "disagreements": sum(map(ne, shadow.decide(other), shadow.decide(probabilities))),
        "difference": float(np.abs(other - probabilities).mean(axis=1, dtype=np.float64).sum()),
        "seconds": seconds,
    }
