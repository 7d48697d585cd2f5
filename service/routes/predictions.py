"""Predictions for people: records by feature name, probabilities by class name."""

from typing import Any

from flask import Blueprint, Response, request

from service.answer import predict
from service.predictor import Predictor
from service.registry import Registry
from service.routes import answer
from service.wire.body import read_body


def predictions(registry: Registry, max_body_bytes: int) -> Blueprint:
    """POST /predict, POST /v1/models/{model}[/versions/{version}]:predict, GET /v1/models[/{model}]."""
    routes = Blueprint("predictions", __name__)

    @routes.post("/predict")
    @routes.post("/v1/models/<model>:predict")
    @routes.post("/v1/models/<model>/versions/<version>:predict")
    def post_prediction(model: str | None = None, version: str | None = None) -> Response:
        predictor = registry.predictor(model, version)
        return answer(predict(predictor, read_body(request.environ, max_body_bytes)))

    @routes.get("/v1/models")
    def get_models() -> Response:
        return answer({"models": [_state(predictor) for predictor in registry.predictors]})

    @routes.get("/v1/models/<model>")
    def get_model(model: str) -> Response:
        predictor = registry.predictor(model)
        return answer(_state(predictor) | {"card": predictor.card.model_dump(mode="json")})

    return routes


def _state(predictor: Predictor) -> dict[str, Any]:
    card = predictor.card
    return {
        "name": card.name,
        "version": predictor.version,
        "state": "ready",
        "classes": card.classes,
        "features": [feature.model_dump(mode="json") for feature in card.features],
        "metrics": {part: metrics.model_dump() for part, metrics in card.metrics.items()},
    }
