from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from models.repository import ModelRepository

NUMBERS = [45.1, 14.5, 215, 5000, 2007]
TEXTS = ["Biscoe", "female"]


def tensors(rows: int = 1) -> dict[str, Any]:
    return {
        "inputs": [
            {"name": "numeric", "shape": [rows, 5], "datatype": "FP32", "data": NUMBERS * rows},
            {"name": "categorical", "shape": [rows, 2], "datatype": "BYTES", "data": TEXTS * rows},
        ]
    }


def infer(client: FlaskClient, request: dict[str, Any]) -> Any:
    response = client.post("/v2/models/penguins/infer", json=request)
    return response.json if response.status_code == 200 else (response.status_code, response.json)


def test_health_and_metadata(client: FlaskClient) -> None:
    """Live, ready, the server, the model with and without its version."""
    assert client.get("/v2/health/live").json == {"live": True}
    assert client.get("/v2/health/ready").json == {"live": True, "ready": True}
    for path in ("/v2", "/v2/"):
        response = client.get(path)
        assert response.status_code == 200
        assert response.json is not None
        assert response.json["name"] == "evenkeel"
    metadata = client.get("/v2/models/penguins").json
    assert metadata == client.get("/v2/models/penguins/versions/1").json
    assert metadata is not None
    assert [(one["name"], one["datatype"], one["shape"]) for one in metadata["inputs"]] == [
        ("numeric", "FP32", [-1, 5]),
        ("categorical", "BYTES", [-1, 2]),
    ]
    assert metadata["inputs"][1]["parameters"]["columns"] == ["island", "sex"]
    assert client.get("/v2/models/penguins/ready").json == {"name": "penguins", "ready": True}


def test_tensors_get_the_answer_that_records_get(client: FlaskClient, record: dict[str, Any]) -> None:
    """Two protocols, one model."""
    by_name = client.post("/predict", json={"instance": record}).json
    response = infer(client, tensors())

    assert by_name is not None
    label, probabilities = response["outputs"]
    assert (response["model_name"], response["model_version"]) == ("penguins", "1")
    assert (label["datatype"], label["shape"], label["data"]) == ("BYTES", [1], ["Gentoo"])
    assert (probabilities["datatype"], probabilities["shape"]) == ("FP32", [1, 3])
    assert probabilities["data"] == list(by_name["prediction"]["probabilities"].values())


def test_data_may_be_nested_or_flat(client: FlaskClient) -> None:
    """The specification allows both."""
    nested = tensors(2)
    nested["inputs"][0]["data"] = [NUMBERS, NUMBERS]
    nested["inputs"][1]["data"] = [TEXTS, TEXTS]

    assert infer(client, nested) == infer(client, tensors(2))


def test_golden_rows_come_out_as_published(client: FlaskClient, repository: ModelRepository) -> None:
    """As tensors, null where a value is missing."""
    card = repository.card("penguins", 1)
    rows = [row.instance for row in card.golden]
    request = tensors(len(rows))
    request["inputs"][0]["data"] = [[row[feature.name] for feature in card.numeric] for row in rows]
    request["inputs"][1]["data"] = [[row[feature.name] for feature in card.categorical] for row in rows]
    probabilities = np.reshape(infer(client, request)["outputs"][1]["data"], (len(rows), 3))

    np.testing.assert_allclose(probabilities, [row.probabilities for row in card.golden], atol=1e-5)


def test_the_id_comes_back_and_outputs_can_be_chosen(client: FlaskClient) -> None:
    """Unknown keys are let through, as clients send some."""
    request = tensors() | {"id": "mine", "model_name": "penguins", "parameters": {"priority": 1}}
    request["outputs"] = [{"name": "label", "parameters": {"binary_data": False}}]
    response = infer(client, request)

    assert response["id"] == "mine"
    assert [output["name"] for output in response["outputs"]] == ["label"]


def _spoil(index: int, **change: object) -> dict[str, Any]:
    request = tensors()
    request["inputs"][index] |= change
    return request


REFUSED = {
    "no inputs": ({}, "inputs: required"),
    "empty inputs": ({"inputs": []}, "inputs: "),
    "an input short": ({"inputs": tensors()["inputs"][:1]}, "the inputs must be numeric and categorical"),
    "an input twice": ({"inputs": tensors()["inputs"] * 2}, "each once"),
    "unknown input": (_spoil(0, name="x"), "the inputs must be numeric and categorical"),
    "wrong datatype": (_spoil(0, datatype="BYTES"), "input 'numeric' must have one of the datatypes FP16, FP32"),
    "wrong width": (_spoil(0, shape=[1, 4]), "input 'numeric' must have shape [N, 5]"),
    "no rows": (_spoil(0, shape=[0, 5], data=[]), "input 'numeric' must have shape [N, 5] with N at least 1"),
    "negative shape": (_spoil(0, shape=[-1, 5]), "inputs.0.shape.0: should be greater than or equal to 0"),
    "huge shape": (_spoil(0, shape=[2**63, 5]), "input 'numeric' has 5 elements; its shape says 46116860184273879040"),
    "too little data": (_spoil(0, data=NUMBERS[:4]), "input 'numeric' has 4 elements; its shape says 5"),
    "text among numbers": (_spoil(0, data=[*NUMBERS[:4], "x"]), "row 0, column 4 (year) must be a number"),
    "truth among numbers": (_spoil(0, data=[True, *NUMBERS[1:]]), "column 0 (bill_length_mm) must be a number"),
    "number among texts": (_spoil(1, data=["Dream", 1]), "input 'categorical', row 0, column 1 (sex) must be a text"),
    "null that may not be": (_spoil(0, data=[*NUMBERS[:4], None]), "column 4 (year) must not be null"),
    "too large a number": (_spoil(0, data=[1e39, *NUMBERS[1:]]), "must fit in a 32-bit float"),
    "too large an integer": (_spoil(0, data=[10**300, *NUMBERS[1:]]), "must fit in a 32-bit float"),
    "different numbers of rows": (
        _spoil(0, shape=[2, 5], data=NUMBERS * 2),
        "the inputs must have the same number of rows",
    ),
    "ragged data": (_spoil(0, data=[NUMBERS[:4], NUMBERS[4:]]), "input 'numeric' is ragged"),
    "unknown output": (tensors() | {"outputs": [{"name": "logits"}]}, "there is no output 'logits'"),
}


@pytest.mark.parametrize(("request_", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_a_wrong_tensor_is_refused(client: FlaskClient, request_: dict[str, Any], sentence: str) -> None:
    """With 400 and a sentence that names input, row and column."""
    status, body = infer(client, request_)

    assert status == 400
    assert body["code"] == "invalid_tensor"
    assert sentence in body["error"]


def test_what_is_not_json_is_refused(client: FlaskClient) -> None:
    """A client that sends no Content-Type is read all the same."""
    response = client.post("/v2/models/penguins/infer", data=b"{")

    assert response.status_code == 400
    assert response.json is not None
    assert response.json["code"] == "malformed_json"


@pytest.mark.parametrize("path", ["/v2/models/unknown", "/v2/models/penguins/versions/9", "/v2/models/unknown/ready"])
def test_an_unknown_model_is_404(client: FlaskClient, path: str) -> None:
    """With the error body of every other route."""
    response = client.get(path)

    assert response.status_code == 404
    assert response.json is not None
    assert response.json["code"] == "model_not_found"
