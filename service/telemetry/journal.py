"""The prediction log of one process: answers and labels are handed over here, and a thread writes them.

Whoever hands over never waits, and nothing that goes wrong here costs an answer. What finds the queue or the disk full
is dropped and counted.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import random
from typing import NamedTuple

import numpy as np

from models.prediction_log import encoded, timestamp
from service.rows.tensors import Probabilities, Tensors
from service.telemetry.lines import EVERYTHING, Lines, Origin, Privacy
from service.telemetry.log_files import LogFiles

# Of the memory that waiting rows take.
MOST_BYTES = 32 << 20
# What a text takes beside its characters, and a row or a label beside its cells.
OVERHEAD_BYTES = 64
# The thread looks so often, and words so many rows before it lets the event loop have the interpreter.
GATHER_SECONDS = 0.2
TOGETHER, PAUSE_SECONDS = 64, 0.0005
# Trouble is told so often at most.
TELL_SECONDS = 60.0

log = logging.getLogger(__name__)

# Called with how many lines were written, or were dropped, by the cause.
Count = Callable[[Mapping[str, int]], None]


@dataclass(frozen=True)
class LogRules:
    """Where the log is, how large and how old a file of it gets, how long files are kept (None: for ever), which share
    of the requests it has, and what of their rows.
    """

    folder: Path
    file_bytes: int = 64 << 20
    file_seconds: float = 86_400.0
    keep_seconds: float | None = None
    share: float = 1.0
    privacy: Privacy = EVERYTHING


class _Answers(NamedTuple):
    """Rows that were answered together: when, whose they are (each request with its number of rows), and the rows."""

    origin: Origin
    time: float
    requests: Sequence[tuple[str, int]]
    numbers: bytes
    texts: list[str]
    probabilities: bytes
    size: int


class _Label(NamedTuple):
    time: float
    request_id: str
    place: int
    model: str
    label: str
    size: int


class Journal:
    """Writes the prediction log; without `rules` it is off."""

    def __init__(self, rules: LogRules | None = None, count: Count = lambda _: None) -> None:
        self.on = rules is not None
        self._count = count
        self._waiting: deque[_Answers | _Label] = deque()
        self._bytes = 0
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._told = -TELL_SECONDS
        self._lines: dict[Origin, Lines] = {}
        if rules is not None:
            self._rules = rules
            self._files = LogFiles(rules.folder, rules.file_bytes, rules.file_seconds, rules.keep_seconds)
            self._thread = threading.Thread(target=self._work, name="prediction log", daemon=True)
            self._thread.start()

    def predictions(
        self, origin: Origin, requests: Sequence[tuple[str, int]], tensors: Tensors, probabilities: Probabilities
    ) -> None:
        """Rows were answered: `requests` are the requests that they belong to, in order, each by its id and its number
        of rows. It never waits and never raises; what it is given is copied.
        """
        try:
            numbers, texts = tensors.get("numeric"), tensors.get("categorical")
            cells: list[str] = [] if texts is None else texts.ravel().tolist()
            size = OVERHEAD_BYTES * (len(probabilities) + len(cells)) + sum(map(len, cells)) + probabilities.nbytes
            self._put(
                _Answers(
                    origin,
                    time.time(),
                    requests,
                    b"" if numbers is None else numbers.tobytes(),
                    cells,
                    probabilities.tobytes(),
                    size if numbers is None else size + numbers.nbytes,
                ),
                len(probabilities),
            )
        except Exception as error:
            self._fail(error, len(probabilities))

    def feedback(self, request_id: str, index: int, model: str, label: str) -> None:
        """The true label of row `index` (from 0 on) of a request is known. It never waits and never raises."""
        self._put(_Label(time.time(), request_id, index, model, label, 4 * OVERHEAD_BYTES), 1)

    def finish(self, seconds: float) -> None:
        """Write what is left, within some seconds."""
        if self.on:
            self._end.set()
            self._thread.join(seconds)

    def _put(self, one: _Answers | _Label, lines: int) -> None:
        with self._lock:
            full = self._bytes + one.size > MOST_BYTES
            if not full:
                self._bytes += one.size
                self._waiting.append(one)
        if full:
            self._count({"queue": lines})

    def _work(self) -> None:
        more = True
        while more:
            more = not self._end.wait(GATHER_SECONDS)
            try:
                self._drain()
            except Exception as error:  # The thread must not end: nobody would notice.
                self._fail(error, 0)
        self._files.close()

    def _drain(self) -> None:
        """Write all that waits. Nothing of it is lost to a row that cannot be worded."""
        self._files.turn()
        while self._waiting:
            one = self._waiting.popleft()
            with self._lock:
                self._bytes -= one.size
            if isinstance(one, _Label):
                self._write([encoded(_fields(one))])
                continue
            try:
                for lines in self._worded(one):
                    self._write(lines)
                    if not self._end.is_set():
                        time.sleep(PAUSE_SECONDS)
            except Exception as error:
                self._fail(error, sum(rows for _, rows in one.requests))

    def _worded(self, one: _Answers) -> Iterator[list[bytes]]:
        origin, share = one.origin, self._rules.share
        lines = self._lines.get(origin)
        if lines is None:
            lines = self._lines[origin] = Lines(origin, self._rules.privacy)
        probabilities = np.frombuffer(one.probabilities, np.float32).reshape(-1, origin.classes)
        numbers = np.frombuffer(one.numbers, np.float32).reshape(len(probabilities), origin.numbers)
        when, texts, width = timestamp(one.time), one.texts, origin.texts
        start = 0
        for request_id, rows in one.requests:
            chosen = share >= 1 or random() < share  # noqa: S311
            for first in range(0, rows, TOGETHER):
                here = slice(start + first, start + min(rows, first + TOGETHER))
                names = [(when, request_id, first + index) for index in range(here.stop - here.start)]
                cells = slice(here.start * width, here.stop * width)
                if chosen:
                    yield list(lines.of(names, numbers[here], texts[cells], probabilities[here]))
                # To let go of many texts at once would hold the interpreter.
                texts[cells] = [""] * (cells.stop - cells.start)
            start += rows

    def _write(self, lines: Sequence[bytes]) -> None:
        try:
            self._files.append(b"".join(lines))
        except OSError as error:
            self._count({"disk": len(lines)})
            self._tell(error)
        else:
            self._count({"written": len(lines)})

    def _fail(self, error: Exception, lines: int) -> None:
        self._count({"failed": lines})
        self._tell(error)

    def _tell(self, error: Exception) -> None:
        now = time.monotonic()
        if now - self._told >= TELL_SECONDS:
            self._told = now
            reason = error.strerror if isinstance(error, OSError) else None
            log.error(
                "prediction log not written: lines are dropped, and counted in evenkeel_prediction_log_lines_total",
                extra={"reason": reason or type(error).__name__},
                exc_info=None if reason else error,
            )


def _fields(one: _Label) -> dict[str, object]:
    return {
        "kind": "feedback",
        "time": timestamp(one.time),
        "request_id": one.request_id,
        "index": one.place,
        "model": one.model,
        "label": one.label,
    }
