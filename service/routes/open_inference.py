"""Open Inference Protocol V2: health, metadata, inference."""

from flask import Blueprint, Response, request

from models import __version__
from service.errors import NotReady
from service.registry import Registry
from service.routes import answer
from service.wire import tensors
from service.wire.body import read_body


def open_inference(registry: Registry, max_body_bytes: int) -> Blueprint:
    """GET /v2, GET /v2/health/live|ready, GET /v2/models/{model}[/versions/{version}][/ready], POST …/infer."""
    routes = Blueprint("open_inference", __name__, url_prefix="/v2")

    @routes.get("", strict_slashes=False)
    def get_server() -> Response:
        return answer({"name": "evenkeel", "version": __version__, "extensions": []})

    @routes.get("/health/live")
    def get_live() -> Response:
        return answer({"live": True})

    @routes.get("/health/ready")
    def get_ready() -> Response:
        if not registry.ready:
            raise NotReady("no model is loaded yet; the service will be ready once one is published")
        return answer({"live": True, "ready": True})

    @routes.get("/models/<model>")
    @routes.get("/models/<model>/versions/<version>")
    def get_model(model: str, version: str | None = None) -> Response:
        return answer(tensors.metadata(registry.predictor(model, version)))

    @routes.get("/models/<model>/ready")
    @routes.get("/models/<model>/versions/<version>/ready")
    def get_model_ready(model: str, version: str | None = None) -> Response:
        predictor = registry.predictor(model, version)
        return answer({"name": predictor.card.name, "ready": True})

    @routes.post("/models/<model>/infer")
    @routes.post("/models/<model>/versions/<version>/infer")
    def post_inference(model: str, version: str | None = None) -> Response:
        predictor = registry.predictor(model, version)
        asked = tensors.read_request(read_body(request.environ, max_body_bytes))
        probabilities = predictor.predict(tensors.tensors(asked, predictor.card))
        return answer(tensors.response(predictor, asked, probabilities))

    return routes
