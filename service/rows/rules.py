"""What the card says of a row, checked by pydantic; what breaks it is named by row, feature and rule."""

import difflib
from collections.abc import Sequence
from functools import cached_property
from heapq import nsmallest
from itertools import pairwise
from typing import Any

from pydantic import TypeAdapter, ValidationError

from models.features import Feature, row_type
from service.errors import Detail

MOST_DETAILS = 20
LONGEST_ECHO = 64
# Comparing a name with each of two thousand takes 40 ms: so many are looked at closely, for so many unknown names.
CLOSEST, MOST_HINTS = 8, 5


class BrokenRules(Exception):
    """Rows break the card. Each detail has `instance`, `feature`, `rule` and `message`; `count` counts all of them, as
    far as was looked, and `more` says whether that was not to the end.
    """

    def __init__(self, details: list[Detail], count: int, more: bool = False) -> None:
        super().__init__(details[0]["message"])
        self.details = details[:MOST_DETAILS]
        self.count = count
        self.more = more


class Rules:
    """The rules for a row whose values stand in the order of `features`; with `hints`, what may be meant is told."""

    def __init__(self, features: Sequence[Feature], hints: bool = True) -> None:
        self.features = features
        self._most_hints = MOST_HINTS if hints else 0
        self.positions = {feature.name: position for position, feature in enumerate(features)}

    def check(self, row: Sequence[Any]) -> tuple[Any, ...]:
        """The row, each value of the type that its feature has.

        :raises BrokenRules: a value is not one that its feature may have.
        """
        try:
            return self._row.validate_python(tuple(row))
        except ValidationError as error:
            details: list[Detail] = []
            for one in error.errors(include_url=False, include_input=False, include_context=False)[:MOST_DETAILS]:
                feature = self.features[int(one["loc"][0])]
                rule, message = _broken(one["type"], feature)
                details.append({"feature": feature.name, "rule": rule, "message": message})
            raise BrokenRules(details, error.error_count()) from None

    def check_names(self, names: Sequence[str]) -> None:
        """Check that a record has a value for each feature, and for nothing else.

        :raises BrokenRules: it has not.
        """
        given = set(names)
        missing = [feature for feature in self.features if feature.name not in given]
        unknown = [name for name in names if name not in self.positions]
        details: list[Detail] = []
        for feature in missing[:MOST_DETAILS]:
            hint = "; send null if it is not known" if feature.nullable else ""
            details.append({"feature": feature.name, "rule": "required", "message": f"is missing{hint}"})
        for number, name in enumerate(unknown[: MOST_DETAILS - len(details)]):
            hint = f"; {self._hint(name)}" if number < self._most_hints else ""
            message = f"is not a feature of this model{hint}"[:400]
            details.append({"feature": name[:LONGEST_ECHO], "rule": "unknown", "message": message})
        if details:
            raise BrokenRules(details, len(missing) + len(unknown))

    @cached_property
    def _row(self) -> TypeAdapter[tuple[Any, ...]]:
        row: Any = row_type(self.features)
        return TypeAdapter(row)

    @cached_property
    def _pairs(self) -> list[tuple[str, set[tuple[str, str]]]]:
        """Of each name the letters that follow each other."""
        return [(name, _pairs(name)) for name in self.positions]

    def _hint(self, name: str) -> str:
        pairs = _pairs(name)
        alike = nsmallest(CLOSEST, self._pairs, key=lambda one: len(one[1]) - 4 * len(pairs & one[1]))
        close = difflib.get_close_matches(name[:LONGEST_ECHO], [one[:LONGEST_ECHO] for one, _ in alike], 1)
        if close:
            return f"did you mean '{next(one for one, _ in alike if one.startswith(close[0]))}'?"
        return f"its features are {', '.join(self.positions)}"


def _pairs(name: str) -> set[tuple[str, str]]:
    return set(pairwise(f" {name[:LONGEST_ECHO]} "))


def _broken(kind: str, feature: Feature) -> tuple[str, str]:
    """The rule that a value breaks, as a word and as the end of a sentence that begins with the feature."""
    if kind in ("less_than_equal", "greater_than_equal", "finite_number"):
        return "range", "must fit in a 32-bit float"
    or_null = " or null" if feature.nullable else ""
    boolean = ", true, false" if feature.reading.boolean else ""
    match feature.kind:
        case "numeric":
            return "number", f"must be a number{boolean}{or_null}"
        case "date":
            return "date", f"must be an ISO 8601 date such as 2026-01-31{or_null}"
    return "text", f"must be a text{boolean}{or_null}"


def echo(value: object) -> str:
    """A client's own value in a sentence, quoted, escaped and cut."""
    text = str(value)
    return repr(text if len(text) <= LONGEST_ECHO else text[: LONGEST_ECHO - 1] + "…")
