"""What one model serves: its loaded versions, and which of them answers a request."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from models.serving import Serving
from service.prediction.choice import Choice
from service.prediction.predictor import Predictor


@dataclass(frozen=True, slots=True)
class Served:
    """The loaded versions of a model, as texts, as they stand in a URL, the newest first; and the choice by version.

    Under None is the choice for those who name no version.
    """

    versions: Mapping[str, Predictor]
    choices: Mapping[str | None, Choice]

    @classmethod
    def of(cls, loaded: Mapping[str, Predictor], default: Choice) -> Self:
        versions = dict(sorted(loaded.items(), key=lambda item: item[1].version, reverse=True))
        choices: dict[str | None, Choice] = {version: Choice(predictor) for version, predictor in versions.items()}
        return cls(versions, choices | {None: default})

    @property
    def default(self) -> Choice:
        """The choice for those who name no version."""
        return self.choices[None]

    def role(self, predictor: Predictor) -> str:
        """What a loaded version is there for, in a word."""
        roles = {id(self.default.predictor): "serving", id(self.default.canary): "canary"}
        return roles.get(id(predictor)) or ("shadow" if predictor is self.default.shadow else "loaded")


def serving(loaded: Mapping[str, Predictor], chosen: Serving, before: Predictor | None) -> Predictor:
    """Who serves, of at least one that is loaded: the pinned version; the newest where none is pinned.

    Where the pinned one is not loaded, `before` stays, whoever served until now. Without it the highest below the pin
    serves: a pin says that newer ones should not.
    """
    ascending = sorted(loaded.values(), key=lambda predictor: predictor.version)
    if chosen.version is None:
        return ascending[-1]
    if str(chosen.version) in loaded:
        return loaded[str(chosen.version)]
    if before is not None and loaded.get(str(before.version)) is before:
        return before
    return next((one for one in reversed(ascending) if one.version < chosen.version), ascending[0])


def alike(one: Predictor, other: Predictor) -> bool:
    """Whether what is asked of one can be asked of the other, and the answers be compared."""
    columns = [[(feature.name, feature.kind) for feature in each.card.features] for each in (one, other)]
    return columns[0] == columns[1] and one.card.classes == other.card.classes
