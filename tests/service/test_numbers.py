import json
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.repository import ModelRepository
from service.app import create_app
from service.document import decode
from service.errors import MalformedBody
from service.prediction.prediction import Bounds
from service.registry.registry import Registry
from service.rows.numbers import read_numbers
from service.rows.reader import RowReader, Rows
from service.rows.rules import BrokenRules
from tests.service.conftest import NUMBERS

READER = RowReader(ModelRepository(NUMBERS).card("plain", 1).features)

NUMBER = st.one_of(
    st.integers(-(2**66), 2**66).map(str),
    st.floats(-1e38, 1e38).map(repr),
    st.sampled_from(["-0", "0e5", "1E+3", "3.4028235e38", "3.4028236e38", "1e39", "1e400", "5e-324"]),
)
ODD = st.sampled_from(["true", "null", '"1"', "NaN", "01", "1.", "[]", "[1]", "{}", '{"n": 1}', "", " 1 ", "[[1, 2]]"])
ROW = st.lists(NUMBER, min_size=2, max_size=2).map(lambda values: f"[{','.join(values)}]")
# A number too few or too many, something odd, or no row at all.
ODD_ROW = st.one_of(
    st.lists(st.one_of(NUMBER, ODD), max_size=3).map(lambda values: f"[{','.join(values)}]"),
    NUMBER,
    ODD,
)
TABLE = st.builds(
    lambda rows, odd, more: f"[{', '.join(rows + odd + more)}]",
    st.lists(ROW, max_size=2),
    st.lists(ODD_ROW, max_size=1),
    st.lists(ROW, max_size=2),
)
BODY = st.builds(
    lambda frame, tables: frame % tuple(tables),
    st.sampled_from(
        [
            '{"instances":%s}%.0s',
            ' { "instances" : %s }\n%.0s',
            '{"instances": %s, "instances": %s}',
            '{"instances": %s, "x": %s}',
            '{"instances": %s} %s',
            '\ufeff{"instances": %s}%.0s',
            '{"instance": %s}%.0s',
            "%s%.0s",
        ]
    ),
    st.lists(TABLE, min_size=2, max_size=2),
).map(str.encode)


def in_general(body: bytes) -> Rows | None:
    """The rows of a body, the way that all JSON goes; None where it is refused."""
    try:
        document = decode(body)
        if not (isinstance(document, dict) and list(document) == ["instances"] and document["instances"]):
            return None
        return READER.read(document["instances"])
    except (MalformedBody, BrokenRules):
        return None


@settings(max_examples=1000, deadline=None)
@given(BODY)
@example(b'{"instances": [[1, 2]], "x": 3}')
@example(b'{"instances": [[1, 2]], "instances": [[3, 4]]}')
@example(b'{"instances": [[1, [2]]]}')
@example(b'{"instances": [[[], 1], [2, [3, 4]]]}')
def test_numbers_are_those_that_all_json_gives(body: bytes) -> None:
    """Bit for bit, warnings included; a body that is refused in general is never read as numbers."""
    rows = READER.read_numbers(body)
    if rows is not None:
        expected = in_general(body)
        assert expected is not None
        assert rows.tensors["numeric"].tobytes() == expected.tensors["numeric"].tobytes()
        assert rows.tensors["numeric"].shape == expected.tensors["numeric"].shape
        assert rows.warnings == expected.warnings


@settings(deadline=None)
@given(
    st.lists(st.lists(st.one_of(st.integers(-(2**63), 2**64 - 1), st.floats(-1e308, 1e308)), min_size=3, max_size=3))
)
def test_plain_rows_go_that_way(rows: list[list[float]]) -> None:
    """Integers and floats mixed, of any size, come out as Python's own reader has them."""
    pytest.importorskip("simdjson")  # Python 3.14 has none.
    body = json.dumps({"instances": rows}).encode()
    numbers = read_numbers(body, 3)

    if not rows:
        assert numbers is None
    else:
        assert numbers is not None
        np.testing.assert_array_equal(numbers, np.array(json.loads(body)["instances"], np.float64))


@pytest.mark.parametrize("value", [None, 1e6, True, "1", 1e39, [1], [], {}, [1, 2]])
def test_rows_by_position_are_answered_as_by_name(numeric_client: FlaskClient, value: Any) -> None:
    """What is missing, far outside, or breaks the card, in one row of three, has the same words either way."""
    rows = [[45.1, 5000], [38, 3300.5], [value, 4000]]
    by_name = [dict(zip(("bill_length_mm", "body_mass_g"), row, strict=True)) for row in rows]
    expected = numeric_client.post("/predict", json={"instances": by_name})
    response = numeric_client.post("/predict", json={"instances": rows})

    assert response.status_code == expected.status_code == (200 if value in (None, 1e6) and value is not True else 422)
    assert {**(response.json or {}), "request_id": ""} == {**(expected.json or {}), "request_id": ""}


@pytest.mark.parametrize("row", [[45.1], [45.1, 5000, 1], [], 45.1, [[45.1, 5000]], [[], 45.1, 5000]])
def test_a_row_of_another_length_is_refused(numeric_client: FlaskClient, row: Any) -> None:
    """Also where all numbers together would fill the rows."""
    for rows in ([[45.1, 5000], row], [row, [45.1, 5000, 38]], [row, [5000], [45.1, 5000]]):
        response = numeric_client.post("/predict", json={"instances": rows})

        assert response.status_code == 422
        assert response.json is not None
        assert response.json["details"][0]["rule"] == "shape" or "must be a number" in response.json["error"]


@pytest.mark.parametrize("rows", [3, 50_000])
def test_without_simdjson_the_answers_are_the_same(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Python 3.14, for which there is none: short and long."""
    registry = Registry(ModelRepository(NUMBERS))
    registry.refresh()
    client = create_app(registry, Bounds()).test_client()
    request = {"instances": [[40 + number % 9, 4000.5] for number in range(rows)]}
    with_it = client.post("/predict", json=request)
    monkeypatch.setattr("service.rows.numbers.simdjson", None)

    assert read_numbers(b'{"instances": [[1, 2]]}', 2) is None
    assert with_it.status_code == 200
    assert client.post("/predict", json=request).data == with_it.data
