"""Records on the wire: JSON checked against the card, then turned into the tensors of the model."""

import difflib
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from pydantic_core import ErrorDetails
from typing_extensions import TypedDict

from models.card import ModelCard
from models.features import Record, record_type
from service.errors import Detail, InvalidRecord, MalformedBody

MOST_DETAILS = 20
LONGEST_ECHO = 64


class Tensors(NamedTuple):
    """Rows as the model takes them: `numeric` (n, p), NaN meaning missing; `categorical` (n, q), "" meaning missing."""

    numeric: npt.NDArray[np.float32]
    categorical: npt.NDArray[np.object_]


class RecordReader:
    """Reads the records of one model: the card's features, each name turned into a position once."""

    def __init__(self, card: ModelCard) -> None:
        self._features = {feature.name: feature for feature in card.features}
        self._numeric = [feature.name for feature in card.numeric]
        self._categorical = [feature.name for feature in card.categorical]
        self._known = {feature.name: frozenset(feature.categories) for feature in card.categorical}
        record = record_type(card.features)
        strict = with_config(ConfigDict(extra="forbid", strict=True))
        several = Annotated[list[record], Field(min_length=1)]  # type: ignore[valid-type]
        fields = {"instance": record, "instances": several}
        self._request: TypeAdapter[dict[str, Any]] = TypeAdapter(
            strict(TypedDict("Request", fields, total=False))  # type: ignore[operator]
        )

    def read(self, body: bytes) -> tuple[list[Record], bool]:
        """The records of a request, and whether it asked for several.

        :raises MalformedBody: the body is not JSON.
        :raises InvalidRecord: a record breaks the card; the sentence names the feature and the rule.
        """
        try:
            request = self._request.validate_json(body)
        except ValidationError as error:
            raise self._refusal(error) from None
        if len(request) != 1:
            raise InvalidRecord('the body must hold either "instance", one record, or "instances", a list of records')
        return (request["instances"], True) if "instances" in request else ([request["instance"]], False)

    def tensors(self, records: Sequence[Record]) -> Tensors:
        """Turn checked records into tensors."""
        numbers = [[record[name] for name in self._numeric] for record in records]
        texts = [[record[name] or "" for name in self._categorical] for record in records]
        return Tensors(
            np.array(numbers, np.float32).reshape(len(records), len(self._numeric)),
            np.array(texts, object).reshape(len(records), len(self._categorical)),
        )

    def warnings(self, record: Record) -> list[Detail]:
        """What a person should know about a record that is answered all the same."""
        return [
            {
                "feature": name,
                "code": "unseen_category",
                "message": f"training has not seen {_echo(value)}; it counts as none of the known categories",
            }
            for name, known in self._known.items()
            if (value := record[name]) and value not in known
        ]

    def _refusal(self, error: ValidationError) -> MalformedBody | InvalidRecord:
        errors = error.errors(include_url=False, include_input=False)
        if errors[0]["type"] == "json_invalid":
            reason = errors[0]["msg"].removeprefix("Invalid JSON: ")
            return MalformedBody(f"the body is not JSON: {reason[:200]}")
        details = [self._detail(one) for one in errors[:MOST_DETAILS]]
        first, more = details[0], len(errors) - 1
        place = f"instance {first['instance']}, " if "instance" in first else ""
        place += f"feature '{first['feature']}' " if "feature" in first else "the request "
        return InvalidRecord(f"{place}{first['message']}{f'; and {more} more' if more else ''}", details)

    def _detail(self, error: ErrorDetails) -> Detail:
        detail: Detail = {}
        place = list(error["loc"])
        if place[:1] == ["instances"] and len(place) > 1:
            detail["instance"] = int(place[1])
        name = str(place[-1]) if len(place) == 3 or (place[:1] == ["instance"] and len(place) == 2) else None
        if name is not None:
            detail["feature"] = name[:LONGEST_ECHO]
        detail["rule"], detail["message"] = self._rule(error["type"], name)
        return detail

    def _rule(self, kind: str, name: str | None) -> tuple[str, str]:
        """The rule that was broken, as a word and as the end of a sentence that begins with the feature."""
        if name is None:
            return (
                "shape",
                'must be {"instance": {feature: value}} or {"instances": [{feature: value}, …]}, nothing else',
            )
        if kind == "extra_forbidden":
            close = difflib.get_close_matches(name[:LONGEST_ECHO], self._features, 1)
            hint = f"did you mean '{close[0]}'?" if close else f"its features are {', '.join(self._features)}"
            return "unknown", f"is not a feature of this model; {hint}"[:400]
        feature = self._features[name]
        or_null = " or null" if feature.nullable else ""
        if kind == "missing":
            return "required", "is missing" + ("; send null if it is not known" if feature.nullable else "")
        if kind in ("less_than_equal", "greater_than_equal"):
            return "range", "must fit in a 32-bit float"
        if feature.kind == "numeric":
            return "number", f"must be a number{or_null}"
        return "text", f"must be a text{or_null}"


def _echo(value: object) -> str:
    text = str(value)
    return repr(text if len(text) <= LONGEST_ECHO else text[: LONGEST_ECHO - 1] + "…")
