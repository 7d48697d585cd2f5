"""What the service tells of itself, read by Prometheus' own parser."""

import json
import logging
import multiprocessing
import os
from typing import Any

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from service.app import create_app
from service.errors import CODES
from service.prediction.prediction import Bounds
from service.registry.registry import Registry
from service.telemetry.board import ROUTES, Board, Metrics
from service.telemetry.logs import JsonLines

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(read: Samples, name: str, **labels: str) -> float:
    return read[f"evenkeel_{name}", frozenset(labels.items())]


def test_requests_rows_and_refusals_are_counted(client: FlaskClient, record: dict[str, Any]) -> None:
    """By route and code word, and what is loaded by model and version."""
    for _ in range(3):
        client.post("/predict", json={"instances": [record, record]})
    client.post("/predict", json={"instance": {}})
    client.post("/v2/models/unknown/infer", json={})
    client.get("/nowhere")
    client.get("/v2/health/live")
    response = client.get("/metrics")
    read = samples(response.text)

    assert response.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert value(read, "requests_total", route="predict", code="ok") == 3
    assert value(read, "requests_total", route="predict", code="invalid_record") == 1
    assert value(read, "requests_total", route="infer", code="model_not_found") == 1
    assert value(read, "requests_total", route="other", code="not_found") == 1
    assert value(read, "requests_total", route="health", code="ok") == 1
    assert value(read, "rows_total", route="predict") == 6
    assert value(read, "request_seconds_count", route="predict") == 4
    assert value(read, "request_seconds_bucket", route="predict", le="+Inf") == 4
    assert 0 < value(read, "request_seconds_sum", route="predict") < 10
    assert value(read, "model_loaded", model="penguins", version="1") == 1


def test_buckets_hold_what_is_as_fast_or_faster() -> None:
    """Each counts up to and with its bound, as Prometheus defines it."""
    metrics = Metrics(Board.create(slots=1))
    for seconds in (0.00005, 0.0001, 0.0002, 3.0):
        metrics.count("predict", "ok", 1, seconds)
    read = samples(metrics.exposition([]))

    for le, count in (("0.0001", 2), ("0.00025", 3), ("2.5", 3), ("+Inf", 4)):
        assert value(read, "request_seconds_bucket", route="predict", le=le) == count


def test_labels_come_from_fixed_sets(client: FlaskClient) -> None:
    """No path, no name and no value of a client ever becomes one."""
    for path in ("/a", "/b?x=1", "/v1/models/c", "/v2/models/d", "/static/e"):
        client.get(path)
        client.open(path, method="FOO")
    for _, labels in samples(client.get("/metrics").text):
        found = dict(labels)
        assert found.get("route", ROUTES[0]) in ROUTES
        assert found.get("code", "ok") in CODES
        assert found.get("model", "penguins") == "penguins"


def _count(path: str, times: int) -> None:
    metrics = Metrics(Board(os.open(path, os.O_RDWR), slots=2))
    for _ in range(times):
        metrics.count("predict", "ok", 2, 0.001)


def test_workers_are_added_up_also_those_that_died() -> None:
    """Whoever is asked tells the sums of all; a worker that takes over a slot counts on from there."""
    board = Board.create(slots=2)
    mine = Metrics(board)
    mine.count("predict", "ok", 1, 0.001)
    for times in (5, 7):  # One after the other: the second finds the first one's slot free.
        worker = multiprocessing.get_context("spawn").Process(
            target=_count, args=(f"/proc/{os.getpid()}/fd/{board._descriptor}", times)
        )
        worker.start()
        worker.join()
        assert worker.exitcode == 0
    read = samples(mine.exposition([]))

    assert value(read, "requests_total", route="predict", code="ok") == 13
    assert value(read, "rows_total", route="predict") == 25


def test_a_request_can_be_a_line_in_the_log(
    registry: Registry, record: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """With its name, route, time, and the model and version that answered; a client cannot forge a second line."""
    caplog.set_level(logging.INFO)
    client = create_app(registry, Bounds(4096), access_log=True).test_client()
    trace = "0af7651916cd43dd8448eb211c80319c"
    client.post("/predict", json={"instance": record}, headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    client.get("/a%0A{}", headers={"X-Request-Id": "mine"})
    first, second = [json.loads(JsonLines().format(entry)) for entry in caplog.records if entry.msg == "request"]

    assert (
        first.items()
        >= {
            "event": "request",
            "method": "POST",
            "path": "/predict",
            "route": "predict",
            "status": 200,
            "code": "ok",
            "model": "penguins",
            "version": 1,
            "rows": 1,
            "trace_id": trace,
        }.items()
    )
    assert first["milliseconds"] > 0
    assert (second["path"], second["status"], second["request_id"]) == ("/a\n{}", 404, "mine")
