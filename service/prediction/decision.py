"""Which class a row is taken for: the most probable one or, of two, the one that is looked for from a threshold on."""

from collections.abc import Callable

import numpy as np

from models.card import ModelCard
from service.rows.tensors import Probabilities

# The places in `card.classes` of the labels (n,) that go with probabilities (n, classes).
Decide = Callable[[Probabilities], list[int]]


def decision(card: ModelCard) -> Decide:
    """What the card says, as the graph's own output `label` says it."""
    if card.positive is None or card.threshold is None:
        return most_probable
    positive, threshold = card.classes.index(card.positive), np.float32(card.threshold)

    def decide(probabilities: Probabilities) -> list[int]:
        places: list[int] = np.where(probabilities[:, positive] >= threshold, positive, 1 - positive).tolist()
        return places

    return decide


def most_probable(probabilities: Probabilities) -> list[int]:
    """Of equal ones the first."""
    places: list[int] = probabilities.argmax(axis=1).tolist()
    return places
