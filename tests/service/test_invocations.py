import csv
import io
from typing import Any

import pytest
from flask.testing import FlaskClient

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
    """One too many, one twice, one missing: each is named."""
    names, values = list(record), list(record.values())
    for columns, row, sentence in (
        ([*names, "x"], [*values, 1], "feature 'x' is not a feature of this model"),
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
