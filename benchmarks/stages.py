"""The way of one row and of a thousand through the service, stage by stage, within this process."""

import math
import timeit
from collections.abc import Callable, Mapping
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import onnxruntime

from benchmarks.load import Request
from models.repository import ModelRepository
from service.access import Access
from service.exchange import Exchange, Prediction, Target
from service.lifecycle.shadowing import Shadowing
from service.predictor import Predictor
from service.registry import Registry
from service.reply import success
from service.telemetry.drift import ENOUGH_ROWS
from service.telemetry.metrics import Board, Metrics
from service.telemetry.observer import Observer
from service.wire.body import read_body

LIMIT = 16 << 20


def stages(store: Path, keys: Path, asked: Mapping[str, Request]) -> None:
    """What each stage costs within the process in microseconds, and the whole exchange, and onnxruntime alone."""
    registry = Registry(ModelRepository(store))
    registry.refresh()
    access, metrics = Access(keys), Metrics(Board.create(slots=1))
    observer = Observer(metrics, access_log=False, trace=None)
    exchange = Exchange(registry, metrics.drift, Shadowing(metrics.count_shadow), LIMIT, access)
    columns = {}
    for name in (name for name in asked if name != "peer"):
        body, environ = asked[name].body, _environ(asked[name])
        target = exchange.target(asked[name].path)
        assert target is not None
        predictor = registry.predictor(target.model)
        assert predictor.watch is not None
        question = target.wire.read(predictor, body, environ)
        probabilities = predictor.predict(question.tensors)
        answer = question.answer(probabilities)
        reply, began = success(answer.body, "", answer.content_type, answer.headers), observer.begin(environ)
        calls: dict[str, Callable[[], object]] = {
            "route": partial(exchange.target, asked[name].path),
            "request id": partial(observer.begin, environ),
            "key": partial(access.check, environ),
            "find": partial(registry.choice, target.model, target.version),
            "read": partial(_with_body, read_body, environ, body, LIMIT, target.wire.media),
            "parse": partial(target.wire.read, predictor, body, environ),
            "infer": partial(predictor.predict, question.tensors),
            "encode": partial(question.answer, probabilities),
            "drift": partial(metrics.drift.count, predictor.watch, question.tensors, probabilities),
            "headers": partial(success, answer.body, "", answer.content_type, answer.headers),
            "metrics": partial(observer.end, environ, target.wire.route, reply, began),
            "**whole exchange**": partial(_with_body, _answer, environ, body, exchange, target),
            "onnxruntime alone": partial(_session(store, predictor).run, ["probabilities"], question.tensors),
        }
        columns[name] = _costs(calls)
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
    return call(environ | {"wsgi.input": BytesIO(body)}, *arguments)


def _answer(environ: dict[str, Any], exchange: Exchange, target: Target) -> None:
    exchange.answer([Prediction(environ, target)])


def _session(store: Path, predictor: Predictor) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(store / predictor.card.name / str(predictor.version) / "model.onnx", options)


def _costs(calls: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Microseconds a call, in the quietest of many spells of a millisecond, which all stages take in turn."""
    often = {stage: max(1, int(1e-3 / min(timeit.repeat(call, number=1)))) for stage, call in calls.items()}
    # Drift is folded once in so many rows, which is a part of its cost.
    often["drift"] = ENOUGH_ROWS
    costs = dict.fromkeys(calls, math.inf)
    for _ in range(200):
        for stage, call in calls.items():
            costs[stage] = min(costs[stage], timeit.timeit(call, number=often[stage]) / often[stage] * 1e6)
    return costs
