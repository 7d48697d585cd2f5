"""Corners of the protocols, which their own clients meet."""

import base64
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from service.app import create_app
from service.prediction.prediction import Bounds
from service.registry.registry import Registry
from tests.service.test_open_inference import NUMBERS, TEXTS, infer, tensors
from tests.service.test_tensors import binary_request, bytes_tensor

Record = dict[str, Any]


def test_a_model_that_answers_says_so(client: FlaskClient) -> None:
    """kserve's client looks for `ready` in what /v1/models/MODEL answers."""
    for path in ("/v1/models/penguins", "/v1/models/penguins/versions/1"):
        answer = client.get(path).json
        assert answer is not None
        assert answer["ready"] is True


@pytest.mark.parametrize("padding", [0, 1 << 20])
def test_what_others_send_beside_instances_is_let_through(registry: Registry, record: Record, padding: int) -> None:
    """And all else is refused by name; also of a long request."""
    rows = {"instances": [record], "signature_name": "x", "parameters": {"a": [0, *["x" * 16] * (padding // 16)]}}
    client = create_app(registry, Bounds()).test_client()
    answer = client.post("/predict", json=rows)
    refused = client.post("/predict", json={"instances": [record], "signatur_name": 1}).json

    assert answer.json == client.post("/predict", json={"instances": [record]}).json
    assert answer.status_code == 200
    assert refused is not None
    assert "the request has 'signatur_name', which is not known; it must be" in refused["error"]


@pytest.mark.parametrize("content_type", [None, "application/octet-stream", "text/plain", "application/json"])
def test_an_empty_question_lists_the_repository(client: FlaskClient, content_type: str | None) -> None:
    """tritonclient's asyncio side calls its empty body application/octet-stream."""
    answer = client.post("/v2/repository/index", data=b"", content_type=content_type)

    assert answer.status_code == 200
    assert answer.json == [{"name": "penguins", "version": "1", "state": "READY", "reason": ""}]
    assert client.post("/v2/repository/index", data=b"x", content_type="text/plain").status_code == 415


@pytest.mark.parametrize(
    ("method", "path", "instead"),
    [
        ("POST", "/v2/repository/models/penguins/load", "evenkeel models promote"),
        ("POST", "/v2/repository/models/penguins/unload", "evenkeel models promote"),
        ("GET", "/v2/models/penguins/config", "GET /v1/models/MODEL"),
        ("POST", "/v2/trace/setting", "EVENKEEL_TRACING"),
        ("GET", "/v2/models/penguins/trace/setting", "EVENKEEL_TRACING"),
        ("POST", "/v2/logging", "EVENKEEL_LOG_LEVEL"),
        ("GET", "/v2/systemsharedmemory/status", "binary data"),
        ("POST", "/v2/cudasharedmemory/region/a/register", "binary data"),
        ("POST", "/v2/models/penguins/generate", "/infer"),
        ("POST", "/v1/models/penguins:classify", ":predict"),
        ("GET", "/v1/models/penguins/metadata", "GET /v1/models/MODEL"),
        ("POST", "/v1/models/penguins/labels/stable:predict", "versions/NUMBER:predict"),
    ],
)
def test_what_is_not_spoken_says_what_is(client: FlaskClient, method: str, path: str, instead: str) -> None:
    """Routes of Triton and of TensorFlow Serving that others' clients know."""
    answer = client.open(path, method=method)

    assert answer.json is not None
    assert (answer.status_code, answer.json["code"]) == (404, "not_found")
    assert instead in answer.json["error"]


@pytest.mark.parametrize("name", ["input-0", "x", "numeric"])
def test_a_model_of_one_input_takes_it_under_any_name(numeric_client: FlaskClient, name: str) -> None:
    """Once: a second one is none."""
    path = "/v2/models/plain/infer"
    tensor = {"name": name, "datatype": "FP32", "shape": [2, 2], "data": [45.1, 5000, 38.0, 3500]}
    answer = numeric_client.post(path, json={"inputs": [tensor]}).json

    assert answer is not None
    assert answer["outputs"][0]["data"] == ["Gentoo", "Adelie"]
    assert numeric_client.post(path, json={"inputs": [tensor, tensor | {"name": "y"}]}).status_code == 400
    assert numeric_client.post(path, json={"inputs": [tensor | {"shape": [1, 4]}]}).status_code == 400


@pytest.mark.parametrize(("number", "fits"), [(65504, True), (-65519, True), (65520, False), (70000, False)])
def test_a_16_bit_float_holds_what_it_holds(client: FlaskClient, number: float, fits: bool) -> None:
    """Also beside a null."""
    for first in (45.1, None):
        request = tensors()
        request["inputs"][0] |= {"datatype": "FP16", "data": [first, 14.5, 215, number, 2007]}
        answer = client.post("/v2/models/penguins/infer", json=request)

        assert answer.status_code == (200 if fits else 400)
        if not fits:
            assert answer.json is not None
            assert "row 0, column 3 (body_mass_g) must fit in a 16-bit float" in answer.json["error"]


def packed(texts: list[str]) -> list[str]:
    return [base64.b64encode(text.encode()).decode() for text in texts]


def test_base64_is_decoded(client: FlaskClient) -> None:
    """As JSON, in binary, and a column each: never taken for a category."""
    expected = infer(client, tensors())
    request = tensors()
    request["inputs"][1] |= {"data": packed(TEXTS), "parameters": {"content_type": "base64"}}
    binary = binary_request(np.array(NUMBERS, "<f4").tobytes(), bytes_tensor(packed(TEXTS)))
    head = binary["data"][: int(binary["headers"]["Inference-Header-Content-Length"])]
    told = head.replace(b'"BYTES", "parameters": {', b'"BYTES", "parameters": {"content_type": "base64", ')
    raw = client.post(
        "/v2/models/penguins/infer",
        data=binary["data"].replace(head, told),
        headers={"Inference-Header-Content-Length": str(len(told))},
    )

    assert infer(client, request) == expected
    assert told != head
    assert raw.status_code == 200
    assert b"Gentoo" in raw.data


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"content_type": "base64"}, "row 0, column 0 (island) must be UTF-8 in base64"),
        ({"content_type": "pd_json"}, "content_type 'pd_json', which is not read"),
        ({"content_type": "datetime"}, "content_type 'datetime', which is not read"),
    ],
)
def test_what_is_not_decoded_is_refused(client: FlaskClient, parameters: Record, sentence: str) -> None:
    """A text that means another is no category."""
    request = tensors()
    request["inputs"][1] |= {"parameters": parameters}
    status, answer = infer(client, request)

    assert status == 400
    assert sentence in answer["error"]


@pytest.mark.parametrize("content_type", ["pd", "np", "str", None])
def test_content_types_that_change_nothing_are_taken(client: FlaskClient, content_type: str | None) -> None:
    """Of an input, and of the request."""
    request = tensors() | {"parameters": {"content_type": content_type}}
    request["inputs"][1] |= {"parameters": {"content_type": content_type}}

    assert infer(client, request) == infer(client, tensors())
    assert infer(client, tensors() | {"parameters": {"content_type": "pd_json"}})[0] == 400


def test_statistics_count_rows_and_runs(client: FlaskClient, record: Record) -> None:
    """Whatever protocol asked, all rows of a long request; explanations are none of them."""
    before = counted(client, "/v2/models/penguins/stats")
    client.post("/predict", json={"instances": [record] * 12})
    client.post("/v2/models/penguins/infer", json=tensors(40))
    client.post("/v1/models/penguins:explain", json={"instance": record, "reference": record})

    assert before == [("penguins", "1", 0, 0)]
    for path in ("/v2/models/penguins/stats", "/v2/models/penguins/versions/1/stats"):
        assert counted(client, path) == [("penguins", "1", 52, 2)]
    for path in ("/v2/models/penguins/versions/2/stats", "/v2/models/nothing/stats"):
        assert client.get(path).status_code == 404


def counted(client: FlaskClient, path: str) -> list[tuple[Any, ...]]:
    answer = client.get(path).json
    assert answer is not None
    names = ("name", "version", "inference_count", "execution_count")
    return [tuple(one[name] for name in names) for one in answer["model_stats"]]
