"""What the service tells of itself, read by Prometheus' own parser."""

import json
import logging
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from service.app import create_app
from service.errors import CODES
from service.prediction.prediction import Bounds
from service.registry.registry import Registry
from service.telemetry.board import CAUSES, ROUTES, Board, Metrics
from service.telemetry.exposition import metrics_text
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
    read = samples(metrics_text(metrics, []))

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


def test_workers_are_added_up_also_those_that_died() -> None:
    """Whoever is asked tells the sums of all; a worker that takes over a seat counts on from there."""
    board = Board.create(slots=3)
    metrics = Metrics(board)

    def count(seat: int, times: int) -> None:
        worker = Metrics(board.seat(seat))
        for _ in range(times):
            worker.count("predict", "ok", 2, 0.001)

    for seat, times in ((0, 5), (0, 7), (1, 1)):
        in_a_fork(partial(count, seat, times))
    read = samples(metrics_text(metrics, []))

    assert value(read, "requests_total", route="predict", code="ok") == 13
    assert value(read, "rows_total", route="predict") == 26


class Slow:
    """Cells between whose reading and writing another thread has its turn."""

    def __init__(self, cells: "memoryview[float]") -> None:
        self._cells = cells

    def __getitem__(self, cell: int) -> float:
        amount = self._cells[cell]
        time.sleep(0.0001)
        return amount

    def __setitem__(self, cell: int, amount: float) -> None:
        self._cells[cell] = amount


def test_threads_count_one_after_the_other() -> None:
    """The event loop and the threads of a worker share its slot, and lose nothing to each other."""
    metrics = Metrics(Board.create())
    metrics._cells = Slow(metrics._cells)  # type: ignore[assignment]

    def count() -> None:
        for _ in range(10):
            metrics.count("infer", "ok", 2, 0.001)
            metrics.count_shadow({"rows": 1})
            metrics.count_lag(0.001)
            metrics.count_dropped_lines(1)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    read = samples(metrics_text(metrics, []))

    assert value(read, "rows_total", route="infer") == 80
    assert value(read, "request_seconds_count", route="infer") == 40
    assert value(read, "loop_lag_seconds_count") == 40
    assert value(read, "log_lines_dropped_total") == 40
    assert metrics.shadowed()["rows"] == 40


def test_what_a_dead_worker_had_is_nothing_any_more() -> None:
    """Its connections are gone once its seat is vacant, whoever has that next, and if nobody has; its counts stay."""
    board = Board.create(slots=3)
    supervisor = Metrics(board)

    def die() -> None:
        worker = Metrics(board.seat(1))
        worker.note({"connections": 37, "workers_ready": 1})
        worker.count("predict", "ok", 1, 0.001)

    in_a_fork(die)
    assert value(samples(metrics_text(supervisor, [])), "connections") == 37
    supervisor.vacate(1)
    read = samples(metrics_text(supervisor, []))

    assert (value(read, "connections"), value(read, "workers_ready")) == (0, 0)
    assert value(read, "requests_total", route="predict", code="ok") == 1
    assert board.processes == [os.getpid()]


def test_exits_lag_and_lost_lines_are_counted() -> None:
    """Each cause from the start, so that its first time is a rise."""
    metrics = Metrics(Board.create())
    assert value(samples(metrics_text(metrics, [])), "worker_exits_total", cause="hang") == 0
    for cause in CAUSES:
        metrics.count_exit(cause)
    metrics.count_exit("hang")
    metrics.count_dropped_lines(5)
    for lag in (-0.001, 0.0005, 0.03, 9.0):
        metrics.count_lag(lag)
    read = samples(metrics_text(metrics, []))

    assert {cause: value(read, "worker_exits_total", cause=cause) for cause in CAUSES} == dict.fromkeys(CAUSES, 1) | {
        "hang": 2
    }
    assert value(read, "log_lines_dropped_total") == 5
    assert [value(read, "loop_lag_seconds_bucket", le=le) for le in ("0.001", "0.025", "0.05", "2.5", "+Inf")] == [
        2, 2, 3, 3, 4,
    ]  # fmt: skip
    assert value(read, "loop_lag_seconds_sum") == pytest.approx(9.0305)


def in_a_fork(do: Callable[[], object]) -> None:
    """Do something in a process that shares the board, and ends."""
    process = os.fork()
    if process == 0:
        try:
            do()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(process, 0) == (process, 0)


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
