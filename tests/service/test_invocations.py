import csv
import io
import json
import re
import time
from contextlib import suppress
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from models import __version__
from service.app import create_app
from service.prediction.prediction import Bounds
from service.registry.registry import Registry
from service.wire.bare_nan import as_null

Record = dict[str, Any]


def as_csv(records: list[Record]) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, list(reversed(records[0])))
    writer.writeheader()
    writer.writerows(records)
    return file.getvalue()


@pytest.fixture
def records(record: Record) -> list[Record]:
    """A Gentoo, and one of which little is known."""
    return [record, record | {"bill_length_mm": None, "sex": None, "island": "Dream"}]


@pytest.fixture
def expected(client: FlaskClient, records: list[Record]) -> Any:
    return client.post("/predict", json={"instances": records}).json


@pytest.mark.parametrize("layout", ["records", "split", "instances", "rows", "inputs by name", "inputs by row"])
def test_every_layout_gets_the_answer_of_predict(
    client: FlaskClient, records: list[Record], expected: Any, layout: str
) -> None:
    """As MLflow and SageMaker send tables; columns may stand in any order."""
    names = list(reversed(records[0]))
    rows = [list(record.values()) for record in records]
    body = {
        "records": {"dataframe_records": records, "params": {}},
        "split": {"dataframe_split": {"columns": names, "data": [row[::-1] for row in rows], "index": [0, 1]}},
        "instances": {"instances": records},
        "rows": {"instances": rows},
        "inputs by name": {"inputs": {name: [record[name] for record in records] for name in names}},
        "inputs by row": {"inputs": rows},
    }[layout]
    response = client.post("/invocations", json=body)

    assert response.json == expected
    assert len(expected["predictions"]) == 2


@pytest.mark.parametrize("content_type", ["text/csv", "text/csv; charset=utf-8"])
def test_a_csv_is_answered(client: FlaskClient, records: list[Record], expected: Any, content_type: str) -> None:
    """An empty cell is a missing value; columns go by their names."""
    response = client.post("/invocations", data=as_csv(records), content_type=content_type)

    assert response.json == expected


REFUSED = {
    "nothing": ({}, "must hold exactly one of"),
    "two layouts": ({"instances": [[]], "inputs": [[]]}, "must hold exactly one of"),
    "no rows": ({"dataframe_records": []}, "at least one row"),
    "no table": ({"dataframe_split": [1]}, '"dataframe_split" must be'),
    "no list": ({"instances": {}}, '"instances" must be a list of rows'),
    "uneven inputs": ({"inputs": {"a": [1], "b": []}}, "all lists of one length"),
    "unknown column": (
        {"dataframe_split": {"columns": ["year", "yeer"], "data": [[1, 2]]}},
        "feature 'island' is missing",
    ),
    "short row": ({"instances": [[1]]}, "instance 0 must have 7 values, one for each feature"),
}


@pytest.mark.parametrize(("body", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_another_shape_is_refused(client: FlaskClient, body: dict[str, Any], sentence: str) -> None:
    """With 422 and the shape that is read."""
    response = client.post("/invocations", json=body)

    assert response.status_code == 422
    assert response.json is not None
    assert sentence in response.json["error"]


def test_columns_are_checked_by_name(client: FlaskClient, record: Record) -> None:
    """One twice, one missing, one that may be meant for it: each is named."""
    names, values = list(record), list(record.values())
    for columns, row, sentence in (
        ([*names[:-1], "yeer"], values, "feature 'year' is missing"),
        ([*names, "year"], [*values, 1], "feature 'year' stands twice"),
        (names[:-1], values[:-1], "feature 'year' is missing"),
        (names, values[:-1], "row 0 must be a list of 7 values"),
        ([*names[:-1], ["year"]], values, "feature 'year' is missing"),
    ):
        split = {"columns": columns, "data": [row]}
        response = client.post("/invocations", json={"dataframe_split": split})

        assert response.status_code == 422
        assert response.json is not None
        assert sentence in response.json["error"]


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        (b"", 400, "no header"),
        (b"year\n\xff", 400, "no CSV in UTF-8"),
        (b'year\n"x', 400, "no CSV in UTF-8"),
        (b"year,sex\n1\n", 400, "row 0 of the CSV has 1 cells; its header has 2"),
        (b"year,sex\n", 422, "at least one row"),
        (b"year,sex\n1,2\n", 422, "feature 'island' is missing"),
    ],
)
def test_a_broken_csv_is_refused(client: FlaskClient, body: bytes, status: int, sentence: str) -> None:
    """With the row where there is one."""
    response = client.post("/invocations", data=body, content_type="text/csv")

    assert response.status_code == status
    assert response.json is not None
    assert sentence in response.json["error"]


@pytest.mark.parametrize("cell", ["x", "1_000", "nan", "inf", "1e39", "0x10"])
def test_a_cell_that_is_no_number_is_refused(client: FlaskClient, record: Record, cell: str) -> None:
    """By the rules of JSON numbers: a CSV is no way around them."""
    response = client.post("/invocations", data=as_csv([record | {"year": cell}]), content_type="text/csv")

    assert response.status_code == 422
    assert response.json is not None
    assert "instance 0, feature 'year' must" in response.json["error"]


def test_ping_tells_whether_the_service_is_ready(client: FlaskClient) -> None:
    """As SageMaker asks."""
    assert client.get("/ping").status_code == 200


LAYOUTS = ("records", "instances", "split", "inputs by name", "csv")


def asked(client: FlaskClient, records: list[Record], layout: str) -> Any:
    names = list(records[0])
    if layout == "csv":
        return client.post("/invocations", data=as_csv(records), content_type="text/csv")
    body: Any = {
        "records": {"dataframe_records": records},
        "instances": {"instances": records},
        "split": {"dataframe_split": {"columns": names, "data": [list(record.values()) for record in records]}},
        "inputs by name": {"inputs": {name: [record[name] for record in records] for name in names}},
    }[layout]
    return client.post("/invocations", json=body)


@pytest.mark.parametrize("rows", [2, 40_000])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_no_feature_is_passed_over_with_a_warning(
    registry: Registry, records: list[Record], layout: str, rows: int
) -> None:
    """In every layout, short or long: the column of the label and an index are sent along by many."""
    client = create_app(registry, Bounds(answer_bytes=1 << 30)).test_client()
    many = (records * rows)[:rows]
    plain = asked(client, many, layout).json
    answer = asked(client, [{"Unnamed: 0": 1, **record, "species": "Gentoo"} for record in many], layout).json

    warned = answer["predictions"][0].pop("warnings")
    assert answer == plain
    assert {one["feature"]: one["code"] for one in warned} == {
        "Unnamed: 0": "extra_feature",
        "species": "extra_feature",
    }
    named = f" in {rows} rows" if layout in ("records", "instances") else ""
    assert all(one["message"] == f"is not a feature of this model; it was passed over{named}" for one in warned)


def test_a_typing_error_is_no_extra_column(client: FlaskClient, record: Record) -> None:
    """Where a feature is missing, what may be meant for it is told."""
    wrong = {("yeer" if name == "year" else name): value for name, value in record.items()}
    for layout in LAYOUTS[:4]:
        answer = asked(client, [wrong], layout)

        assert answer.status_code == 422
        assert "feature 'year' is missing" in answer.json["error"]
        if layout != "csv":
            assert "did you mean 'year'?" in answer.text


@pytest.mark.parametrize("many", [1, 30_000])
def test_a_bare_nan_is_a_missing_value(registry: Registry, record: Record, many: int) -> None:
    """As MLflow's own client writes it; here alone, and never within a text."""
    client = create_app(registry, Bounds(answer_bytes=1 << 30)).test_client()
    texts = record | {"island": 'NaN, "NaN" \\'}
    records = [record | {"bill_length_mm": float("nan"), "sex": None}, texts] * many
    body = json.dumps({"dataframe_records": records})
    strict = json.dumps({"dataframe_records": [one | {"bill_length_mm": None} for one in records[:1]] + [texts]})
    answer = client.post("/invocations", data=body, content_type="application/json")
    expected = client.post("/invocations", data=strict, content_type="application/json").json

    assert "NaN," in body
    assert answer.status_code == 200
    assert answer.json is not None
    assert expected is not None
    assert answer.json["predictions"][:2] == expected["predictions"]
    assert len(answer.json["predictions"]) == 2 * many
    elsewhere = body.replace("dataframe_records", "instances")
    assert client.post("/predict", data=elsewhere, content_type="application/json").status_code == 400


@given(st.lists(st.sampled_from(["NaN", "1", '"', "\\", "NaN,", ",", "a", "[", "null", "\\\\", '\\"']), max_size=30))
def test_a_nan_is_replaced_outside_of_texts_alone(parts: list[str]) -> None:
    """Whatever windows are looked at, as Python's own reader has it."""
    body = "".join(parts).encode()
    pieces = as_null(body, window=1)

    assert pieces == as_null(body)
    with suppress(ValueError):
        document = json.loads(body, parse_constant=lambda _: None)
        assert json.loads(pieces) == document


@pytest.mark.parametrize("piece", [b'"', b"NaN,", b'"NaN"NaN', b'"\\\\",NaN'])
def test_a_nan_is_replaced_quickly_whatever_stands_around_it(piece: bytes) -> None:
    """A body of quotes once took 1.7 times as long as finding each of them."""
    body = b"NaN" + piece * ((2 << 20) // len(piece))
    began = time.thread_time()
    found = sum(1 for _ in re.finditer(b'["N]', body))
    took = time.thread_time() - began
    as_null(body)

    assert found >= body.count(b'"')
    assert time.thread_time() - began - took < 1.5 * took


@pytest.mark.parametrize("end", ["\n", "\n\n", "  \n", "\r\n\r\n"])
def test_a_blank_line_is_no_row(client: FlaskClient, records: list[Record], expected: Any, end: str) -> None:
    """At the end of a file there often is one."""
    answer = client.post("/invocations", data=as_csv(records) + end, content_type="text/csv")

    assert answer.json == expected


def test_mlflows_own_routes_answer(client: FlaskClient) -> None:
    """Its clients and its containers ask for these."""
    assert client.get("/health").data == client.get("/ping").data
    assert (client.get("/version").status_code, client.get("/version").text) == (200, __version__)
