"""Requests that come together are answered together, and each as if it had come alone."""

import asyncio
import io
import json
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
from flask import Flask

from service.app import Front, create_app
from service.http.dispatch import TOGETHER, Dispatcher
from service.prediction.prediction import Bounds
from service.prediction.predictor import Predictor
from service.registry.registry import Registry
from service.reply import Reply
from service.routes.table import prediction
from service.rows.tensors import Probabilities, Tensors, row_count
from tests.hostile.conftest import post
from tests.service.conftest import LIMIT
from tests.service.drawn import Requests
from tests.service.test_dispatch import ask, dispatcher, serve
from tests.service.test_drift import BASELINE
from tests.service.test_metrics import samples, value

PREDICTOR = "service.prediction.predictor.Predictor.predict"


@pytest.fixture
def app(registry: Registry, publish: Callable[..., int]) -> Flask:
    publish()
    registry.refresh()
    return create_app(registry, Bounds(LIMIT))


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows of each run of a model."""
    counts: list[int] = []
    alone = Predictor.predict

    def predict(self: Predictor, tensors: Tensors, seconds: float) -> Probabilities:
        counts.append(row_count(tensors))
        return alone(self, tensors, seconds)

    monkeypatch.setattr(PREDICTOR, predict)
    return counts


def environ(path: str, body: bytes, headers: dict[str, str]) -> dict[str, Any]:
    """A POST in the words of WSGI."""
    named = {name.upper().replace("-", "_"): value for name, value in headers.items()}
    content_type = {"CONTENT_TYPE": named.pop("CONTENT_TYPE", "")}
    own = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }
    return {f"HTTP_{name}": value for name, value in named.items()} | content_type | own


def predicted(front: Front, environs: list[dict[str, Any]]) -> list[Reply]:
    """What those requests among some are answered together that ask for predictions."""
    predictions = []
    for one in environs:
        if (match := prediction(one["REQUEST_METHOD"], one["PATH_INFO"])) and match.route.wire:
            route, model, version = match
            predictions.append(front.predictions.begin(one, match.route.wire, route.metric, model, version))
    front.predictions.answer(predictions)
    front.predictions.tell()
    return [one.reply for one in predictions if one.reply is not None]


def test_good_and_bad_are_answered_as_if_alone(app: Flask, record: dict[str, Any], runs: list[int]) -> None:
    """A thousand requests of all formats to two versions, in tens: status, headers and bytes."""
    front = cast(Front, app.wsgi_app)
    draws = Requests(record)
    requests = [draws.draw() for _ in range(1000)]

    def asked(some: list[dict[str, Any]]) -> list[Reply]:
        environs = [environ(one["path"], one["data"], one["headers"]) for one in some]
        return predicted(front, environs)

    alone = [reply for one in requests for reply in asked([one])]
    before = len(runs)
    together = [reply for start in range(0, 1000, 10) for reply in asked(requests[start : start + 10])]

    for one, other in zip(together, alone, strict=True):
        assert (one.status, one.headers, one.body) == (other.status, other.headers, other.body)
    assert sum(runs[:before]) == sum(runs[before:]) > 200
    assert len(runs) - before < before / 2


def test_one_that_fails_spoils_no_other(app: Flask, record: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where rows have no answer together, each request gets its own."""
    front = cast(Front, app.wsgi_app)
    healthy = Predictor.predict

    def predict(self: Predictor, tensors: Tensors, seconds: float) -> Probabilities:
        if (tensors["numeric"] == 6000).any():
            raise MemoryError
        return healthy(self, tensors, seconds)

    monkeypatch.setattr(PREDICTOR, predict)
    bodies = [json.dumps({"instance": record | {"body_mass_g": mass}}).encode() for mass in (5000, 6000, 4000)]
    environs = [environ("/predict", body, {"Content-Type": "application/json"}) for body in bodies]

    assert [reply.status for reply in predicted(front, environs)] == [200, 500, 200]


@pytest.mark.parametrize(
    ("sizes", "counted"), [([32] * 10, 320), ([1] * 320, 320), ([320], 256), ([300, 1, 19], 276), ([256, 64], 320)]
)
def test_rows_count_for_drift_however_they_arrive(
    registry: Registry, publish: Callable[..., int], record: dict[str, Any], sizes: list[int], counted: int
) -> None:
    """As requests that are answered together, or one after the other: each row counts once, of a request up to 256."""
    publish(drift=BASELINE)
    registry.refresh()
    read = []
    for at_once in (len(sizes), 1):
        app = create_app(registry, Bounds(1 << 20))
        bodies = [json.dumps({"instances": [record] * size}).encode() for size in sizes]
        for start in range(0, len(bodies), at_once):
            some = bodies[start : start + at_once]
            predicted(
                cast(Front, app.wsgi_app),
                [environ("/predict", body, {"Content-Type": "application/json"}) for body in some],
            )
        lines = app.test_client().get("/metrics").text
        read.append(value(samples(lines), "drift_rows_total", model="penguins", version="2"))

    assert read == [counted, counted]


def test_counting_costs_no_answer(
    app: Flask,
    record: dict[str, Any],
    runs: list[int],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What goes wrong with counting for drift is said once; the rows go through the network once, and are answered."""

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("service.telemetry.drift.Drift.count", fail)
    body = json.dumps({"instance": record}).encode()
    for _ in range(2):
        environs = [environ("/predict", body, {"Content-Type": "application/json"}) for _ in range(5)]
        assert [reply.status for reply in predicted(cast(Front, app.wsgi_app), environs)] == [200] * 5

    assert runs == [5, 5]
    assert [entry.getMessage() for entry in caplog.records if entry.exc_info] == ["rows not counted for drift"]


def test_an_answer_for_other_rows_is_none(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that answers with fewer rows than it was asked for gives nobody another one's answer."""
    (predictor,) = registry.predictors
    session: Any = predictor._session

    class Short:
        def run(self, *asked: Any) -> list[Probabilities]:
            return [session.run(*asked)[0][:-1]]

    monkeypatch.setattr(predictor, "_session", Short())
    rows = predictor.rows.read([row.instance for row in predictor.card.golden]).tensors
    with pytest.raises(Exception, match="more rows or fewer"):
        predictor.predict(rows)


def test_clients_of_one_moment_share_a_run(app: Flask, record: dict[str, Any], runs: list[int]) -> None:
    """Each has its own answer, on its own connection, and no run is longer than it may be."""
    masses = np.linspace(2700, 6300, 3 * TOGETHER).tolist()
    requests = [post(json.dumps({"instance": record | {"body_mass_g": mass}}).encode()) for mass in masses]

    async def clients(_: Dispatcher, port: int) -> None:
        alone = [(await ask(port, request))[2] for request in requests]
        before = len(runs)
        connections = [await asyncio.open_connection("127.0.0.1", port) for _ in requests]
        for (_reader, writer), request in zip(connections, requests, strict=True):
            writer.write(request)
        for (reader, writer), expected in zip(connections, alone, strict=True):
            await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(len(expected)) == expected
            writer.close()

        assert len(set(alone)) > len(alone) / 2
        assert sum(runs[before:]) == len(requests)
        assert len(runs) - before < len(requests) / 2
        assert max(runs) <= TOGETHER

    serve(dispatcher(app.wsgi_app), clients)
