"""How the service is doing: health for whoever restarts or balances it, metrics for Prometheus."""

from flask import Response

from models import __version__
from service.errors import NotReady
from service.registry.exposition import exposition
from service.registry.registry import Registry
from service.reply import success
from service.routes import Views, answer, request_id, send
from service.telemetry.board import Metrics
from service.telemetry.exposition import CONTENT_TYPE, metrics_text

NOT_READY = "not every model that was published is loaded yet, or none is published"
UNREADABLE = "not every model is loaded yet, and the repository cannot be read; the log says why"
PLAIN = "text/plain; charset=utf-8"


def observation(registry: Registry, metrics: Metrics) -> Views:
    """Liveness, readiness, metrics."""

    def live() -> Response:
        return answer({"live": True})

    def ready() -> Response:
        if not registry.ready:
            raise NotReady(NOT_READY if registry.readable else UNREADABLE)
        return answer({"live": True, "ready": True})

    def show_metrics() -> Response:
        loaded = [(predictor.card.name, predictor.version) for predictor in registry.predictors]
        watches = [predictor.watch for predictor in registry.predictors if predictor.watch]
        text = metrics_text(metrics, loaded, watches) + exposition(registry, metrics.shadowed())
        return send(success(text.encode(), request_id(), CONTENT_TYPE))

    def version() -> Response:
        return send(success(__version__.encode(), request_id(), PLAIN))

    return {
        **dict.fromkeys(("live", "healthz"), live),
        **dict.fromkeys(("ready", "readyz", "ping", "health"), ready),
        "version": version,
        "metrics": show_metrics,
    }
