"""What the card says of a row, checked by pydantic; what breaks it is named by row, feature and rule."""

import difflib
from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from models.features import Feature, row_type
from service.errors import Detail

MOST_DETAILS = 20
LONGEST_ECHO = 64


class BrokenRules(Exception):
    """Rows break the card. Each detail has `instance`, `feature`, `rule` and `message`; `count` counts all of them."""

    def __init__(self, details: list[Detail], count: int) -> None:
        super().__init__(details[0]["message"])
        self.details = details
        self.count = count


class Rules:
    """The rules for rows whose values stand in the order of `features`."""

    def __init__(self, features: Sequence[Feature]) -> None:
        self.features = features
        self.positions = {feature.name: position for position, feature in enumerate(features)}
        row: Any = row_type(features)
        self._rows: TypeAdapter[list[tuple[Any, ...]]] = TypeAdapter(list[row])

    def check(self, rows: list[Any]) -> list[tuple[Any, ...]]:
        """The rows, each value of the type that its feature has.

        :raises BrokenRules: a value is not one that its feature may have.
        """
        try:
            return self._rows.validate_python(rows)
        except ValidationError as error:
            errors = error.errors(include_url=False, include_input=False, include_context=False)
            details: list[Detail] = []
            for one in errors[:MOST_DETAILS]:
                row, column = (int(part) for part in one["loc"][:2])
                feature = self.features[column]
                rule, message = _broken(one["type"], feature)
                details.append({"instance": row, "feature": feature.name, "rule": rule, "message": message})
            raise BrokenRules(details, len(errors)) from None

    def misnamed(self, names: Sequence[str]) -> tuple[list[Detail], int]:
        """Features that are missing among a record's names, and names that are no feature's; and how many there are."""
        given = set(names)
        missing = [feature for feature in self.features if feature.name not in given]
        unknown = [name for name in names if name not in self.positions]
        details: list[Detail] = []
        for feature in missing[:MOST_DETAILS]:
            hint = "; send null if it is not known" if feature.nullable else ""
            details.append({"feature": feature.name, "rule": "required", "message": f"is missing{hint}"})
        for name in unknown[: MOST_DETAILS - len(details)]:
            message = f"is not a feature of this model; {self._hint(name)}"[:400]
            details.append({"feature": name[:LONGEST_ECHO], "rule": "unknown", "message": message})
        return details, len(missing) + len(unknown)

    def _hint(self, name: str) -> str:
        close = difflib.get_close_matches(name[:LONGEST_ECHO], self.positions, 1)
        return f"did you mean '{close[0]}'?" if close else f"its features are {', '.join(self.positions)}"


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
