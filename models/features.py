"""Features: the named input columns of a model, and the type of the rows that they imply."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict, field_serializer

from models.cells import BLANKS, Reading, days_of, iso_date, moment

# The largest 64-bit float that rounds to a finite 32-bit one.
FLOAT32_MAX = 3.4028235677973362e38

Number = Annotated[float, Field(ge=-FLOAT32_MAX, le=FLOAT32_MAX)]
Value = float | str | None
Record = dict[str, Value]


class _Feature(BaseModel):
    """A named column. `nullable` says whether it may be missing when asked, `seen_missing` whether training saw that.

    `reading` says how the texts of a table are read; cards leave out whatever of it is the default.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    name: str
    nullable: bool
    seen_missing: bool = True
    reading: Reading = Reading()

    @field_serializer("reading")
    def _stated(self, reading: Reading) -> dict[str, Any]:
        return reading.model_dump(mode="json", exclude_defaults=True)


class NumericFeature(_Feature):
    """A number. `minimum` and `maximum` are those of the training rows.

    Where training encoded its numbers as categories, `codes` are those of the training rows, ascending; else there are
    none, and cards do not name them.
    """

    kind: Literal["numeric"] = "numeric"
    minimum: float
    maximum: float
    codes: tuple[float, ...] = Field((), exclude_if=lambda codes: not codes)


class DateFeature(_Feature):
    """A date, with or without a time: ISO 8601 on the wire, days since 1970-01-01 in the tensor `numeric`.

    A 32-bit float of days is exact to three minutes in the years 2014 to 2059. `minimum` and `maximum` are days too.
    """

    kind: Literal["date"] = "date"
    minimum: float
    maximum: float


class CategoricalFeature(_Feature):
    """One of several texts. `categories` are those of the training rows, sorted; a missing value is never one."""

    kind: Literal["categorical"] = "categorical"
    categories: tuple[str, ...]


Feature = Annotated[NumericFeature | DateFeature | CategoricalFeature, Field(discriminator="kind")]


def codes_of(feature: Feature) -> tuple[float, ...]:
    """The numbers that training has seen of a feature that it encoded as categories; none of any other."""
    return feature.codes if feature.kind == "numeric" else ()


def usual_range(feature: NumericFeature | DateFeature) -> tuple[float, float]:
    """Below and above these a value lies outside of what training has seen by more than that range is wide.

    No code lies outside: one that training has not seen is as unlike the others, however near it is.
    """
    if codes_of(feature):
        return -math.inf, math.inf
    width = feature.maximum - feature.minimum or abs(feature.maximum) or 1.0
    return feature.minimum - width, feature.maximum + width


def cell_reader(feature: Feature) -> Callable[[str], Value]:
    """What turns the text of a table's cell into what a client would send: a number, a text, an ISO date, or None.

    It raises ValueError where the text is none of what the feature may be, in words that end a sentence about it.
    """
    reading = feature.reading
    missing = frozenset({"", *reading.missing}.difference(feature.categories if feature.kind == "categorical" else ()))

    def read_number(text: str) -> Value:
        stripped = text.strip(BLANKS)
        if stripped in missing:
            return None
        number = reading.number(stripped)
        if abs(number) > FLOAT32_MAX:
            raise ValueError("does not fit in a 32-bit float")
        return number

    def read_date(text: str) -> Value:
        stripped = text.strip(BLANKS)
        return None if stripped in missing else iso_date(days_of(reading.moment(stripped)))

    def read_text(text: str) -> Value:
        return None if text.strip(BLANKS) in missing else reading.category(text)

    return {"numeric": read_number, "date": read_date, "categorical": read_text}[feature.kind]


def row_type(features: Sequence[Feature]) -> Any:
    """Build the type of one row: a value for each feature in their order, `None` only where the feature is nullable."""
    values = tuple(_value_type(feature) for feature in features)
    row: Any = tuple
    return row[values]


def _value_type(feature: Feature) -> Any:
    kinds: dict[str, Any] = {"numeric": Number, "categorical": str, "date": Annotated[str, AfterValidator(_checked)]}
    value: Any = Annotated[kinds[feature.kind], Strict()]
    if feature.reading.boolean:
        value = Annotated[value, BeforeValidator(partial(_of_boolean, feature))]
    return value | None if feature.nullable else value


def _of_boolean(feature: Feature, value: Any) -> Any:
    """What a column of booleans holds for true or false; any other value as it is."""
    if not isinstance(value, bool) or feature.reading.boolean is None:
        return value
    return float(value) if feature.kind == "numeric" else feature.reading.boolean[value]


def _checked(text: str) -> str:
    moment(text)
    return text
