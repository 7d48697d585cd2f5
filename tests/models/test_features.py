from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from models.card import ModelCard
from models.features import record_type


@pytest.fixture
def record(card: ModelCard) -> TypeAdapter[Any]:
    return TypeAdapter(record_type(card.features))


def test_a_record_lists_its_values_in_card_order(record: TypeAdapter[Any]) -> None:
    """However the client orders them, and whatever the features are called."""
    assert list(record.validate_json('{"__class__": "ebb", "height-m": 2}')) == ["height-m", "__class__"]


def test_null_is_allowed_only_where_a_value_may_be_missing(record: TypeAdapter[Any]) -> None:
    """Training has seen the one missing and not the other."""
    assert record.validate_json('{"height-m": null, "__class__": "ebb"}')["height-m"] is None
    with pytest.raises(ValidationError):
        record.validate_json('{"height-m": 1, "__class__": null}')


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", "1e39", "-1e39", '"1.5"', "true", "[1]", "{}"])
def test_a_number_is_strictly_a_number(record: TypeAdapter[Any], value: str) -> None:
    """Nothing becomes a number that is none, or that a 32-bit float cannot hold."""
    with pytest.raises(ValidationError):
        record.validate_json(f'{{"height-m": {value}, "__class__": "ebb"}}')


@pytest.mark.parametrize("value", ["3.4028234663852886e38", "-0.0", "1e-46", "9007199254740993", "7"])
def test_every_float32_is_a_number(record: TypeAdapter[Any], value: str) -> None:
    """The largest, the smallest, and integers."""
    assert record.validate_json(f'{{"height-m": {value}, "__class__": "ebb"}}')["height-m"] == float(value)


@pytest.mark.parametrize("body", ['{"height-m": 1}', '{"height-m": 1, "__class__": "ebb", "extra": 1}', "[]", "1"])
def test_a_record_has_exactly_the_features(record: TypeAdapter[Any], body: str) -> None:
    """Nothing left out, nothing added."""
    with pytest.raises(ValidationError):
        record.validate_json(body)
