"""Feedback: labels that answers have got since, over all workers, and what they say of a version.

An answer is only noted when it is given, and written down with others, for whichever worker is told its label. The
newest label of an answer is the one that counts.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np

from models.performance import measured
from service.rows.tensors import Probabilities
from service.telemetry.answers import (
    ASKED,
    HEARD,
    RECORD,
    UNLABELLED,
    Keys,
    Newest,
    Records,
    keys_of,
    looking_for,
    records_of,
)
from service.telemetry.drift import Watch
from service.telemetry.live import Live, live_of

# So many requests are written down together; of long ones, so many bytes.
ENOUGH, ENOUGH_BYTES = 256, 1 << 20
FOLD_SECONDS = 1.0
# How often a process listens whether another one looks for an answer, as its event loop ticks; how long it may have
# been silent, and how long it is waited for.
LISTEN_SECONDS, ALIVE_SECONDS, PATIENCE_SECONDS = 0.05, 1.0, 0.25

log = logging.getLogger(__name__)

# Of an answered request: its version, its id, the places of its rows where it has others, its answer as bytes, how many
# rows that has, and the time.
Noted = tuple[Watch, str, Sequence[int] | None, bytes, int, float]

Result = Literal["counted", "corrected", "repeated", "unknown"]
RESULTS: tuple[Result, ...] = ("counted", "corrected", "repeated", "unknown")

# The place of the label among the classes of an owner, for the row at a place of the request; None where nobody knows
# the owner. What is no class is refused.
ClassOf = Callable[[int, int], int | None]


class Feedback:
    """What this process has answered and was told, in rings of its own, and those of all processes. Without `rows` it
    remembers nothing.
    """

    def __init__(self, everyone: Sequence[memoryview], mine: int, rows: int, seconds: Sequence[float]) -> None:
        self.on = rows > 0
        self._most = rows
        self._seconds = seconds
        if self.on:
            self._everyone = [Newest.within(one, rows) for one in everyone]
            self._mine = self._everyone[mine]
        # In the order of the answers: many threads append, one at a time takes them away.
        self._noted: deque[Noted] = deque()
        self._folding, self._taking = threading.Lock(), threading.Lock()

    def remember(
        self, watch: Watch, request_id: str, probabilities: Probabilities, places: Sequence[int] | None = None
    ) -> None:
        """The rows of a request were answered; `places` are theirs in the request where it has others."""
        noted = self._noted
        noted.append((watch, request_id, places, probabilities.tobytes(), len(probabilities), time.time()))
        if len(noted) >= ENOUGH or (len(probabilities) > ENOUGH and self._forget() >= ENOUGH_BYTES):
            self.fold()

    def fold(self) -> None:
        """Write down what was noted."""
        with self._folding:
            found: dict[Watch, list[Noted]] = {}
            for one in [self._noted.popleft() for _ in range(len(self._noted))]:
                found.setdefault(one[0], []).append(one)
            for watch, answers in found.items():
                self._mine.answers.extend(*_written(watch, answers))

    def _forget(self) -> int:
        """Let go of answers that newer ones leave no room for, before they are written down: of long requests that is
        most of them. Returns the bytes of the others.
        """
        with self._folding:
            noted = list(self._noted)
            rows = sum(one[4] for one in noted)
            while noted and rows - noted[0][4] >= self._most:
                rows -= noted.pop(0)[4]
                self._noted.popleft()
        return sum(len(one[3]) for one in noted)

    def follow(self) -> None:
        """Fold from a thread of its own: when another process looks for an answer, and else once a second."""

        def listen() -> None:
            pause, folded = threading.Event(), 0.0
            while not pause.wait(LISTEN_SECONDS):
                try:
                    now, asked = time.time(), self._asked()
                    self._mine.listened[0] = now
                    if asked != self._mine.counts[HEARD] or now - folded > FOLD_SECONDS:
                        self.fold()
                        self._mine.counts[HEARD], folded = asked, now
                except Exception:  # The thread must not end: nobody would notice.
                    log.exception("answers not remembered")

        threading.Thread(target=listen, name="feedback", daemon=True).start()

    def take(self, keys: Sequence[int], class_of: ClassOf) -> list[Result]:
        """Labels of the answers with these keys have come. Where `class_of` raises, none of them is taken."""
        with self._taking:
            self.fold()
            found = self._found(keys)
            if len(found) < len(set(keys)) and self._ask_others():
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
                self._mine.labels.extend(np.array(list(taken), np.uint64), np.array(list(taken.values()), RECORD))
        return results

    def refill(self, answers: Mapping[int, Records], labels: Mapping[int, Records]) -> None:
        """Remember records of before, each by its key: answers, and those of them that have labels."""
        with self._taking, self._folding:
            for ring, rows in ((self._mine.answers, answers), (self._mine.labels, labels)):
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
            found.append([live_of(watch, hours, rows, known) for hours, rows in recent])
        return found

    def _asked(self) -> int:
        """How often somebody has asked all others for what they know."""
        return sum(one.counts[ASKED] for one in self._everyone)

    def _ask_others(self) -> bool:
        """Let the other processes that listen write down what they have noted; whether there are any."""
        now, mine = time.time(), self._mine
        others = [one for one in self._everyone if one is not mine and one.listened[0] > now - ALIVE_SECONDS]
        if not others:
            return False
        mine.counts[ASKED] += 1
        asked = self._asked()
        while any(one.counts[HEARD] < asked for one in others) and time.time() < now + PATIENCE_SECONDS:
            time.sleep(LISTEN_SECONDS / 10)
        return True

    def _found(self, keys: Sequence[int]) -> dict[int, Records]:
        """The newest answer with each key, and of its labels the newest."""
        wanted, choose = set(keys), looking_for(keys)
        found: dict[int, Records] = {}
        for one in self._everyone:
            for ring in (one.answers, one.labels):
                keys_there, records = ring.matching(choose)
                for key, record in zip(keys_there.tolist(), records, strict=True):
                    if key in wanted and (key not in found or _age(found[key]) < _age(record)):
                        found[key] = record
        return found


def _written(watch: Watch, answers: Sequence[Noted]) -> tuple[Keys, Records]:
    """The keys and records of what was noted of one version."""
    _, ids, places, parts, counts, moments = zip(*answers, strict=True)
    probabilities = np.frombuffer(b"".join(parts), np.float32).reshape(-1, watch.bins.classes)
    keys, times = keys_of(ids), np.array(moments)
    if len(probabilities) > len(parts) or any(one is not None for one in places):
        rows = [
            np.arange(count) if one is None else np.array(one, np.int64)
            for one, count in zip(places, counts, strict=True)
        ]
        keys, times = keys_of(ids, counts, np.concatenate(rows)), np.repeat(times, counts)
    return keys, records_of(watch.owner, times, probabilities)


def _age(record: Records) -> tuple[float, float]:
    return float(record["answered"]), float(record["labelled"])
