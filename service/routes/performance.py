"""How good a version is of late: what is expected of its answers, and what labels say."""

from flask import Response

from service.errors import PerformanceNotFound
from service.registry.registry import Registry
from service.routes import Views, answer
from service.telemetry.board import Metrics
from service.wire.performance import document


def performance(registry: Registry, metrics: Metrics) -> Views:
    """The performance of each version, over all workers."""

    def show(model: str, version: str | None = None) -> Response:
        predictor = registry.predictor(model, version)
        if predictor.watch is None:
            raise PerformanceNotFound(
                f"version {predictor.version} of {model} was published without a drift baseline: train it again"
            )
        spread = metrics.drift.spreads([predictor.watch])[0] if metrics.drift.on else None
        (live,) = metrics.feedback.live([predictor.watch])
        return answer(document(predictor.watch, spread, live))

    return {"performance": show, "performance_version": show}
