"""Columns are read by the thousand, by pyarrow; each text must mean what the contract's rule says of it alone."""

from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from models.cells import MISSING, Reading, days_of
from models.features import CategoricalFeature, cell_reader
from trainer.data.columns import TextCells

digits = st.text("0123456789.,'’ \u202f_-+eE$%€kginfNa\t\x1c\u0085", max_size=12)
spelled = st.one_of(
    digits,
    st.text(max_size=6),
    st.floats().map(str),
    st.integers(-(10**18), 10**18).map(lambda number: f"{number:,}"),
    st.floats(-1e9, 1e9).map(lambda number: f"{number:,.2f}".translate(str.maketrans(",.", ".,"))),
    st.sampled_from([*MISSING, "", " NA ", "\u2003", "inf", "+1", " 1", "1e999", "TRUE", "No"]),
).filter(lambda text: "\0" not in text)
readings = st.builds(
    Reading,
    decimal=st.just(","),
    thousands=st.sampled_from(["", ".", " ", "'", "_"]),
    unit=st.sampled_from(["", "$", "kg", "%", "€"]),
    missing=st.lists(spelled, max_size=3).map(tuple),
) | st.builds(
    Reading,
    thousands=st.sampled_from(["", ",", " ", "'"]),
    unit=st.sampled_from(["", "$", "g"]),
    boolean=st.sampled_from([None, ("0", "1")]),
)


def column(texts: list[str]) -> TextCells:
    return TextCells.of(pa.chunked_array([pa.array(texts, pa.string())]), declared=False)


def one_by_one(texts: list[str], read: Any) -> list[float]:
    found = []
    for text in texts:
        try:
            found.append(read(text))
        except ValueError:
            found.append(float("nan"))
    return found


@settings(max_examples=400, deadline=None)
@given(st.lists(spelled, min_size=1, max_size=8, unique=True), readings)
def test_numbers_are_those_of_the_contract(texts: list[str], reading: Reading) -> None:
    """To the last bit, whichever way pyarrow takes; and what is missing is missing."""
    cells = column(texts)
    everything = np.ones(len(texts), np.bool_)

    np.testing.assert_array_equal(cells.numbers(everything, reading), one_by_one(texts, reading.number))
    read = cell_reader(CategoricalFeature(name="x", nullable=True, reading=reading, categories=()))
    assert cells.missing(reading.missing).tolist() == [read(text) is None for text in texts]


@settings(deadline=None)
@given(st.lists(st.datetimes().map(str) | st.dates().map(str) | spelled, min_size=1, unique=True))
def test_dates_are_those_of_the_contract(texts: list[str]) -> None:
    """Days, with what is left of one."""
    reading = Reading()
    days = column(texts).days(np.ones(len(texts), np.bool_), reading)

    np.testing.assert_array_equal(days, one_by_one(texts, lambda text: days_of(reading.moment(text))))


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1))
def test_a_column_is_spread_as_it_stood(texts: list[str | None]) -> None:
    """Also in chunks whose dictionaries differ."""
    half = len(texts) // 2
    chunks = [pa.array(part, pa.string()).dictionary_encode() for part in (texts[:half], texts[half:])]
    cells = TextCells.of(pa.chunked_array(chunks), declared=True)
    spread = np.empty(len(texts), object)
    cells.spread(np.array(cells.texts.to_pylist(), object), np.str_("nothing"), spread)

    assert spread.tolist() == [text or "nothing" for text in texts]
