"""Explanations behind the event loop: in a thread of their own, a few at a time, and the loop answers meanwhile."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any, cast

import pytest
from flask import Flask

from service.access import Access
from service.app import Front, create_app
from service.errors import Overloaded
from service.http.admission import QUEUE, Admission, Limits
from service.http.dispatch import Dispatcher
from service.prediction import explain, shapley
from service.prediction.prediction import Bounds
from service.registry.registry import Registry
from service.wire.reasons import MOST_ROWS
from tests.hostile.conftest import post
from tests.service.test_dispatch import ask, dispatcher, get, serve
from tests.service.test_explain import LIMIT, TYPICAL

EXPLAIN, PREDICT = b"/v1/models/penguins/versions/2:explain", b"/v1/models/penguins/versions/2:predict"
# Far below what an explanation takes here, and far above what a loop does, on a machine that does much else.
BLINK_S = 0.25


@pytest.fixture
def app(registry: Registry, publish: Callable[..., int]) -> Flask:
    publish(typical=TYPICAL)
    registry.refresh()
    return create_app(registry, Bounds(LIMIT, run_seconds=60.0))


@pytest.fixture
def lengthy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a row's explanation take a twentieth of a second, some six thousand coalitions."""
    monkeypatch.setattr(shapley, "MOST_EXACT", 2)
    monkeypatch.setattr(shapley, "MOST_NUMBERED", 2)
    monkeypatch.setattr(explain, "ENOUGH_ERROR", 0.0)
    monkeypatch.setattr(explain, "MOST_PAIRS", 600)
    monkeypatch.setattr(explain, "MOST_WORK", 1 << 40)
    monkeypatch.setattr(explain, "coalitions", lambda players, pairs: float((2 * pairs * (players - 1)).sum()))


def body(record: dict[str, Any], rows: int, **more: Any) -> bytes:
    return json.dumps({"instances": [record] * rows, **more}).encode()


@pytest.mark.usefixtures("lengthy")
@pytest.mark.parametrize(("path", "more"), [(EXPLAIN, {}), (PREDICT, {"explain": True})])
def test_the_loop_is_never_held(app: Flask, record: dict[str, Any], path: bytes, more: dict[str, Any]) -> None:
    """While as many rows as may be are explained by many permutations, health and predictions come at once."""

    async def clients(_: Dispatcher, port: int) -> None:
        explaining = asyncio.create_task(ask(port, post(body(record, MOST_ROWS, **more), path=path)))
        await asyncio.sleep(0.1)
        waits = []
        while not explaining.done():
            began = time.monotonic()
            live = await ask(port, get("/v2/health/live"))
            predicted = await ask(port, post(json.dumps({"instance": record}).encode(), path=PREDICT))
            waits.append(time.monotonic() - began)
            assert (live[0], predicted[0]) == (200, 200)
            await asyncio.sleep(0.01)

        assert explaining.result()[0] == 200
        assert len(waits) > 10
        # A loop that is held waits for a row or for all of them, time after time; a machine that halts does so rarely.
        waits.sort()
        assert waits[len(waits) // 2] < BLINK_S / 4
        assert waits[len(waits) * 9 // 10] < BLINK_S

    serve(dispatcher(app.wsgi_app, Limits(LIMIT, deadline_seconds=30.0)), clients)


@pytest.mark.usefixtures("lengthy")
def test_what_would_wait_too_long_is_refused_at_once(app: Flask, record: dict[str, Any]) -> None:
    """Explanations alone are: long predictions have their own threads. Afterwards all is as before."""

    async def clients(dispatcher: Dispatcher, port: int) -> None:
        known = await ask(port, post(body(record, 4), path=EXPLAIN))
        first = asyncio.create_task(ask(port, post(body(record, MOST_ROWS), path=EXPLAIN)))
        while not dispatcher.admission.explaining:
            await asyncio.sleep(0.001)
        began = time.monotonic()
        refused = [await ask(port, post(body(record, rows), path=EXPLAIN)) for rows in (1, MOST_ROWS)]
        within = await ask(port, post(body(record, 1, explain=True), path=PREDICT))
        waited = time.monotonic() - began
        long = await ask(port, post(body(record, 300), path=PREDICT))
        assert not first.done()

        assert waited < 2 * BLINK_S
        for status, headers, told in (*refused, within):
            assert (status, headers["retry-after"], json.loads(told)["code"]) == (503, "1", "overloaded")
        assert (known[0], long[0], (await first)[0]) == (200, 200, 200)
        assert (await ask(port, post(body(record, 4), path=EXPLAIN)))[2] == known[2]
        assert (dispatcher.admission.explaining, dispatcher.admission.work) == (0, 0.0)
        assert (dispatcher.admission.held, dispatcher.admission.threaded) == (0, 0)

    serve(dispatcher(app.wsgi_app, Limits(LIMIT, deadline_seconds=0.5)), clients)


@pytest.mark.usefixtures("lengthy")
def test_what_has_waited_too_long_is_refused(app: Flask, record: dict[str, Any]) -> None:
    """Where nobody could tell before, for none was explained yet."""

    async def clients(dispatcher: Dispatcher, port: int) -> None:
        asked = [asyncio.create_task(ask(port, post(body(record, MOST_ROWS), path=EXPLAIN))) for _ in range(4)]
        answers = await asyncio.gather(*asked)

        assert sorted(status for status, _, _ in answers) == [200, 503, 503, 503]
        assert (dispatcher.admission.explaining, dispatcher.admission.work) == (0, 0.0)

    serve(dispatcher(app.wsgi_app, Limits(LIMIT, deadline_seconds=0.3)), clients)


def test_those_that_come_together_are_answered_each(app: Flask, record: dict[str, Any]) -> None:
    """Beside predictions and refusals, as if each had come alone."""
    bodies = [body(record, 1 + number % 3, **{"explain": True} if number % 2 else {}) for number in range(30)]

    async def clients(_: Dispatcher, port: int) -> None:
        alone = [await ask(port, post(one, path=PREDICT)) for one in bodies]
        together = await asyncio.gather(
            *(ask(port, post(one, path=PREDICT)) for one in bodies),
            *(ask(port, post(one, path=EXPLAIN)) for one in bodies[:6]),
        )

        assert [answer for _, _, answer in together[:30]] == [answer for _, _, answer in alone]
        # "explain" is no word of the other route.
        assert [status for status, _, _ in together[30:]] == [200, 422] * 3

    serve(dispatcher(app.wsgi_app, Limits(LIMIT, deadline_seconds=30.0)), clients)


def test_explanations_need_the_key_of_predictions(
    registry: Registry, publish: Callable[..., int], record: dict[str, Any], tmp_path: Any
) -> None:
    """401 without, 403 with one for something else."""
    publish(typical=TYPICAL)
    registry.refresh()
    keys = tmp_path / "keys"
    keys.write_text(f"predict {'p' * 32}\nmetrics {'m' * 32}\n")
    access = Access(keys)
    app = create_app(registry, Bounds(LIMIT), access=access)

    async def clients(_: Dispatcher, port: int) -> None:
        keys: tuple[list[bytes], ...] = ([], [b"X-API-Key: " + b"m" * 32], [b"X-API-Key: " + b"p" * 32])
        statuses = [(await ask(port, post(body(record, 1), *key, path=EXPLAIN)))[0] for key in keys]

        assert statuses == [401, 403, 200]

    serve(dispatcher(app.wsgi_app, Limits(LIMIT), access), clients)


def test_a_body_is_no_longer_than_it_may_be(app: Flask, record: dict[str, Any]) -> None:
    """As of predictions, and it is refused before it is read."""

    async def clients(_: Dispatcher, port: int) -> None:
        status, _headers, answer = await ask(port, post(b"", path=EXPLAIN, length=str(LIMIT + 1).encode()))

        assert (status, json.loads(answer)["code"]) == (413, "body_too_large")
        assert (await ask(port, post(body(record, MOST_ROWS + 1), path=EXPLAIN)))[0] == 422

    serve(dispatcher(app.wsgi_app, Limits(LIMIT)), clients)


def test_a_defect_is_one_clients_own(app: Flask, record: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is answered with 500, and counted as over."""
    front = cast(Front, app.wsgi_app)
    monkeypatch.setattr(front.predictions, "explain", lambda _: 1 / 0)

    async def clients(dispatcher: Dispatcher, port: int) -> None:
        assert (await ask(port, post(body(record, 1), path=EXPLAIN)))[0] == 500
        assert dispatcher.admission.explaining == 0

    serve(dispatcher(front, Limits(LIMIT)), clients)


def test_admission_reckons_with_the_work_that_is_waiting() -> None:
    """By the seconds that work of late has taken; at most so many wait, however little each takes."""
    admission = Admission(Limits(deadline_seconds=1.0))
    admission.begin_explanation(100.0)
    admission.end_explanation(100.0, 2.0)
    admission.begin_explanation(40.0)
    admission.begin_explanation(20.0)
    with pytest.raises(Overloaded):
        admission.begin_explanation(1.0)
    admission.end_explanation(40.0, None)
    admission.begin_explanation(1.0)
    for _ in range(QUEUE - admission.explaining):
        admission.begin_explanation(0.01)
    with pytest.raises(Overloaded):
        admission.begin_explanation(0.01)
