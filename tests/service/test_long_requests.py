"""Long requests are answered as short ones are, on every route."""

import json
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from models.repository import ModelRepository
from service.app import create_app
from service.document import PIECE
from service.prediction.prediction import Bounds
from service.registry.registry import Registry
from service.rows.warnings import MOST_WARNINGS
from tests.service.conftest import GENTOO, PUBLISHED
from tests.service.test_tensors import FEATURES, LENGTH, bytes_tensor

NAMES = list(GENTOO)
TEXTS = ["island", "sex"]
# So many that every way of writing them makes more than a piece.
ROWS = 18_000


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    registry = Registry(ModelRepository(PUBLISHED))
    registry.refresh()
    return create_app(registry, Bounds()).test_client()


@pytest.fixture(scope="module")
def records() -> list[dict[str, Any]]:
    """Gentoos of all weights, some of unknown sex, some from islands that nobody has seen."""
    return [
        GENTOO
        | {"body_mass_g": 3000 + number % 3000, "sex": [None, "male"][number % 2]}
        | ({"island": f"Bouvet {number}"} if number == ROWS - 5 else {})
        for number in range(ROWS)
    ]


def invocation(name: str, records: list[dict[str, Any]]) -> dict[str, Any]:
    """A table in one of its layouts."""
    backwards = NAMES[::-1]
    values = [[record[name] for name in backwards] for record in records]
    cells = "\n".join(",".join("" if value is None else str(value) for value in row) for row in values)
    documents: dict[str, Any] = {
        "records": {"params": {"a": [1]}, "dataframe_records": records},
        "split": {"dataframe_split": {"index": list(range(ROWS)), "columns": backwards, "data": values}},
        "rows": {"instances": [list(record.values()) for record in records]},
        "columns": {"inputs": {name: [record[name] for record in records] for name in backwards}},
    }
    if name == "csv":
        return {"data": f"{','.join(backwards)}\n{cells}\n", "content_type": "text/csv"}
    return {"data": json.dumps(documents[name]), "content_type": "application/json"}


@pytest.mark.parametrize("layout", ["records", "split", "rows", "columns", "csv"])
def test_a_long_table_is_answered_as_a_short_one(
    client: FlaskClient, records: list[dict[str, Any]], layout: str
) -> None:
    """Row by row, to the last digit, warnings included; it is read in many pieces."""
    request = invocation(layout, records)
    assert len(request["data"]) > PIECE
    response = client.post("/invocations", **request)
    assert response.json is not None
    predictions = response.json["predictions"]

    assert len(predictions) == ROWS
    for number in (0, 1, 2999, ROWS // 2, ROWS - 5, ROWS - 1):
        alone = client.post("/predict", json={"instance": records[number]}).json
        assert alone is not None
        assert predictions[number] == alone["prediction"]
    assert [number for number, one in enumerate(predictions) if "warnings" in one] == [ROWS - 5]


def tensors(form: str, records: list[dict[str, Any]]) -> dict[str, Any]:
    """The same as tensors."""
    numbers = [[record[name] for name in FEATURES] for record in records]
    texts = [[record[name] for name in TEXTS] for record in records]
    whole = [("numeric", "FP32", numbers), ("categorical", "BYTES", texts)]
    inputs: list[Any]
    if form == "columns":
        inputs = [
            {
                "name": name,
                "datatype": "BYTES" if name in TEXTS else "FP32",
                "shape": [ROWS],
                "data": [record[name] for record in records],
            }
            for name in NAMES
        ]
        return {"data": json.dumps({"inputs": inputs})}
    if form == "binary":
        raw = np.array(numbers, "<f8").tobytes(), bytes_tensor([text or "" for row in texts for text in row])
        inputs = [
            {
                "name": name,
                "datatype": kind,
                "shape": [ROWS, len(rows[0])],
                "parameters": {"binary_data_size": len(data)},
            }
            for (name, _, rows), kind, data in zip(whole, ("FP64", "BYTES"), raw, strict=True)
        ]
        head = json.dumps({"inputs": inputs}).encode()
        return {"data": head + b"".join(raw), "headers": {LENGTH: str(len(head))}}
    inputs = [
        {
            "name": name,
            "datatype": kind,
            "shape": [ROWS, len(rows[0])],
            "data": rows if form == "nested" else [value for row in rows for value in row],
        }
        for name, kind, rows in whole
    ]
    return {"data": json.dumps({"inputs": inputs, "ignored": [0] * PIECE})}


@pytest.mark.parametrize("form", ["flat", "nested", "columns", "binary"])
def test_long_tensors_are_answered_as_a_table_is(client: FlaskClient, records: list[dict[str, Any]], form: str) -> None:
    """To the last bit."""
    table = client.post("/predict", json={"instances": records}).json
    response = client.post("/v2/models/penguins/infer", **tensors(form, records)).json

    assert table is not None
    assert response is not None
    labels, probabilities = (output["data"] for output in response["outputs"])
    assert labels == [one["label"] for one in table["predictions"]]
    assert probabilities == [value for one in table["predictions"] for value in one["probabilities"].values()]


def test_every_wish_is_the_same_in_long(client: FlaskClient, records: list[dict[str, Any]]) -> None:
    """In JSON or in binary, mixed in any way."""
    asked = json.loads(tensors("flat", records)["data"])
    wishes = [{"name": "label", "parameters": {"binary_data": binary}} for binary in (False, True)] + [
        {"name": "probabilities", "parameters": {"binary_data": binary} | more}
        for binary in (False, True)
        for more in ({}, {"classification": 2})
    ]
    response = client.post("/v2/models/penguins/infer", json=asked | {"outputs": wishes})
    split = int(response.headers[LENGTH])
    outputs = json.loads(response.data[:split])["outputs"]
    in_json = [output["data"] for output in outputs if "data" in output]
    raw = response.data[split:]
    sizes = [output["parameters"]["binary_data_size"] for output in outputs if "parameters" in output]

    assert len(raw) == sum(sizes)
    assert raw[: sizes[0]] == bytes_tensor(in_json[0])
    numbers = np.frombuffer(raw[sizes[0] : sizes[0] + sizes[1]], "<f4")
    np.testing.assert_array_equal(numbers, np.array(in_json[1], np.float32))
    assert raw[-sizes[2] :] == bytes_tensor(in_json[2])


def test_broken_rows_of_a_long_table_are_named(client: FlaskClient, records: list[dict[str, Any]]) -> None:
    """Wherever they are, up to twenty."""
    few = [dict(record) for record in records]
    few[7]["year"] = few[ROWS - 2]["year"] = "x"
    response = client.post("/predict", json={"instances": few})

    assert response.json is not None
    assert response.json["error"] == "instance 7, feature 'year' must be a number; and 1 more"
    assert [detail["instance"] for detail in response.json["details"]] == [7, ROWS - 2]

    many = [record | {"year": "x"} for record in records[:5000]]
    response = client.post("/predict", json={"instances": [*records, *many]})
    assert response.json is not None
    assert response.json["error"] == f"instance {ROWS}, feature 'year' must be a number; and more"
    assert len(response.json["details"]) == 20


def test_warnings_are_told_up_to_twenty(client: FlaskClient, records: list[dict[str, Any]]) -> None:
    """In a short request and a long one; behind them there is a word on the others."""
    for count in (30, ROWS):
        rows = [record | {"island": f"Bouvet {number}"} for number, record in enumerate(records[:count])]
        response = client.post("/predict", json={"instances": rows}).json
        assert response is not None
        warnings = [one for prediction in response["predictions"] for one in prediction.get("warnings", [])]

        assert [one["code"] for one in warnings] == ["unseen_category"] * MOST_WARNINGS + ["more_warnings"]
