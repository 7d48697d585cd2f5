"""Features: the named input columns of a model, and the record type that they imply."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, with_config
from typing_extensions import TypedDict

FLOAT32_MAX = 3.4028234663852886e38

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


def record_type(features: Sequence[Feature]) -> Any:
    """Build the type of one record: every feature present, nothing else, `None` only where the feature is nullable.

    A validated record lists its values in the order of `features`. Feature names are free text ("capital-gain",
    "__class__"), which a TypedDict allows as keys and a class would not allow as attributes.
    """
    fields: dict[str, Any] = {}
    for feature in features:
        value: Any = Number if feature.kind == "numeric" else str
        fields[feature.name] = value | None if feature.nullable else value
    strict = with_config(ConfigDict(extra="forbid", strict=True))
    return strict(TypedDict("Record", fields))  # type: ignore[operator]
