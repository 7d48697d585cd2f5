"""Whether the rows of late still follow the distribution that a model was trained on."""

from flask import Response

from service.errors import DriftNotFound
from service.registry.registry import Registry
from service.routes import Views, answer
from service.telemetry.board import Metrics
from service.wire.drift import document


def drift(registry: Registry, metrics: Metrics) -> Views:
    """The drift of each version, over all workers."""

    def show(model: str, version: str | None = None) -> Response:
        predictor = registry.predictor(model, version)
        if not metrics.drift.on:
            raise DriftNotFound("this service counts no rows for drift: EVENKEEL_DRIFT_HOURS is 0")
        if predictor.watch is None:
            raise DriftNotFound(
                f"version {predictor.version} of {model} was published without a drift baseline: train it again"
            )
        (spread,) = metrics.drift.spreads([predictor.watch])
        return answer(document(predictor.card, spread))

    return {"drift": show, "drift_version": show}
