from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from models.card import ModelCard
from models.features import row_type


@pytest.fixture
def row(card: ModelCard) -> TypeAdapter[Any]:
    return TypeAdapter(row_type(card.features))


def test_null_is_allowed_only_where_a_value_may_be_missing(row: TypeAdapter[Any]) -> None:
    """Training has seen the one missing and not the other."""
    assert row.validate_json('[null, "ebb"]') == (None, "ebb")
    with pytest.raises(ValidationError):
        row.validate_json("[1, null]")


@pytest.mark.parametrize(
    "value", ["NaN", "Infinity", "1e999", "3.4028235677973366e38", "-1e39", '"1.5"', "true", "[1]", "{}"]
)
def test_a_number_is_strictly_a_number(row: TypeAdapter[Any], value: str) -> None:
    """Nothing becomes a number that is none, or that a 32-bit float cannot hold."""
    with pytest.raises(ValidationError):
        row.validate_json(f'[{value}, "ebb"]')


@pytest.mark.parametrize("value", ["3.4028235677973362e38", "-0.0", "1e-46", "9007199254740993", "7"])
def test_every_float32_is_a_number(row: TypeAdapter[Any], value: str) -> None:
    """The largest, the smallest, and integers."""
    assert row.validate_json(f'[{value}, "ebb"]')[0] == float(value)


@pytest.mark.parametrize("body", ["[1]", '[1, "ebb", 1]', "{}", "1"])
def test_a_row_has_exactly_the_features(row: TypeAdapter[Any], body: str) -> None:
    """Nothing left out, nothing added."""
    with pytest.raises(ValidationError):
        row.validate_json(body)
