"""Train, validation and test: a seeded split that keeps each class's share in every part."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer.data.rows import Examples
from trainer.errors import InvalidTable

FEWEST_ROWS = 10


@dataclass(frozen=True)
class Parts:
    """Three disjoint parts of one table. Everything is fitted on `train` only; `test` is looked at once."""

    train: Examples
    validation: Examples
    test: Examples


def split(examples: Examples, validation: float, test: float, rng: np.random.Generator) -> Parts:
    """Split at random, class by class; `validation` and `test` are shares of the whole.

    A class always keeps at least one row for training, so no part holds a class that training has not seen.

    :raises InvalidTable: too few rows for three parts.
    """
    if len(examples) < FEWEST_ROWS:
        raise InvalidTable(f"the table has {len(examples)} rows with a target; at least {FEWEST_ROWS} are needed")
    chosen: dict[str, list[npt.NDArray[np.int64]]] = {"train": [], "validation": [], "test": []}
    for label in range(len(examples.classes)):
        members = rng.permutation(np.flatnonzero(examples.labels == label))
        spare = len(members) - 1
        for_test = min(round(test * len(members)), spare)
        for_validation = min(round(validation * len(members)), spare - for_test)
        chosen["test"].append(members[:for_test])
        chosen["validation"].append(members[for_test : for_test + for_validation])
        chosen["train"].append(members[for_test + for_validation :])
    indices = {part: np.sort(np.concatenate(lists)) for part, lists in chosen.items()}
    if not all(len(indices[part]) for part, share in (("validation", validation), ("test", test)) if share):
        raise InvalidTable("every class has too few rows to give one to each of training, validation and test")
    return Parts(**{part: examples.take(index) for part, index in indices.items()})
