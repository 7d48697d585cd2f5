"""The way of one row and of a thousand through the service, stage by stage, within this process."""

import math
import time
import timeit
from collections.abc import Callable, Mapping
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import onnxruntime

from benchmarks.load import Request
from models.repository import ModelRepository
from service.access import Access
from service.prediction.body import BODY, read_body
from service.prediction.prediction import UNBOUNDED, Bounds, Predictions
from service.prediction.predictor import Predictor
from service.prediction.protocol import Allowance
from service.prediction.shadowing import Shadowing
from service.prediction.traffic import Traffic
from service.registry.registry import Registry
from service.reply import success
from service.routes.table import Match, prediction
from service.telemetry.board import Board, Metrics
from service.telemetry.drift import MOST_ROWS
from service.telemetry.journal import Journal
from service.telemetry.observer import Observer

BOUNDS = Bounds()
SPELLS = 100
ALLOWANCE = Allowance(BOUNDS.rows, BOUNDS.answer_bytes, UNBOUNDED)


def stages(store: Path, keys: Path, asked: Mapping[str, Request]) -> None:
    """What each stage costs within the process in microseconds, and the whole way, and onnxruntime alone."""
    registry = Registry(ModelRepository(store))
    registry.refresh()
    access, metrics = Access(keys), Metrics(Board.create(slots=1))
    observer = Observer(metrics, access_log=False, trace=None)
    shadowing = Shadowing(metrics.count_shadow)
    traffic = Traffic(metrics.drift, metrics.feedback, Journal())
    predictions = Predictions(registry, observer, traffic, shadowing, BOUNDS, access)
    columns = {}
    for name in (name for name in asked if not name.startswith("peer")):
        body, environ = asked[name].body, _environ(asked[name])
        match = prediction("POST", asked[name].path)
        assert match is not None
        wire, predictor = match.route.wire, registry.predictor(match.model)
        assert wire is not None
        assert predictor.watch is not None
        question = wire.read(predictor, body, environ, ALLOWANCE)
        probabilities = predictor.predict(question.tensors)
        answer = question.answer(probabilities)
        reply, began = success(answer.body, "", answer.content_type), observer.begin(environ)
        calls: dict[str, Callable[[], object]] = {
            "route": partial(prediction, "POST", asked[name].path),
            "request id": partial(observer.begin, environ),
            "key": partial(access.check, environ),
            "find": partial(registry.choice, match.model, match.version),
            "read": partial(_with_body, read_body, environ, body, BOUNDS.body_bytes, wire.media, UNBOUNDED),
            "parse": partial(wire.read, predictor, body, environ, ALLOWANCE),
            "infer": partial(predictor.predict, question.tensors),
            "encode": partial(question.answer, probabilities),
            "drift": partial(metrics.drift.count, predictor.watch, question.tensors, probabilities),
            "headers": partial(success, answer.body, "", answer.content_type),
            "metrics": partial(observer.end, environ, match.route.metric, reply, began),
            "**whole way**": partial(_with_body, _answer, environ, body, predictions, match),
            "onnxruntime alone": partial(_session(store, predictor).run, ["probabilities"], question.tensors),
        }
        # Drift is folded once in so many rows, which is a part of its cost.
        columns[name] = _costs(calls, {"drift": ceil(predictor.watch.enough / min(len(probabilities), MOST_ROWS))})
    print(f"\n| stage, µs | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for stage in columns["by position"]:
        print(f"| {stage} | {' | '.join(f'{column[stage]:.1f}' for column in columns.values())} |")


def _environ(request: Request) -> dict[str, Any]:
    """What a WSGI server makes of a request, but for its body."""
    environ = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in request.headers.items()}
    if content_type := environ.pop("HTTP_CONTENT_TYPE", None):
        environ["CONTENT_TYPE"] = content_type
    return environ | {"REQUEST_METHOD": "POST", "PATH_INFO": request.path, "CONTENT_LENGTH": str(len(request.body))}


def _with_body(call: Callable[..., object], environ: dict[str, Any], body: bytes, *arguments: object) -> object:
    return call(environ | {BODY: body}, *arguments)


def _answer(environ: dict[str, Any], predictions: Predictions, match: Match) -> None:
    route, model, version = match
    assert route.wire is not None
    predictions.answer([predictions.begin(environ, route.wire, route.metric, model, version)])
    predictions.tell()


def _session(store: Path, predictor: Predictor) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(store / predictor.card.name / str(predictor.version) / "model.onnx", options)


def _costs(calls: Mapping[str, Callable[[], object]], fixed: Mapping[str, int]) -> dict[str, float]:
    """Microseconds a call, in the quietest of many spells of a millisecond, which all stages take in turn; spells of
    `fixed` stages have so many calls. The thread's own time, which others on the machine leave alone.
    """
    timers = {stage: timeit.Timer(call, timer=time.thread_time) for stage, call in calls.items()}
    often = {stage: max(1, int(1e-3 / min(timer.repeat(number=1)))) for stage, timer in timers.items()}
    often.update(fixed)
    costs = dict.fromkeys(calls, math.inf)
    for _ in range(SPELLS):
        for stage, timer in timers.items():
            costs[stage] = min(costs[stage], timer.timeit(often[stage]) / often[stage] * 1e6)
    return costs
