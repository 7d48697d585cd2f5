"""What is served."""

from typing import Any

from flask import Response

from service.document import encode, encoded
from service.prediction.predictor import Predictor
from service.registry.registry import Registry
from service.routes import Views, answer
from service.routes.kept import Kept


def models(registry: Registry) -> Views:
    """The models that are served, and the card of each."""
    kept = Kept()

    def part(predictor: Predictor, of: str) -> object:
        """What the card says of the features, or all that it says: of a wide model a megabyte."""

        def make() -> bytes:
            # By hashes somebody could try whether a row was learned from, who has none.
            card = predictor.card.model_dump(mode="json", exclude={"learned_rows"})
            return encode(card if of == "card" else card[of])

        return encoded(kept.get((of, predictor.card.name, predictor.version), [predictor], make))

    def state(predictor: Predictor) -> dict[str, Any]:
        card = predictor.card
        return {
            "name": card.name,
            "version": predictor.version,
            "versions": registry.versions(card.name),
            "state": "ready",
            # What kserve's client looks for.
            "ready": True,
            "lifecycle": registry.lifecycle(card.name),
            "classes": card.classes,
            "features": part(predictor, "features"),
            "metrics": {split: metrics.model_dump() for split, metrics in card.metrics.items()},
        }

    def list_models() -> Response:
        return answer(
            {"models": [state(predictor) for predictor in registry.serving], "default": registry.default_name}
        )

    def card(model: str, version: str | None = None) -> Response:
        predictor = registry.predictor(model, version)
        return answer(state(predictor) | {"card": part(predictor, "card")})

    return {"models": list_models, "card": card, "card_version": card}
