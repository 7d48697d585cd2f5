"""Predictions for people, and what is served."""

from typing import Any

from flask import Blueprint, Response

from service.exchange import Exchange, Target
from service.predictor import Predictor
from service.registry import Registry
from service.routes import answer, predict
from service.wire.instances import INSTANCES
from service.wire.invocations import INVOCATIONS


def predictions(registry: Registry, exchange: Exchange) -> Blueprint:
    """POST /predict, POST /v1/models/{model}[/versions/{version}]:predict,
    GET /v1/models[/{model}[/versions/{version}]]; POST /invocations, as MLflow and SageMaker ask.
    """
    routes = Blueprint("predictions", __name__)

    @routes.post("/predict")
    @routes.post("/v1/models/<name:model>:predict")
    @routes.post("/v1/models/<name:model>/versions/<name:version>:predict")
    def post_prediction(model: str | None = None, version: str | None = None) -> Response:
        return predict(exchange, Target(INSTANCES, model, version))

    @routes.post("/invocations")
    def post_invocation() -> Response:
        return predict(exchange, Target(INVOCATIONS))

    @routes.get("/v1/models")
    def get_models() -> Response:
        return answer({"models": [_state(predictor, registry) for predictor in registry.serving]})

    @routes.get("/v1/models/<name:model>")
    @routes.get("/v1/models/<name:model>/versions/<name:version>")
    def get_model(model: str, version: str | None = None) -> Response:
        predictor = registry.predictor(model, version)
        return answer(_state(predictor, registry) | {"card": predictor.card.model_dump(mode="json")})

    return routes


def _state(predictor: Predictor, registry: Registry) -> dict[str, Any]:
    card = predictor.card
    return {
        "name": card.name,
        "version": predictor.version,
        "versions": registry.versions(card.name),
        "state": "ready",
        "lifecycle": registry.lifecycle(card.name),
        "classes": card.classes,
        "features": [feature.model_dump(mode="json") for feature in card.features],
        "metrics": {part: metrics.model_dump() for part, metrics in card.metrics.items()},
    }
