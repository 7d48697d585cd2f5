"""Open Inference Protocol V2: metadata, inference, repository index."""

from flask import Blueprint, Response, request

from service.errors import InvalidTensor
from service.exchange import Exchange, Target
from service.registry import Registry
from service.routes import answer, predict
from service.wire.body import read_body
from service.wire.document import JSON, decode
from service.wire.open_inference.metadata import SERVER, index, metadata

LONGEST_INDEX_REQUEST = 1 << 16


def open_inference(registry: Registry, exchange: Exchange) -> Blueprint:
    """GET /v2, GET /v2/models/{model}[/versions/{version}][/ready], POST …/infer, POST /v2/repository/index."""
    routes = Blueprint("open_inference", __name__, url_prefix="/v2")

    @routes.get("", strict_slashes=False)
    def get_server() -> Response:
        return answer(SERVER)

    @routes.get("/models/<name:model>")
    @routes.get("/models/<name:model>/versions/<name:version>")
    def get_model(model: str, version: str | None = None) -> Response:
        predictor = registry.predictor(model, version)
        return answer(metadata(predictor, registry.versions(model)))

    @routes.get("/models/<name:model>/ready")
    @routes.get("/models/<name:model>/versions/<name:version>/ready")
    def get_model_ready(model: str, version: str | None = None) -> Response:
        predictor = registry.predictor(model, version)
        return answer({"name": predictor.card.name, "ready": True})

    @routes.post("/models/<name:model>/infer")
    @routes.post("/models/<name:model>/versions/<name:version>/infer")
    def post_inference(model: str, version: str | None = None) -> Response:
        return predict(exchange, Target(exchange.inference, model, version))

    @routes.post("/repository/index")
    def post_index() -> Response:
        body = read_body(request.environ, LONGEST_INDEX_REQUEST, frozenset({JSON}))
        # Clients send nothing, or {"ready": true}; all that is listed is ready, so neither changes the answer.
        if body and not isinstance(decode(body), dict):
            raise InvalidTensor('the request must be {"ready": true}, {"ready": false} or nothing')
        return answer(index(registry.predictors))

    return routes
