"""What is served."""

from typing import Any

from flask import Response

from service.prediction.predictor import Predictor
from service.registry.registry import Registry
from service.routes import Views, answer


def models(registry: Registry) -> Views:
    """The models that are served, and the card of each."""

    def list_models() -> Response:
        return answer({"models": [_state(predictor, registry) for predictor in registry.serving]})

    def card(model: str, version: str | None = None) -> Response:
        predictor = registry.predictor(model, version)
        return answer(_state(predictor, registry) | {"card": predictor.card.model_dump(mode="json")})

    return {"models": list_models, "card": card, "card_version": card}


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
