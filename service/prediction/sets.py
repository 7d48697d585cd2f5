"""Which classes belong to an answer, by its probabilities: what the graph's own output `set` says."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from models.card import ModelCard
from models.sets import PARTS
from service.rows.tensors import Probabilities

# Which classes are in the set of each row, (n, classes).
Members = npt.NDArray[np.bool_]
# What makes them of probabilities (n, classes).
Sets = Callable[[Probabilities], Members]
# So many numbers are sorted at once: what they are sorted in takes several times their memory.
MOST_NUMBERS = 1 << 15


def sets_of(card: ModelCard) -> Sets | None:
    """What makes the sets of a model, as `models.sets` defines them; None where its card promises none."""
    if card.sets is None:
        return None
    threshold, parts = card.sets.parts, np.float32(PARTS)
    step = max(1, MOST_NUMBERS // len(card.classes))

    def some(probabilities: Probabilities) -> Members:
        whole = (probabilities * parts).astype(np.int32)
        ranked = np.sort(whole, axis=1)[:, ::-1]
        above = np.cumsum(ranked, axis=1, dtype=np.int32) - ranked
        least = np.where(above <= threshold, ranked, PARTS + 1).min(axis=1, keepdims=True)
        return np.asarray(least <= whole)

    def members(probabilities: Probabilities) -> Members:
        rows = len(probabilities)
        if rows <= step:
            return some(probabilities)
        return np.concatenate([some(probabilities[start : start + step]) for start in range(0, rows, step)])

    return members
