"""Names of schemas: those that generators of clients make types and modules of, so without dots, dashes and twins."""

import re
from collections.abc import Iterable

# What follows a model's own name in the names of its schemas and operations.
SUFFIXES = (
    *("", "Values", "Row", "Instance", "Instances", "Question", "Questions", "VersionsInstance", "VersionsInstances"),
    *("VersionsQuestion", "VersionsQuestions", "Label", "Prediction", "Answer", "Answers", "Version"),
    *("Numeric", "Categorical", "InferRequest", "TableSplit", "TableRecords"),
    *("TableInstances", "TableInputs"),
)


class Names:
    """Names that are given once each, whatever their case: some generators make files of them."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = {name.lower() for name in taken}

    def give(self, wanted: str) -> str:
        """`wanted`, or with the first number behind it with which none of its schemas has the name of another."""
        number, name = 1, wanted
        while any((name + suffix).lower() in self._taken for suffix in SUFFIXES):
            number += 1
            name = f"{wanted}_{number}"
        self._taken |= {(name + suffix).lower() for suffix in SUFFIXES}
        return name


def pascal(model: str) -> str:
    """The name of a model as a type is written: `red-wine` as `RedWine`."""
    return "".join(part[:1].upper() + part[1:] for part in re.split("[-_]", model))
