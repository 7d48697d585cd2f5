"""Labels of answers, told late."""

from collections import Counter

from flask import Response, request

from service.document import JSON, PIECE, decode
from service.errors import FeedbackNotFound
from service.prediction.body import read_body
from service.prediction.prediction import UNBOUNDED
from service.registry.registry import Registry
from service.routes import Views, answer
from service.telemetry.board import Metrics
from service.telemetry.journal import Journal
from service.wire import feedback as wire

# What is written to the prediction log.
NEWS = ("counted", "corrected")
OFF = "EVENKEEL_FEEDBACK_ROWS is 0"


def feedback(registry: Registry, metrics: Metrics, journal: Journal) -> Views:
    """Labels for answers of all workers."""

    def take() -> Response:
        if not metrics.feedback.on:
            raise FeedbackNotFound(f"this service remembers no answers, and takes no labels: {OFF}")
        body = read_body(request.environ, PIECE, frozenset({JSON}), UNBOUNDED)
        labelled = wire.read(decode(body))
        watches = [one.watch for one in registry.predictors if one.watch is not None]
        classes = wire.Classes(labelled, watches)
        results = metrics.feedback.take(wire.keys_of(labelled), classes.of)
        metrics.count_feedback(Counter(results))
        if journal.on:
            for one, result, model, name in zip(labelled, results, classes.models, classes.names, strict=True):
                if result in NEWS:
                    journal.feedback(one.request_id, one.row, model, name)
        return answer(wire.document(labelled, results))

    return {"feedback": take}
