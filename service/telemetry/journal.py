"""The prediction log of one process: answers and labels are handed over here, and a thread writes them.

Whoever hands over never waits, and nothing that goes wrong here costs an answer. What finds the queue or the disk full
is dropped and counted.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from random import random

import numpy as np

from models.prediction_log import encoded, timestamp
from service.rows.tensors import Probabilities, Tensors
from service.telemetry.lines import EVERYTHING, Lines, Origin, Privacy
from service.telemetry.log_files import LogFiles

# Of the memory that waiting rows take.
MOST_BYTES = 32 << 20
# What a request takes beside its rows.
OVERHEAD_BYTES = 64
# The thread looks so often, and words so many rows before it lets the event loop have the interpreter.
GATHER_SECONDS = 0.2
TOGETHER, PAUSE_SECONDS = 64, 0.0005
# Trouble is told so often at most.
TELL_SECONDS = 60.0

log = logging.getLogger(__name__)

# Requests by their ids, each with the places of its rows.
Requests = Sequence[tuple[str, Sequence[int]]]
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


@dataclass(slots=True)
class _Answers:
    """What waits of one version: moments, each with the requests that were answered then; and of their rows, one after
    the other, the numbers, the texts and the probabilities. Of a request as little is kept as can be: what is new
    memory with each is in no cache.
    """

    requests: list[tuple[float, Requests]] = field(default_factory=list)
    numbers: bytearray = field(default_factory=bytearray)
    texts: list[str] = field(default_factory=list)
    probabilities: bytearray = field(default_factory=bytearray)


class Journal:
    """Writes the prediction log; without `rules` it is off."""

    def __init__(self, rules: LogRules | None = None, count: Count = lambda _: None) -> None:
        self.on = rules is not None
        self._count = count
        self._answers: dict[Origin, _Answers] = {}
        self._labels: list[bytes] = []
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

    def predictions(self, origin: Origin, requests: Requests, tensors: Tensors, probabilities: Probabilities) -> None:
        """Rows were answered: `requests` are those that they belong to, in order, each by its id, with the places (from
        0 on) of its rows in it. It never waits and never raises; what it is given is copied.
        """
        try:
            if self._rules.share < 1:
                requests, tensors, probabilities = _drawn(self._rules.share, requests, tensors, probabilities)
            if requests and not self._put(origin, requests, tensors, probabilities):
                self._count({"queue": len(probabilities)})
        except Exception as error:
            self._fail(error, len(probabilities))

    def feedback(self, request_id: str, index: int, model: str, label: str) -> None:
        """The true label of row `index` (from 0 on) of a request is known. It never waits and never raises."""
        line = encoded(
            {
                "kind": "feedback",
                "time": timestamp(time.time()),
                "request_id": request_id,
                "index": index,
                "model": model,
                "label": label,
            }
        )
        with self._lock:
            full = self._bytes + len(line) > MOST_BYTES
            if not full:
                self._bytes += len(line)
                self._labels.append(line)
        if full:
            self._count({"queue": 1})

    def finish(self, seconds: float) -> None:
        """Write what is left, within some seconds."""
        if self.on:
            self._end.set()
            self._thread.join(seconds)

    def _put(self, origin: Origin, requests: Requests, tensors: Tensors, probabilities: Probabilities) -> bool:
        """Let rows wait for the thread; whether there is room for them."""
        numbers, texts = tensors.get("numeric"), tensors.get("categorical")
        cells = () if texts is None else texts.ravel().tolist()
        # A line takes much more, but only the thread makes lines, some at a time.
        size = probabilities.nbytes + OVERHEAD_BYTES * len(requests) + sum(map(str.__sizeof__, cells))
        if numbers is not None:
            size += numbers.nbytes
        with self._lock:
            if self._bytes + size > MOST_BYTES:
                return False
            self._bytes += size
            waiting = self._answers.get(origin)
            if waiting is None:
                waiting = self._answers[origin] = _Answers()
            waiting.requests.append((time.time(), requests))
            waiting.texts += cells
            if numbers is not None:
                waiting.numbers += numbers.tobytes()
            waiting.probabilities += probabilities.tobytes()
        return True

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
        """Write all that waits. Nothing of it is lost to what cannot be worded."""
        self._files.turn()
        with self._lock:
            answers, self._answers = self._answers, {}
            labels, self._labels = self._labels, []
            self._bytes = 0
        for origin, waiting in answers.items():
            try:
                self._word(origin, waiting)
            except Exception as error:
                self._fail(error, sum(len(places) for _, requests in waiting.requests for _, places in requests))
        for start in range(0, len(labels), TOGETHER):
            self._write(labels[start : start + TOGETHER])

    def _word(self, origin: Origin, answers: _Answers) -> None:
        """Write a line for each row, some at a time."""
        lines = self._lines.get(origin)
        if lines is None:
            lines = self._lines[origin] = Lines(origin, self._rules.privacy)
            self._warn(origin)
        names = chain.from_iterable(map(_names, answers.requests))
        probabilities = np.frombuffer(answers.probabilities, np.float32).reshape(-1, origin.classes)
        numbers = np.frombuffer(answers.numbers, np.float32).reshape(len(probabilities), origin.numbers)
        texts = answers.texts
        for start in range(0, len(probabilities), TOGETHER):
            here, cells = (slice(start * each, (start + TOGETHER) * each) for each in (1, origin.texts))
            some = texts[cells]
            self._write(list(lines.of(list(islice(names, TOGETHER)), numbers[here], some, probabilities[here])))
            # To let go of many texts at once would hold the interpreter.
            texts[cells] = [""] * len(some)
            if not self._end.is_set():
                time.sleep(PAUSE_SECONDS)

    def _warn(self, origin: Origin) -> None:
        """Tell of a feature that was to be dropped or hashed, and is none: perhaps another one was meant."""
        if unknown := self._rules.privacy.unknown(origin.features):
            log.warning(
                "EVENKEEL_PREDICTION_LOG_DROP or EVENKEEL_PREDICTION_LOG_HASH names what is no feature of the model",
                extra={"model": origin.model, "version": origin.version, "names": unknown},
            )

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


def _drawn(
    share: float, requests: Requests, tensors: Tensors, probabilities: Probabilities
) -> tuple[Requests, Tensors, Probabilities]:
    """A share of some requests, with their rows."""
    drawn = [random() < share for _ in requests]  # noqa: S311
    if not all(drawn):
        rows = np.repeat(drawn, [len(places) for _, places in requests])
        requests = [one for one, is_drawn in zip(requests, drawn, strict=True) if is_drawn]
        tensors, probabilities = {name: tensor[rows] for name, tensor in tensors.items()}, probabilities[rows]
    return requests, tensors, probabilities


def _names(answered: tuple[float, Requests]) -> Iterable[tuple[str, str, int]]:
    """Of each row when it was answered, its request, and its place in that."""
    moment, requests = answered
    when = timestamp(moment)
    return [(when, request_id, place) for request_id, places in requests for place in places]
