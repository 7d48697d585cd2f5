import threading
from collections import Counter
from collections.abc import Mapping
from time import monotonic, sleep
from typing import cast

import numpy as np
import pytest

from service.prediction.decision import most_probable
from service.prediction.predictor import Predictor
from service.prediction.shadowing import LONGEST_QUEUE, MOST_ROWS, Shadowing, compare
from service.rows.tensors import Probabilities, Tensors

TENSORS: Tensors = {"numeric": np.zeros((3, 1), np.float32)}
GIVEN = np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.2, 0.7, 0.1]], np.float32)


class Stub:
    """A shadow with a fixed answer, that can be held up."""

    decide = staticmethod(most_probable)

    def __init__(self, answer: Probabilities | Exception) -> None:
        self.answer = answer
        self.free = threading.Event()
        self.free.set()

    def predict(self, _: Tensors) -> Probabilities:
        self.free.wait(20)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Counts:
    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()

    def add(self, amounts: Mapping[str, float]) -> None:
        self.counted.update(cast(Mapping[str, int], amounts))

    def wait_for(self, what: str, amount: int) -> None:
        deadline = monotonic() + 20
        while self.counted[what] < amount and monotonic() < deadline:
            sleep(0.001)
        assert self.counted[what] == amount


def test_disagreements_and_differences_are_counted_by_row() -> None:
    """By hand: of three rows one changes its label; each contributes its mean absolute difference."""
    other = np.array([[0.5, 0.3, 0.2], [0.1, 0.4, 0.5], [0.8, 0.1, 0.1]], np.float32)
    counted = compare(cast(Predictor, Stub(other)), TENSORS, GIVEN)

    assert counted["requests"] == 1
    assert counted["rows"] == 3
    assert counted["disagreements"] == 1
    assert counted["difference"] == pytest.approx(0 / 3 + (0.3 + 0.3) / 3 + (0.6 + 0.6) / 3, abs=1e-6)
    assert counted["seconds"] >= 0


def test_a_slow_shadow_makes_nobody_wait() -> None:
    """What finds the queue full is dropped and counted, at once; what is in it is answered later."""
    counts, shadow = Counts(), Stub(GIVEN)
    shadowing = Shadowing(counts.add)
    shadow.free.clear()
    began = monotonic()
    for _ in range(LONGEST_QUEUE + 50):
        shadowing.ask(cast(Predictor, shadow), TENSORS, GIVEN)
    assert monotonic() - began < 2
    assert 49 <= counts.counted["dropped"] <= 50  # The thread may hold one already.

    shadow.free.set()
    counts.wait_for("requests", LONGEST_QUEUE + 50 - counts.counted["dropped"])


def test_a_long_request_is_not_kept() -> None:
    """The queue bounds rows as well as requests."""
    counts = Counts()
    long = np.zeros((MOST_ROWS + 1, 3), np.float32)
    Shadowing(counts.add).ask(cast(Predictor, Stub(long)), TENSORS, long)

    assert counts.counted == {"dropped": 1}


def test_a_shadow_that_fails_is_counted_and_asked_again() -> None:
    """Whatever it raises."""
    counts, shadow = Counts(), Stub(RuntimeError("broken"))
    shadowing = Shadowing(counts.add)
    shadowing.ask(cast(Predictor, shadow), TENSORS, GIVEN)
    counts.wait_for("failed", 1)
    shadow.answer = GIVEN
    shadowing.ask(cast(Predictor, shadow), TENSORS, GIVEN)
    counts.wait_for("requests", 1)
