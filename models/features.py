"""Features: the named input columns of a model, and the type of the rows that they imply."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict

# The largest 64-bit float that rounds to a finite 32-bit one.
FLOAT32_MAX = 3.4028235677973362e38

Number = Annotated[float, Field(ge=-FLOAT32_MAX, le=FLOAT32_MAX)]
Value = float | str | None
Record = dict[str, Value]


class NumericFeature(BaseModel):
    """A number. `minimum` and `maximum` are those of the training rows."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    name: str
    kind: Literal["numeric"] = "numeric"
    nullable: bool
    minimum: float
    maximum: float


class CategoricalFeature(BaseModel):
    """One of several texts. `categories` are those of the training rows, sorted; a missing value is never one."""

    model_config = ConfigDict(frozen=True)

    name: str
    kind: Literal["categorical"] = "categorical"
    nullable: bool
    categories: tuple[str, ...]


Feature = Annotated[NumericFeature | CategoricalFeature, Field(discriminator="kind")]


def row_type(features: Sequence[Feature]) -> Any:
    """Build the type of one row: a value for each feature in their order, `None` only where the feature is nullable."""
    values = tuple(_value_type(feature) for feature in features)
    row: Any = tuple
    return row[values]


def _value_type(feature: Feature) -> Any:
    kind: Any = Number if feature.kind == "numeric" else str
    value: Any = Annotated[kind, Strict()]
    return value | None if feature.nullable else value
