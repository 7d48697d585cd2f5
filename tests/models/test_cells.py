"""The one rule for a cell: what a text means, and what it never means."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.card import ModelCard
from models.cells import Reading, days_of, iso_date, moment, shortest_date, spelled_code
from models.features import CategoricalFeature, DateFeature, Feature, NumericFeature, cell_reader

GERMAN: dict[str, Any] = {"decimal": ",", "thousands": "."}
PUBLISHED = Path(__file__).parent.parent / "service/published/penguins/1/card.json"


@pytest.mark.parametrize(
    ("text", "settings", "number"),
    [
        ("1", {}, 1),
        (" -1.5e3\u00a0", {}, -1500),
        ("+.5", {}, 0.5),
        ("7.", {}, 7),
        ("-Infinity", {}, float("-inf")),
        ("5.668,22", GERMAN, 5668.22),
        ("1234,5", GERMAN, 1234.5),
        ("1\u202f234\u202f567", {"thousands": " "}, 1234567),
        ("1’000.5", {"thousands": "'"}, 1000.5),
        ("94%", {"unit": "%"}, 94),
        ("94 %", {"unit": "%"}, 94),
        ("94", {"unit": "%"}, 94),
        ("-$4,966", {"thousands": ",", "unit": "$"}, -4966),
        ("$-4", {"unit": "$"}, -4),
        ("3,5 kg", {"decimal": ",", "unit": "kg"}, 3.5),
        ("TRUE", {"boolean": ("0", "1")}, 1),
    ],
)
def test_a_text_is_a_number(text: str, settings: dict[str, Any], number: float) -> None:
    """As its column's reading says."""
    assert Reading(**settings).number(text) == number


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        *(
            (text, {})
            for text in ("", "x", "1_000", "0x10", "1,5", "1 000", "٣", "- 1", "1e", ".", "nan", "--1", "1\n2")
        ),
        *((text, GERMAN) for text in ("1.5", "1.5,2", "0.123", "12.34,5", "1,2,3")),
        *((text, {"unit": "$"}) for text in ("$", "-$-4", "$$4", "4 €")),
    ],
)
def test_a_text_is_no_number(text: str, settings: dict[str, Any]) -> None:
    """Not even nearly."""
    with pytest.raises(ValueError, match="is no number"):
        Reading(**settings).number(text)


@pytest.mark.parametrize(
    ("text", "order", "iso"),
    [
        ("2024-01-31", "ymd", "2024-01-31"),
        ("2024/1/3", "ymd", "2024-01-03"),
        ("20240131", "ymd", "2024-01-31"),
        ("2024-01-26 12:40:00.000", "ymd", "2024-01-26T12:40:00"),
        ("2024-01-26T12:40+02:00", "ymd", "2024-01-26T10:40:00"),
        ("2024-01-26T23:40:00,5-0130", "ymd", "2024-01-27T01:10:00.500000"),
        ("31.01.2024", "dmy", "2024-01-31"),
        ("31.1.2024 6:30", "dmy", "2024-01-31T06:30:00"),
        ("1/31/2024", "mdy", "2024-01-31"),
        ("0001-01-01", "ymd", "0001-01-01"),
        ("9999-12-31T23:59:59.999999", "ymd", "9999-12-31T23:59:59.999999"),
    ],
)
def test_a_text_is_a_date(text: str, order: Any, iso: str) -> None:
    """In UTC where it names a zone, to the microsecond."""
    assert iso_date(days_of(moment(text, order)))[:19] == iso[:19]


@pytest.mark.parametrize(
    ("text", "order"),
    [
        *(
            (text, "ymd")
            for text in ("", "x", "2024-02-30", "2024-1", "24-01-31", "2024-01/31", "2024-01-31 24:00", "12:40")
        ),
        *((text, "dmy") for text in ("2024-01-31", "1/31/2024", "31.1.24")),
        *((text, "mdy") for text in ("31/1/2024", "1.31.2024")),
        ("0001-01-01T00:00+01:00", "ymd"),
    ],
)
def test_a_text_is_no_date(text: str, order: Any) -> None:
    """A day that no calendar has, a year of two digits, a time alone."""
    with pytest.raises(ValueError):  # noqa: PT011
        moment(text, order)


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)))  # noqa: DTZ001
def test_a_date_agrees_with_the_calendar_of_python(when: datetime) -> None:
    """An independent count of the microseconds."""
    assert moment(when.isoformat()) == (when - datetime(1970, 1, 1)) // timedelta(microseconds=1)  # noqa: DTZ001


NUMBER = NumericFeature(
    name="x", nullable=True, minimum=0, maximum=1, reading=Reading(missing=("NA", "-999"), **GERMAN)
)
DATE = DateFeature(name="d", nullable=True, minimum=0, maximum=1, reading=Reading(date="dmy"))
TEXT = CategoricalFeature(name="k", nullable=True, categories=("a", "NA", " b "))
FLAG = CategoricalFeature(name="f", nullable=True, categories=("f", "t"), reading=Reading(boolean=("f", "t")))


@pytest.mark.parametrize(
    ("feature", "text", "value"),
    [
        (NUMBER, "1.234,5", 1234.5),
        (NUMBER, " -999 ", None),
        (NUMBER, "\u00a0", None),
        (DATE, "31.1.2024", "2024-01-31"),
        (DATE, "NULL", None),
        (TEXT, "a", "a"),
        (TEXT, " b ", " b "),
        (TEXT, " ", None),
        (TEXT, "NULL", None),
        (TEXT, "NA", "NA"),  # A category of that name, as cards from before there were readings may have.
        (FLAG, "t", "t"),
        (FLAG, "TRUE", "t"),
        (FLAG, "no", "f"),
        (FLAG, "perhaps", "perhaps"),
    ],
)
def test_a_cell_is_what_a_client_would_send(feature: Feature, text: str, value: object) -> None:
    """A number, a text, an ISO date or nothing."""
    assert cell_reader(feature)(text) == value


@pytest.mark.parametrize(
    ("feature", "text"), [(NUMBER, "5.5"), (NUMBER, "1e39"), (NUMBER, "inf"), (DATE, "2024-01-31")]
)
def test_a_cell_that_is_none_of_its_feature_is_refused(feature: Feature, text: str) -> None:
    """A number that no 32-bit float holds, too."""
    with pytest.raises(ValueError, match=r"is no number|is no date|does not fit"):
        cell_reader(feature)(text)


def test_cards_of_earlier_versions_load() -> None:
    """Their features have no reading, and what may be missing was seen missing."""
    document = json.loads(PUBLISHED.read_bytes())
    card = ModelCard.model_validate(document)

    assert "reading" not in document["features"][0]
    assert all(feature.seen_missing and feature.reading == Reading() for feature in card.features)


def test_a_card_keeps_the_reading_of_each_feature() -> None:
    """Only what differs from the defaults stands in it, and it comes back."""
    document = NUMBER.model_dump(mode="json")

    assert document["reading"] == {"missing": ["NA", "-999"], "decimal": ",", "thousands": "."}
    assert NumericFeature.model_validate_json(json.dumps(document)) == NUMBER


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2024-01-01", "2024-01-01"),
        ("2024-01-01T00:01:47", "2024-01-01T00:03:00"),
        ("2024-02-01T12:36:00", "2024-02-01T12:37:00"),
        ("2024-02-01T12:00:00", "2024-02-01T12:00:00"),
        ("1970-01-02T00:00:01", "1970-01-02T00:00:01"),
        ("0001-01-01", "0001-01-01"),
        ("9999-12-31", "9999-12-31"),
    ],
)
def test_a_date_is_shown_no_more_exactly_than_it_was_kept(text: str, shown: str) -> None:
    """As a 32-bit float, which has no seconds of this century, and reads what is shown as the same number."""
    kept = np.float32(days_of(moment(text)))

    assert shortest_date(float(kept)) == shown
    assert np.float32(days_of(moment(shown))) == kept


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (3, "3"),
        (-0.0, "-0"),
        (5411001, "5411001"),
        (1_000_000, "1000000"),
        (-999_999_999, "-999999999"),
        (2.5, "2.5"),
        (3.0000002384185791, "3.0000002"),
        (1e9, "1e+09"),
        (1.0000000272564224e16, "1e+16"),
        (1e300, "1e+300"),
    ],
)
def test_a_code_is_spelled_in_full(code: float, text: str) -> None:
    """Six digits would call two neighbouring codes the same."""
    assert spelled_code(code) == text


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_no_two_codes_are_spelled_alike(code: float) -> None:
    assert np.float32(spelled_code(code)) == np.float32(code)
