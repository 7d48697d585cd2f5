"""A model as it is asked: the schemas of its versions, which share what they have alike."""

from collections.abc import Sequence
from dataclasses import dataclass

from models.card import ModelCard
from service.openapi.names import Names, pascal
from service.openapi.schemas import Schema, model_schemas, one_of, request_schemas, shape
from service.prediction.predictor import Predictor


@dataclass(frozen=True)
class Asked:
    """What serves of a model, and its loaded versions. `base` begins the names of the schemas of what serves, each of
    `bases` those of some loaded versions, and each of `askings` those of what these take.
    """

    base: str
    card: ModelCard
    bases: list[str]
    askings: list[str]
    schemas: dict[str, Schema]
    told: str

    def request(self, one: str, many: str, *, versions: bool) -> Schema:
        """A question about one record, or about many; of what serves, or of any loaded version."""
        return one_of(f"{name}{kind}" for name in (self.askings if versions else [self.base]) for kind in (one, many))

    def needs_reference(self, *, versions: bool) -> bool:
        """Whether a request for explanations has to say what a record is held against."""
        return "reference" in self.schemas[f"{(self.askings[0] if versions else self.base)}Question"]["required"]


def asked(names: Names, serving: Predictor, loaded: Sequence[Predictor]) -> Asked:
    """Describe a model. Versions that differ only in what their training saw have the same schemas."""
    base, card = names.give(pascal(serving.card.name)), serving.card
    schemas = model_schemas(base, card)
    requests = request_schemas(base, base, [card])
    bases, askings, groups = [], [], _groups(serving, loaded)
    for group in groups:
        cards, own, name = [one.card for one in group], base, base
        if group[0] is not serving:
            own = name = names.give(f"{base}V{group[0].version}")
            schemas |= model_schemas(own, cards[0])
        asks = request_schemas(name, own, cards)
        if own == base and asks != requests:
            # Some older version can do less.
            name = f"{base}Versions"
            asks = request_schemas(name, base, cards)
        schemas |= asks
        bases.append(own)
        askings.append(name)
    return Asked(base, card, bases, askings, schemas | requests, _told(serving, loaded))


def _groups(serving: Predictor, loaded: Sequence[Predictor]) -> list[list[Predictor]]:
    """Versions that are asked alike, and answer alike; what serves comes first."""
    groups: list[list[Predictor]] = [[serving]]
    for one in loaded:
        if one is serving:
            continue
        for group in groups:
            if shape(group[0].card) == shape(one.card):
                group.append(one)
                break
        else:
            groups.append([one])
    return groups


def _told(serving: Predictor, loaded: Sequence[Predictor]) -> str:
    card, others = serving.card, [str(one.version) for one in loaded if one is not serving]
    count = len(card.features)
    told = f"Predicts {card.provenance.target} from {count} {'feature' if count == 1 else 'features'}. "
    return f"{told}Version {serving.version} serves{'; also loaded: ' + ', '.join(others) if others else ''}."
