"""Inference by tensors in every form: datatypes, binary data, columns, classes."""

import json
import struct
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from tests.service.test_open_inference import NUMBERS, TEXTS, tensors

PATH = "/v2/models/penguins/infer"
LENGTH = "Inference-Header-Content-Length"
FEATURES = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g", "year"]


def bytes_tensor(texts: list[str]) -> bytes:
    """As the binary extension words it: length, then text."""
    return b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in texts)


def binary_request(numbers: bytes, texts: bytes, datatype: str = "FP32", rows: int = 1, **more: Any) -> Any:
    """A body of a JSON header and raw tensors, and the header that says where the one ends."""
    inputs = [
        {"name": "numeric", "shape": [rows, 5], "datatype": datatype, "parameters": {"binary_data_size": len(numbers)}},
        {
            "name": "categorical",
            "shape": [rows, 2],
            "datatype": "BYTES",
            "parameters": {"binary_data_size": len(texts)},
        },
    ]
    head = json.dumps({"inputs": inputs} | more).encode()
    return {"data": head + numbers + texts, "headers": {LENGTH: str(len(head))}}


def read_binary(response: Any) -> dict[str, Any]:
    """Outputs by name: arrays from FP32, texts from BYTES."""
    split = int(response.headers[LENGTH])
    at, outputs = split, {}
    for output in json.loads(response.data[:split])["outputs"]:
        raw = response.data[at : (at := at + output["parameters"]["binary_data_size"])]
        if output["datatype"] == "FP32":
            outputs[output["name"]] = np.frombuffer(raw, "<f4").reshape(output["shape"])
        else:
            outputs[output["name"]] = raw
    assert at == len(response.data)
    return outputs


@pytest.fixture
def expected(client: FlaskClient) -> list[float]:
    """What JSON tensors are answered with."""
    response = client.post(PATH, json=tensors())
    assert response.json is not None
    probabilities: list[float] = response.json["outputs"][1]["data"]
    return probabilities


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
def test_binary_tensors_are_answered_as_json_is(client: FlaskClient, expected: list[float], datatype: str) -> None:
    """Both ways: raw little-endian numbers and length-prefixed texts in, the same out."""
    dtype = {"FP16": "<f2", "FP32": "<f4", "FP64": "<f8"}[datatype]
    request = binary_request(
        np.array(NUMBERS, dtype).tobytes(), bytes_tensor(TEXTS), datatype, parameters={"binary_data_output": True}
    )
    response = client.post(PATH, **request)
    outputs = read_binary(response)

    assert response.content_type == "application/octet-stream"
    assert outputs["label"] == bytes_tensor(["Gentoo"])
    np.testing.assert_allclose(outputs["probabilities"][0], expected, atol=1e-6 if datatype != "FP16" else 1e-2)


@pytest.mark.parametrize("datatype", ["INT16", "INT32", "INT64", "UINT16", "UINT32", "UINT64"])
def test_integers_are_cast(client: FlaskClient, datatype: str) -> None:
    """From JSON and from bytes, to the answer that the same numbers get as floats."""
    whole = [45, 14, 215, 5000, 2007]
    dtype = np.dtype(datatype.lower())
    answers: list[Any] = []
    for request in (tensors(), tensors()):
        request["inputs"][0] |= {"data": whole, "datatype": "FP32" if not answers else datatype}
        answers.append(client.post(PATH, json=request).json)
    binary = client.post(PATH, **binary_request(np.array(whole, dtype).tobytes(), bytes_tensor(TEXTS), datatype)).json

    assert answers[0] is not None
    assert "outputs" in answers[0]
    assert answers[0] == answers[1] == binary


def test_null_and_nan_are_a_missing_value(client: FlaskClient, record: dict[str, Any]) -> None:
    """As null is in a record."""
    by_name = client.post("/predict", json={"instance": record | {"bill_length_mm": None, "sex": None}}).json
    request = tensors()
    request["inputs"][0]["data"] = [None, *NUMBERS[1:]]
    request["inputs"][1]["data"] = ["Biscoe", None]
    in_json = client.post(PATH, json=request).json
    raw = np.array([np.nan, *NUMBERS[1:]], "<f4").tobytes()
    in_binary = client.post(PATH, **binary_request(raw, bytes_tensor(["Biscoe", ""]))).json

    assert by_name is not None
    assert in_json is not None
    assert in_json == in_binary
    assert in_json["outputs"][1]["data"] == list(by_name["prediction"]["probabilities"].values())


def columns(**change: Any) -> dict[str, Any]:
    """A request with a column for each feature, as MLServer's `pd` codec sends it."""
    values = dict(zip([*FEATURES, "island", "sex"], [*NUMBERS, *TEXTS], strict=True))
    inputs = [
        {
            "name": name,
            "shape": [2, 1],
            "datatype": "BYTES" if isinstance(value, str) else "FP64",
            "data": [value, value],
            "parameters": {"content_type": "str" if isinstance(value, str) else "np"},
        }
        for name, value in values.items()
    ]
    for one in inputs:
        if one["name"] in change:
            one |= change[str(one["name"])]
    return {"parameters": {"content_type": "pd"}, "inputs": inputs}


def test_columns_are_answered_as_whole_tensors_are(client: FlaskClient) -> None:
    """In any order, of any datatype, of shape [N] or [N, 1]."""
    expected = client.post(PATH, json=tensors(2)).json
    request = columns(year={"datatype": "INT64", "data": [2007, 2007], "shape": [2]})
    request["inputs"].reverse()

    assert client.post(PATH, json=request).json == expected


def test_the_likeliest_classes_can_be_asked_for(client: FlaskClient, expected: list[float]) -> None:
    """As "value:index:label", the likeliest first; never more than there are."""
    for most, found in ((1, 1), (2, 2), (9, 3)):
        wish = {"name": "probabilities", "parameters": {"classification": most}}
        response = client.post(PATH, json=tensors(2) | {"outputs": [wish]})
        assert response.json is not None
        (output,) = response.json["outputs"]

        assert (output["datatype"], output["shape"]) == ("BYTES", [2, found])
        value, index, label = output["data"][0].split(":")
        assert float(value) == pytest.approx(max(expected), abs=1e-6)
        assert (index, label) == ("2", "Gentoo")
        assert len(output["data"]) == 2 * found


def test_outputs_may_be_mixed(client: FlaskClient) -> None:
    """One in JSON, one in binary, in the order asked for."""
    wishes = [{"name": "probabilities", "parameters": {"binary_data": True}}, {"name": "label"}]
    response = client.post(PATH, json=tensors() | {"outputs": wishes, "id": ""})
    split = int(response.headers[LENGTH])
    head = json.loads(response.data[:split])

    assert [output["name"] for output in head["outputs"]] == ["probabilities", "label"]
    assert head["outputs"][1]["data"] == ["Gentoo"]
    assert head["id"] == ""
    assert len(response.data) - split == 12


REFUSED = {
    "INT64 that no float32 holds": (
        {"datatype": "INT64", "data": [2**24 + 1, 1, 1, 1, 1]},
        "row 0, column 0 (bill_length_mm) must be an integer that a 32-bit float holds exactly",
    ),
    "INT8 overflow": (
        {"datatype": "INT8", "data": [1, 1, 215, 1, 1]},
        "column 2 (flipper_length_mm) must be an integer that INT8",
    ),
    "fraction among integers": ({"datatype": "INT32", "data": [1, 1, 1, 1, 1.5]}, "column 4 (year) must be an integer"),
    "null among integers": ({"datatype": "INT32", "data": [None, 1, 1, 1, 1]}, "column 0 (bill_length_mm) must be an"),
    "numbers for BOOL": ({"datatype": "BOOL", "data": [1, 0, 1, 0, 1]}, "must be true or false"),
    "unknown datatype": ({"datatype": "FP8"}, "must have one of the datatypes"),
    "neither data nor size": (
        {"parameters": {}, "data": ...},
        "must have either data or the parameter binary_data_size",
    ),
    "both data and size": ({"parameters": {"binary_data_size": 4}}, "must have either data or the parameter"),
    "a size that is none": ({"parameters": {"binary_data_size": -1}}, "inputs.0.parameters.binary_data_size"),
}


@pytest.mark.parametrize(("change", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_a_lossy_cast_is_refused(client: FlaskClient, change: dict[str, Any], sentence: str) -> None:
    """With the input, the row and the column."""
    request = tensors()
    request["inputs"][0] |= change
    request["inputs"][0] = {key: value for key, value in request["inputs"][0].items() if value is not ...}
    response = client.post(PATH, json=request)

    assert response.status_code == 400
    assert response.json is not None
    assert sentence in response.json["error"]


FP32 = np.array(NUMBERS, "<f4").tobytes()
BROKEN = {
    "one byte short": (FP32[:-1], bytes_tensor(TEXTS), {}, "has 19 bytes; its shape and datatype say 20"),
    "texts cut": (FP32, bytes_tensor(TEXTS)[:-1], {}, "row 0, column 1 (sex) ends after its tensor"),
    "a text too many": (FP32, bytes_tensor([*TEXTS, "x"]), {}, "has 3 elements; its shape says 2"),
    "texts not UTF-8": (FP32, b"\1\0\0\0\xff" + bytes_tensor(["x"]), {}, "row 0, column 0 (island) must be UTF-8"),
    "infinity": (
        np.array([np.inf, 1, 1, 1, 1], "<f4").tobytes(),
        bytes_tensor(TEXTS),
        {},
        "must fit in a 32-bit float",
    ),
    "NaN that may not be": (
        np.array([1, 1, 1, 1, np.nan], "<f4").tobytes(),
        bytes_tensor(TEXTS),
        {},
        "column 4 (year) must not be null",
    ),
    "a header longer than the body": (FP32, b"", {LENGTH: "9999"}, "says 9999 bytes; the body has"),
    "a header that is no number": (FP32, b"", {LENGTH: "1e3"}, "must be a number of bytes"),
    "a raw body for two inputs": (FP32, b"", {LENGTH: "0"}, "a raw body needs a model with one input"),
}


@pytest.mark.parametrize(("numbers", "texts", "headers", "sentence"), BROKEN.values(), ids=BROKEN.keys())
def test_broken_binary_data_is_refused(
    client: FlaskClient, numbers: bytes, texts: bytes, headers: dict[str, str], sentence: str
) -> None:
    """With 400 and the place."""
    request = binary_request(numbers, texts)
    request["headers"] |= headers
    response = client.post(PATH, **request)

    assert response.status_code == 400
    assert response.json is not None
    assert sentence in response.json["error"]


@pytest.mark.parametrize("extra", [b"x", b"\0\0\0\0"])
def test_bytes_behind_the_tensors_are_refused(client: FlaskClient, extra: bytes) -> None:
    """A body has nothing but its inputs; one that ends early names the input."""
    request = binary_request(FP32, bytes_tensor(TEXTS))
    longer = client.post(PATH, data=request["data"] + extra, headers=request["headers"])
    shorter = client.post(PATH, data=request["data"][:-1], headers=request["headers"])

    assert longer.json is not None
    assert f"the body has {len(extra)} bytes more than its inputs" in longer.json["error"]
    assert shorter.json is not None
    assert "input 'categorical' should have" in shorter.json["error"]


def test_a_raw_body_is_the_only_input(numeric_client: FlaskClient) -> None:
    """Without any JSON: rows in, both outputs in binary."""
    rows = np.array([[1.0, 2.0], [3.0, np.nan]], "<f4")
    response = numeric_client.post("/v2/models/plain/infer", data=rows.tobytes(), headers={LENGTH: "0"})
    in_json = numeric_client.post("/predict", json={"instances": [[1, 2], [3, None]]}).json
    ragged = numeric_client.post("/v2/models/plain/infer", data=b"x" * 9, headers={LENGTH: "0"})

    assert in_json is not None
    np.testing.assert_array_equal(
        read_binary(response)["probabilities"],
        np.array([list(one["probabilities"].values()) for one in in_json["predictions"]], np.float32),
    )
    assert ragged.status_code == 400
