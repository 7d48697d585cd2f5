"""Runs of a model: long ones in slices, and each ended when its time is up."""

import threading
import time
from time import monotonic

import numpy as np
import pytest

from models.repository import ModelRepository
from service.app import create_app
from service.errors import RunTimeout
from service.prediction.prediction import Bounds
from service.prediction.predictor import MOST_ROWS, Predictor
from service.prediction.watchdog import TICK_SECONDS, Watchdog
from service.registry.registry import Registry
from service.rows.tensors import Tensors
from tests.service.conftest import GENTOO, PUBLISHED


def test_a_run_in_slices_gives_the_same_answers() -> None:
    """To the last bit, however many rows there are."""
    predictor = Predictor(ModelRepository(PUBLISHED).read("penguins", 1))
    rng = np.random.default_rng(0)
    rows = 3 * MOST_ROWS + 1
    numbers = rng.normal([45, 15, 200, 4500, 2008], [5, 2, 20, 800, 1], (rows, 5)).astype(np.float32)
    asked: Tensors = {"numeric": numbers, "categorical": rng.choice(["Biscoe", "Dream", "x"], (rows, 2)).astype(object)}
    answers = predictor.predict(asked)

    assert predictor._slice == MOST_ROWS
    for start in (0, 1, MOST_ROWS - 1, MOST_ROWS, rows - 1):
        alone = predictor.predict({name: tensor[start : start + 1] for name, tensor in asked.items()})
        assert alone.tobytes() == answers[start : start + 1].tobytes()


def test_a_run_that_takes_too_long_is_ended() -> None:
    """With 504 and the limit; the next is not, also where the two meet."""
    predictor = Predictor(ModelRepository(PUBLISHED).read("penguins", 1))
    one = predictor.rows.read([GENTOO]).tensors
    many: Tensors = {name: np.repeat(tensor, 2_000_000, axis=0) for name, tensor in one.items()}
    expected = predictor.predict(one)
    with pytest.raises(RunTimeout):
        predictor.predict(many, 0.1)
    assert predictor.predict(one).tobytes() == expected.tobytes()
    began = monotonic()
    ended: list[str] = []

    def long() -> None:
        try:
            predictor.predict(many, 0.3)
        except RunTimeout as refusal:
            ended.append(str(refusal))

    thread = threading.Thread(target=long)
    thread.start()
    while thread.is_alive():
        assert predictor.predict(one).tobytes() == expected.tobytes()
    assert ended == ["the model took longer than 0.3 seconds; send fewer rows at once"]
    assert monotonic() - began < 5
    assert all(predictor.predict(one).tobytes() == expected.tobytes() for _ in range(100))
    assert len(predictor._options) <= 2


def test_a_timeout_has_a_status() -> None:
    """It is counted by its code."""
    registry = Registry(ModelRepository(PUBLISHED))
    registry.refresh()
    app = create_app(registry, Bounds(run_seconds=1e-9)).test_client()
    rows = {"instances": [list(GENTOO.values())] * 100_000}
    response = app.post("/predict", json=rows)

    assert response.status_code == 504
    assert response.json is not None
    assert response.json["code"] == "run_timeout"
    assert 'code="run_timeout"} 1' in app.get("/metrics").text


def test_the_watchdog_ends_what_is_due_and_nothing_that_is_over() -> None:
    """Also in the moment between the two."""

    class Run:
        terminate = False

    watchdog, late, over, free = Watchdog(), Run(), Run(), Run()
    watchdog.due |= {late: monotonic(), over: monotonic(), free: monotonic() + 60}
    watchdog.due.pop(over)
    watchdog.start()
    time.sleep(5 * TICK_SECONDS)

    assert (late.terminate, over.terminate, free.terminate) == (True, False, False)
    assert list(watchdog.due) == [free]
