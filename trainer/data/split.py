"""Train, validation and test: a seeded split that keeps each class's share in every part."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer.data.rows import Examples
from trainer.errors import InvalidTable

FEWEST_ROWS = 10

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Fold:
    """The rows that one network learns from, and those that choose its epoch."""

    train: Indices
    validation: Indices


@dataclass(frozen=True, eq=False)
class Split:
    """One fold a network, and the test rows, which are in no fold and are looked at once."""

    folds: tuple[Fold, ...]
    test: Indices

    @property
    def train(self) -> Indices:
        """Every row that some network learns from. Whatever is fitted, is fitted on these."""
        return np.unique(np.concatenate([fold.train for fold in self.folds]))


def split(examples: Examples, validation: float, test: float, rng: np.random.Generator, members: int = 1) -> Split:
    """Split at random, class by class; `validation` and `test` are shares of the whole.

    The validation rows of several members follow each other through the rows of a class, and start again at the first:
    no row is a member's validation row twice before all have been once. A class always keeps at least one row for
    training, so no part holds a class that training has not seen.

    :raises InvalidTable: too few rows for three parts.
    """
    if len(examples) < FEWEST_ROWS:
        raise InvalidTable(f"the table has {len(examples)} rows with a target; at least {FEWEST_ROWS} are needed")
    for_test: list[Indices] = []
    for_train: list[list[Indices]] = [[] for _ in range(members)]
    for_validation: list[list[Indices]] = [[] for _ in range(members)]
    for label in range(len(examples.classes)):
        shuffled = rng.permutation(np.flatnonzero(examples.labels == label))
        spare = len(shuffled) - 1
        tested = min(round(test * len(shuffled)), spare)
        validated = min(round(validation * len(shuffled)), spare - tested)
        for_test.append(shuffled[:tested])
        for member in range(members):
            turned = np.roll(shuffled[tested:], -member * validated)
            for_validation[member].append(turned[:validated])
            for_train[member].append(turned[validated:])
    folds = tuple(map(Fold, map(_sorted, for_train), map(_sorted, for_validation)))
    chosen = Split(folds, _sorted(for_test))
    if (validation and not len(folds[0].validation)) or (test and not len(chosen.test)):
        raise InvalidTable("every class has too few rows to give one to each of training, validation and test")
    return chosen


def _sorted(chosen: list[Indices]) -> Indices:
    return np.sort(np.concatenate(chosen))
