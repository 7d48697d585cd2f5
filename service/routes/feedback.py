"""What was right: labels of answers, told late; and how good that says a version is."""

from collections import Counter

from flask import Response, request

from service.document import JSON, PIECE, decode
from service.errors import FeedbackNotFound, PerformanceNotFound
from service.prediction.body import read_body
from service.prediction.prediction import UNBOUNDED
from service.registry.registry import Registry
from service.routes import Views, answer
from service.telemetry.board import Metrics
from service.wire import feedback as wire
from service.wire.performance import document

OFF = "EVENKEEL_FEEDBACK_ROWS is 0"


def feedback(registry: Registry, metrics: Metrics) -> Views:
    """Labels for answers of all workers."""

    def take() -> Response:
        if not metrics.feedback.on:
            raise FeedbackNotFound(f"this service remembers no answers, and takes no labels: {OFF}")
        body = read_body(request.environ, PIECE, frozenset({JSON}), UNBOUNDED)
        labelled, model = wire.read(decode(body))
        if model is not None:
            registry.predictor(model)
        watches = [one.watch for one in registry.predictors if one.watch is not None and model in (None, one.card.name)]
        results = metrics.feedback.take(wire.keys_of(labelled), wire.Classes(labelled, watches).of)
        metrics.count_feedback(Counter(results))
        return answer(wire.document(labelled, results))

    def show(model: str, version: str | None = None) -> Response:
        predictor = registry.predictor(model, version)
        if predictor.watch is None:
            raise PerformanceNotFound(
                f"version {predictor.version} of {model} was published without a drift baseline: train it again"
            )
        spread = metrics.drift.spreads([predictor.watch])[0] if metrics.drift.on else None
        return answer(document(predictor.watch, spread, metrics.feedback.live(predictor.watch)))

    return {"feedback": take, "performance": show, "performance_version": show}
