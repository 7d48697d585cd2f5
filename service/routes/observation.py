"""How the service is doing: health for whoever restarts or balances it, metrics for Prometheus."""

from flask import Blueprint, Response

from service.errors import NotReady
from service.lifecycle.exposition import exposition
from service.registry import Registry
from service.reply import success
from service.routes import answer, request_id, send
from service.telemetry.metrics import CONTENT_TYPE, Metrics


def observation(registry: Registry, metrics: Metrics) -> Blueprint:
    """GET /v2/health/live, GET /v2/health/ready, GET /ping, GET /metrics."""
    routes = Blueprint("observation", __name__)

    @routes.get("/v2/health/live")
    def get_live() -> Response:
        return answer({"live": True})

    @routes.get("/v2/health/ready")
    @routes.get("/ping")
    def get_ready() -> Response:
        if not registry.ready:
            raise NotReady("no model is loaded yet; the service will be ready once one is published")
        return answer({"live": True, "ready": True})

    @routes.get("/metrics")
    def get_metrics() -> Response:
        loaded = [(predictor.card.name, predictor.version) for predictor in registry.predictors]
        watches = [predictor.watch for predictor in registry.predictors if predictor.watch]
        text = metrics.exposition(loaded, watches) + exposition(registry, metrics.shadowed())
        return send(success(text.encode(), request_id(), CONTENT_TYPE))

    return routes
