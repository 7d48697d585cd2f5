"""What one model serves: its loaded versions, and which of them answers a request."""

from collections.abc import Iterable, Mapping
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


def preferred(versions: Iterable[int], chosen: Serving) -> list[int]:
    """Versions in the order in which they are wanted to serve: the pinned one, else the newest.

    Behind the pin comes what is below it, the highest first: a pin says that newer ones should not serve. Those, from
    the lowest on, are for where nothing else is there.
    """
    descending, pin = sorted(versions, reverse=True), chosen.version
    if pin is None:
        return descending
    return [one for one in descending if one <= pin] + [one for one in reversed(descending) if one > pin]


def serving(loaded: Mapping[str, Predictor], chosen: Serving, before: Predictor | None) -> Predictor:
    """Who serves, of at least one that is loaded. Where the pinned one is not loaded, `before` stays, whoever served
    until now.
    """
    first = preferred(map(int, loaded), chosen)[0]
    kept = before is not None and loaded.get(str(before.version)) is before
    if kept and chosen.version not in (None, first):
        assert before is not None
        return before
    return loaded[str(first)]


def alike(one: Predictor, other: Predictor) -> bool:
    """Whether what is asked of one can be asked of the other, and the answers be compared."""
    columns = [[(feature.name, feature.kind) for feature in each.card.features] for each in (one, other)]
    return columns[0] == columns[1] and one.card.classes == other.card.classes
