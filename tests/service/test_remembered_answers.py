"""What feedback remembers of answers and labels: of all workers, in bounded memory, for a while."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event

import numpy as np
import pytest

from service.errors import InvalidRecord
from service.telemetry.answers import KEPT, key_of
from service.telemetry.board import Board, Metrics
from service.telemetry.drift import Watch
from service.telemetry.feedback import ENOUGH
from service.telemetry.live import Live
from tests.service.test_drift import card, rows
from tests.service.test_metrics import in_a_fork

CLASSES = ("Adelie", "Chinstrap", "Gentoo")
FEEDBACK, PERFORMANCE = "/v1/feedback", "/v1/models/penguins/performance"
NOTHING = {"counted": 0, "corrected": 0, "repeated": 0, "unknown": 0, "unknown_ids": []}


def test_any_worker_is_told_what_any_has_answered() -> None:
    """And corrects what another was told; the newest label counts, wherever it is."""
    board, watch = Board.create(slots=3), Watch(card(), 1)
    mine = Metrics(board.seat(0)).feedback
    probabilities = rows(50)[1]

    def answer(request_id: str, count: int) -> None:
        feedback = Metrics(board.seat(1)).feedback
        feedback.remember(watch, request_id, probabilities[:count])
        feedback.fold()

    in_a_fork(partial(answer, "theirs", 50))
    in_a_fork(partial(answer, "alone", 1))
    keys = [key_of("theirs", place) for place in range(50)]

    assert mine.take([*keys, key_of("alone")], lambda *_: 0) == ["counted"] * 51
    in_a_fork(lambda: Metrics(board.seat(1)).feedback.take(keys[:7], lambda *_: 1))
    assert mine.take(keys[:8], lambda *_: 1) == ["repeated"] * 7 + ["corrected"]
    (live, _), (other, _) = mine.live([watch, Watch(card(), 2)])
    assert live.verdict.labels == 51
    assert [sum(line) for line in live.confused.counts] == [43, 8, 0]
    assert other.verdict.labels == 0


def test_the_newest_answers_are_remembered_in_bounded_memory() -> None:
    """Of single rows and of more rows in a request than there is room for; of an id that came twice the last answer."""
    metrics, watch = Metrics(Board.create(slots=1, rows=8)), Watch(card(), 1)
    feedback, probabilities = metrics.feedback, rows(20)[1]
    for number in range(20):
        feedback.remember(watch, f"r{number}", probabilities[number : number + 1])
    known = feedback.take([key_of(f"r{number}") for number in range(20)], lambda *_: 0)
    assert known == ["unknown"] * 12 + ["counted"] * 8
    feedback.remember(watch, "many", probabilities)
    known = feedback.take([key_of("many", place) for place in range(20)], lambda *_: 2)
    assert known == ["unknown"] * 12 + ["counted"] * 8
    assert [sum(line) for line in feedback.live([watch])[0][0].confused.counts] == [0, 0, 8]
    feedback.remember(watch, "many", probabilities[:1])
    assert feedback.take([key_of("many")], lambda *_: 0) == ["counted"]


def test_of_long_requests_the_newest_answers_are_remembered() -> None:
    """As many as there is room for, to the row, though most are let go of before they are written down; those before a
    label has come are found in their place.
    """
    feedback, watch = Metrics(Board.create(slots=1, rows=2000)).feedback, Watch(card(), 1)
    probabilities = rows(ENOUGH + 44)[1]
    sent = [(f"r{number}", 1 if number % 4 == 3 else len(probabilities)) for number in range(14)]
    for request_id, count in sent:
        feedback.remember(watch, request_id, probabilities[:count])
        if request_id == "r3":
            assert feedback.take([key_of("r1", 299), key_of("r3")], lambda *_: 1) == ["counted"] * 2
    keys = [key_of(request_id, place) for request_id, count in sent for place in range(count)]
    known = feedback.take(keys, lambda *_: 0)
    places = {key_of("r1", 299): "corrected", key_of("r3"): "corrected"}

    assert known[-2000:] == ["counted"] * 2000
    assert known[:-2000] == [places.get(key, "unknown") for key in keys[:-2000]]


def test_long_requests_are_remembered_while_others_are_written_down() -> None:
    """By a thread of its own, which may have taken the last one already."""
    feedback, watch = Metrics(Board.create(slots=1, rows=2000)).feedback, Watch(card(), 1)
    probabilities, done = rows(ENOUGH + 44)[1], Event()

    def fold() -> None:
        while not done.is_set():
            feedback.fold()

    with ThreadPoolExecutor(1) as pool:
        folding = pool.submit(fold)
        try:
            for number in range(300):
                feedback.remember(watch, f"r{number}", probabilities)
        finally:
            done.set()
        folding.result()

    keys = [key_of(f"r{number}", place) for number in range(293, 300) for place in range(len(probabilities))]
    assert feedback.take(keys[-2000:], lambda *_: 0) == ["counted"] * 2000


def test_labels_are_forgotten_after_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """By when they came, however late that was after the answer."""
    feedback, watch = Metrics(Board.create()).feedback, Watch(card(), 1)
    days = 86_400.0

    def told(now: float) -> list[int]:
        monkeypatch.setattr("service.telemetry.feedback.time.time", lambda: now)
        return [window.verdict.labels for window in feedback.live([watch])[0]]

    told(0.0)
    feedback.remember(watch, "late", rows(1)[1])
    assert told(9 * days) == [0, 0]
    assert feedback.take([key_of("late")], lambda *_: 0) == ["counted"]
    assert told(9 * days + 3599) == [1, 1]
    assert told(9 * days + 3601) == [0, 1]
    assert told(10 * days + 1) == [0, 0]


def test_of_many_classes_the_likeliest_are_kept() -> None:
    """The others share what is left: accuracy and what is promised are exact, log-loss is where the label is one of
    the sixteen; of the confusion those classes are shown that are mistaken most.
    """
    classes = tuple(f"c{number}" for number in range(40))
    watch = Watch(card().model_copy(update={"classes": classes}), 1)
    feedback = Metrics(Board.create()).feedback
    probabilities = np.random.default_rng(3).dirichlet(np.full(40, 0.3), 200).astype(np.float32)
    order = np.argsort(-probabilities, axis=1)
    feedback.remember(watch, "many", probabilities)
    place = np.where(np.arange(200) % 10 == 0, order[:, 5], order[:, 0])
    feedback.take([key_of("many", row) for row in range(200)], lambda at, _: int(place[at]))
    live = feedback.live([watch])[0][0]
    losses = -np.log(probabilities[np.arange(200), place])
    assert live.verdict.accuracy == 0.9
    assert live.verdict.expected == pytest.approx(probabilities.max(axis=1).mean(), rel=1e-6)
    assert live.log_loss == pytest.approx(losses.mean(), rel=1e-6)
    assert (len(live.confused.classes), live.confused.others) == (20, 20)
    assert sum(map(sum, live.confused.counts)) == 200

    rare = order[:, -1]
    feedback.take([key_of("many", row) for row in range(200)], lambda at, _: int(rare[at]))
    live = feedback.live([watch])[0][0]
    rest = np.maximum(1 - np.sort(probabilities, axis=1)[:, -KEPT:].sum(axis=1), 0) / (40 - KEPT)
    assert live.verdict.accuracy == 0
    assert live.log_loss == pytest.approx(-np.log(np.maximum(rest, 1.2e-38)).mean(), rel=1e-2)


def test_a_label_that_fails_leaves_nothing_half_done() -> None:
    """Where one of a batch is refused, those before it are not taken either."""
    feedback, watch = Metrics(Board.create()).feedback, Watch(card(), 1)
    feedback.remember(watch, "x", rows(3)[1])

    def refuse(at: int, _: int) -> int:
        if at == 2:
            raise InvalidRecord("no")
        return 0

    with pytest.raises(InvalidRecord):
        feedback.take([key_of("x", place) for place in range(3)], refuse)
    found: Live = feedback.live([watch])[0][0]
    assert found.verdict.labels == 0
