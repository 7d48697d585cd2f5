"""Values of every kind of feature as a client sends them: dates, booleans, and gaps that training has never seen."""

from typing import Any

import numpy as np
import pytest

from models.card import ModelCard
from models.cells import Reading
from models.features import CategoricalFeature, DateFeature, Feature, NumericFeature
from models.repository import ModelRepository
from service.openapi.schemas import record
from service.rows.reader import RowReader
from service.rows.rules import BrokenRules

ROW: dict[str, Any] = {"day": "2024-01-31", "paid": 1.0, "trial": "t", "x": 0.5}


@pytest.fixture
def card(repository: ModelRepository) -> ModelCard:
    """Four features: a date that may not be missing, two booleans, and a number that training never saw missing."""
    features = (
        DateFeature(name="day", nullable=False, minimum=19000, maximum=20000),
        NumericFeature(name="paid", nullable=True, minimum=0, maximum=1, reading=Reading(boolean=("0", "1"))),
        CategoricalFeature(
            name="trial", nullable=True, seen_missing=False, categories=("f", "t"), reading=Reading(boolean=("f", "t"))
        ),
        NumericFeature(name="x", nullable=True, seen_missing=False, minimum=0, maximum=1),
    )
    return repository.card("penguins", 1).model_copy(update={"features": features, "drift": None})


def read(card: ModelCard, **values: Any) -> tuple[list[float], str, list[tuple[str, str]]]:
    """The numeric tensor, the text and the warnings of one row with these values; by name and by position alike."""
    row = ROW | values
    rows, listed = RowReader(card.features).read([row]), RowReader(card.features).read([list(row.values())])
    assert rows.tensors["numeric"].tobytes() == listed.tensors["numeric"].tobytes()
    warnings = [(str(one["feature"]), str(one["code"])) for one in rows.warnings.get(0, [])]
    return rows.tensors["numeric"][0].tolist(), rows.tensors["categorical"][0, 0], warnings


@pytest.mark.parametrize(
    ("text", "days"),
    [("2024-01-31", 19753), ("2024-01-31T06:00", 19753.25), ("2024-01-31T00:00:00+02:00", 19753 - 2 / 24)],
)
def test_a_date_is_iso_text(card: ModelCard, text: str, days: float) -> None:
    """Days since 1970-01-01 are what the model takes."""
    assert read(card, day=text)[0][0] == np.float32(days)


def test_true_and_false_are_taken_where_the_column_was_boolean(card: ModelCard) -> None:
    """As the number or the text that training saw; nowhere else."""
    numeric, text, warnings = read(card, paid=True, trial=False)

    assert (numeric[1], text, warnings) == (1.0, "f", [])
    with pytest.raises(BrokenRules, match="must be a number or null"):
        read(card, x=True)


def test_a_gap_that_training_never_saw_is_answered_with_a_warning(card: ModelCard) -> None:
    """Of a number and of a text; one that it saw needs none."""
    numeric, text, warnings = read(card, paid=None, trial=None, x=None)

    assert np.isnan(numeric[1:]).all()
    assert text == ""
    assert warnings == [("x", "unseen_missing"), ("trial", "unseen_missing")]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"day": None}, "must be an ISO 8601 date such as 2026-01-31"),
        ({"day": "31.01.2024"}, "must be an ISO 8601 date such as 2026-01-31"),
        ({"day": 19753}, "must be an ISO 8601 date such as 2026-01-31"),
        ({"day": True}, "must be an ISO 8601 date such as 2026-01-31"),
        ({"paid": "yes"}, "must be a number, true, false or null"),
        ({"trial": 1}, "must be a text, true, false or null"),
    ],
)
def test_what_is_no_such_value_is_refused(card: ModelCard, values: dict[str, Any], sentence: str) -> None:
    """With what would be one."""
    with pytest.raises(BrokenRules) as broken:
        read(card, **values)
    assert broken.value.details[0]["message"] == sentence


def test_a_date_far_from_training_is_answered_with_a_warning(card: ModelCard) -> None:
    """Which names the dates that training has seen."""
    (warning,) = RowReader(card.features).read([ROW | {"day": "2124-01-31"}]).warnings[0]

    assert "training has seen 2022-01-08 to 2024-10-04" in str(warning["message"])


CODED: list[Feature] = [
    NumericFeature(name="x", nullable=True, minimum=0, maximum=1),
    NumericFeature(name="few", nullable=True, seen_missing=False, minimum=1, maximum=3, codes=(1, 3)),
    CategoricalFeature(name="text", nullable=False, categories=("a",)),
    NumericFeature(name="many", nullable=True, minimum=-5, maximum=16777220, codes=(-5, 0, 7, 16777220)),
]


@pytest.mark.parametrize("rows", [1, 3, 2500])
def test_codes_are_known_or_not(rows: int) -> None:
    """Held against Python's own sets, in requests of every length; a number far outside is one that is not known."""
    rng = np.random.default_rng(rows)
    known = {one.name: set(one.codes) for one in CODED if one.kind == "numeric" and one.codes}
    for _ in range(20 if rows < 100 else 1):
        # The unseen are few, so that the last rows of a long request are warned of too.
        usual: dict[str, list[Any]] = {
            "x": [0, 1, None],
            "few": [1, 3],
            "text": ["a"],
            "many": [-5, 0, 7, 16777220, None],
        }
        odd: dict[str, list[Any]] = {
            "x": [9],
            "few": [2, None, 1e30, 1.0000001],
            "text": ["b"],
            "many": [1, -6, 6.5, 16777222, -3e38],
        }
        drawn: list[dict[str, Any]] = [
            {name: values[rng.integers(len(values))] for name, values in usual.items()} for _ in range(rows)
        ]
        for row in rng.choice(rows, min(rows, 15), replace=False):
            name = str(rng.choice(list(odd)))
            drawn[row][name] = odd[name][rng.integers(len(odd[name]))]
        found = RowReader(CODED).read(drawn).warnings
        told = {(row, str(one["feature"]), str(one["code"])) for row, some in found.items() for one in some}

        assert told == {
            (row, name, kind)
            for row, record in enumerate(drawn)
            for name, kind in [
                ("x", "far_outside_range") if record["x"] == 9 else ("", ""),
                ("few", "unseen_missing") if record["few"] is None else ("", ""),
                ("text", "unseen_category") if record["text"] == "b" else ("", ""),
                *((one, "unseen_category") for one in known if record[one] not in {*known[one], None}),
            ]
            if name
        }


def test_the_documentation_tells_the_codes(card: ModelCard) -> None:
    """Where others have a range."""
    values = record(card.model_copy(update={"features": tuple(CODED)}))["properties"]

    assert values["few"]["description"] == "in training: 1, 3"
    assert values["many"]["description"] == "in training: -5, 0, 7, 16777220"
    assert values["x"]["description"] == "0 to 1 in training"


def test_the_documentation_says_what_is_taken(card: ModelCard) -> None:
    """A text for a date, a boolean where one is taken, null where it may be missing."""
    values = record(card)["properties"]

    assert [values[name].get("type", values[name].get("$ref")) for name in ROW] == [
        "string",
        ["number", "boolean", "null"],
        ["string", "boolean", "null"],
        "#/components/schemas/NumberOrNull",
    ]
    assert "ISO 8601" in values["day"]["description"]
