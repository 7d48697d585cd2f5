import json

import pytest
from pydantic import ValidationError

from models.card import ModelCard


def test_a_card_survives_the_disk(card: ModelCard) -> None:
    """What is written is what is read, labels with commas, quotes and accents included."""
    assert ModelCard.model_validate_json(card.to_json()) == card


def test_a_card_is_written_one_part_a_line(card: ModelCard) -> None:
    """People read and diff card.json."""
    lines = card.to_json().splitlines()

    # Sets, and candidates, are left out where there are none.
    assert len(lines) == len(ModelCard.model_fields) - 2 + 2
    assert lines[2] == '"name": "tides",'


def test_a_newer_card_can_be_read(card: ModelCard) -> None:
    """Parts that this version does not know are let through."""
    document = json.loads(card.to_json()) | {"fairness": {"threshold": 1.1}}

    assert ModelCard.model_validate_json(json.dumps(document)) == card


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("classes", ["one"]),
        ("classes", ["same", "same"]),
        ("features", [{"name": "x", "kind": "numeric", "nullable": False, "minimum": 0, "maximum": 1}] * 2),
        ("golden", [{"instance": {}, "probabilities": [1.0]}]),
        ("typical", {"height-m": 1.0}),
        ("background", [{"height-m": 1.0, "__class__": "ebb"}, {"height-m": 1.0, "__class__": "ebb", "more": None}]),
        ("format", 2),
        ("learned_rows", {"hashes": "AAAA", "all": True, "tested": 1, "repeated": 0}),
        ("learned_rows", {"hashes": "AAAAA", "all": True, "tested": 1, "repeated": 0}),
    ],
)
def test_a_card_that_contradicts_itself_is_refused(card: ModelCard, part: str, value: object) -> None:
    """No reader has to guess which half of a contradiction is meant."""
    document = json.loads(card.to_json()) | {part: value}

    with pytest.raises(ValidationError):
        ModelCard.model_validate_json(json.dumps(document))


def test_a_card_of_before_has_no_typical_row(card: ModelCard) -> None:
    """It is read as ever."""
    document = json.loads(card.to_json())
    del document["typical"], document["background"]
    read = ModelCard.model_validate_json(json.dumps(document))

    assert (read.typical, read.background) == (None, ())


def test_columns_keep_the_order_of_the_card(card: ModelCard) -> None:
    """The tensors' columns are the features of one kind, in card order."""
    assert [feature.name for feature in card.numeric] == ["height-m"]
    assert [feature.name for feature in card.categorical] == ["__class__"]
