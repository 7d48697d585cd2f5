from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.card import ModelCard
from models.repository import ModelRepository
from service.rows.reader import RowReader
from service.rows.rules import BrokenRules
from tests.service.conftest import GENTOO, PUBLISHED

CARD: ModelCard = ModelRepository(PUBLISHED).card("penguins", 1)
READER = RowReader(CARD.features)
WIDTHS = {feature.name: feature.maximum - feature.minimum for feature in CARD.numeric}

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["Biscoe", "Dream", "male", "", "nowhere", "1.5", 3.4028235e38, -0.0, 45.1, 2008]),
    st.text(max_size=3),
    st.lists(st.integers(), max_size=2),
)
# A record that is right but for a cell or two: of one with many wrong cells, each hides what the others would do.
RECORDS = st.dictionaries(st.sampled_from(list(GENTOO)), VALUES, max_size=2).map(lambda changes: GENTOO | changes)
NEARLY = st.one_of(
    RECORDS, RECORDS.map(lambda record: list(record.values())), st.dictionaries(st.text(), VALUES), VALUES
)


@settings(max_examples=1000, deadline=None)
@given(st.lists(NEARLY, min_size=1, max_size=3))
def test_the_swift_way_takes_what_the_card_allows(rows: list[Any]) -> None:
    """And nothing else: pydantic, asked about the same rows, says the same, and holds the same values."""
    swift = READER._read_swiftly(rows, may_hold_booleans=True)
    try:
        checked = READER._check(rows)
    except BrokenRules:
        assert swift is None
        return
    if swift is None:
        assert len({type(row) for row in rows}) > 1
        swift = READER.read(rows)
    names = [feature.name for feature in CARD.features]
    for index, row in enumerate(checked):
        values = dict(zip(names, row, strict=True))
        numbers = [values[feature.name] for feature in CARD.numeric]
        expected = np.array([np.nan if number is None else number for number in numbers]).astype(np.float32)
        np.testing.assert_array_equal(swift.tensors["numeric"][index], expected)
        assert list(swift.tensors["categorical"][index]) == [values[one.name] or "" for one in CARD.categorical]


def test_ordinary_rows_go_the_swift_way() -> None:
    """By name in any order, by position, with gaps, with what training has not seen."""
    odd = GENTOO | {"island": "Bouvet", "bill_length_mm": 1e6, "sex": None, "body_mass_g": None}
    for row in (GENTOO, dict(reversed(GENTOO.items())), list(GENTOO.values()), odd):
        swift = READER._read_swiftly([row, row], may_hold_booleans=False)

        assert swift is not None
        numbers = [1e6 if row is odd else 45.1, 14.5, 215, np.nan if row is odd else 5000, 2007]
        np.testing.assert_array_equal(swift.tensors["numeric"], np.array([numbers] * 2, np.float32))
        assert swift.tensors["categorical"].tolist() == [["Bouvet", ""] if row is odd else ["Biscoe", "female"]] * 2
        assert [len(warnings) for warnings in swift.warnings.values()] == [2, 2] * (row is odd)


@pytest.mark.parametrize("name", WIDTHS)
def test_a_value_far_outside_is_warned_of(name: str) -> None:
    """Outside by more than the range is wide, on either side; anything nearer is in silence."""
    feature = next(feature for feature in CARD.numeric if feature.name == name)
    for share, warned in ((-1.01, True), (-0.99, False), (1.99, False), (2.01, True)):
        value = feature.minimum + share * WIDTHS[name]
        warnings = READER.read([GENTOO | {name: value}]).warnings

        assert [warning["feature"] for warning in warnings.get(0, [])] == [name] * warned
        assert all(warning["code"] == "far_outside_range" for warning in warnings.get(0, []))


def test_broken_rules_are_told_up_to_twenty() -> None:
    """All are counted where there are no more; else it is said that there are."""
    for rows, told, more in ((9, 18, False), (10, 20, False), (11, 20, True), (100_000, 20, True)):
        with pytest.raises(BrokenRules) as broken:
            READER.read([GENTOO | {"year": "x", "sex": 1}] * rows)

        assert (broken.value.count, broken.value.more) == (told, more)
        assert len(broken.value.details) == told
    assert broken.value.details[3] == {
        "instance": 1,
        "feature": "year",
        "rule": "number",
        "message": "must be a number",
    }
