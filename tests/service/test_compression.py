"""Answers in gzip, for whoever takes them so."""

import gzip
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from service.compression import LEAST_BYTES, takes_gzip

TENSORS = [
    {"name": "numeric", "datatype": "FP32", "shape": [40, 5], "data": [45.1, 14.5, 215, 5000, 2007] * 40},
    {"name": "categorical", "datatype": "BYTES", "shape": [40, 2], "data": ["Biscoe", "female"] * 40},
]


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        *[(one, True) for one in ("gzip", "GZIP", "x-gzip", "*", "br, gzip", "br;q=1.0, gzip ; q=0.5", "gzip;q=0.001")],
        *[(one, False) for one in ("", "identity", "br", "gzip;q=0", "*, gzip;q=0.0", "*;q=0", "gzipped", "gzip;q=x")],
    ],
)
def test_gzip_is_taken_where_its_weight_is_above_zero(header: str, taken: bool) -> None:
    """RFC 9110, section 12.5.3."""
    assert takes_gzip(header) is taken


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("/predict", lambda record: {"instances": [record] * 10}),
        ("/invocations", lambda record: {"instances": [record] * 10}),
        ("/v2/models/penguins/infer", lambda _: {"inputs": TENSORS}),
        ("/v2/models/penguins/infer", lambda _: {"inputs": TENSORS, "parameters": {"binary_data_output": True}}),
        ("/v1/models/penguins:explain", lambda record: {"instances": [record] * 8, "reference": list(record.values())}),
    ],
)
def test_a_long_answer_is_compressed_for_who_takes_it_so(
    client: FlaskClient, record: dict[str, Any], path: str, document: Callable[[dict[str, Any]], Any]
) -> None:
    """The same answer, in fewer bytes; whoever does not ask gets the bytes that there were."""
    plain = client.post(path, json=document(record))
    packed = client.post(path, json=document(record), headers={"Accept-Encoding": "gzip, deflate"})

    assert plain.status_code == packed.status_code == 200
    assert len(plain.data) >= LEAST_BYTES > len(packed.data)
    assert gzip.decompress(packed.data) == plain.data
    assert (packed.headers["Content-Encoding"], packed.headers["Vary"]) == ("gzip", "Accept-Encoding")
    assert packed.headers["Content-Length"] == str(len(packed.data))
    assert "Content-Encoding" not in plain.headers
    # Of the answer as it unfolds (Triton's extension for binary data).
    length = "Inference-Header-Content-Length"
    assert packed.headers.get(length) == plain.headers.get(length)


def test_a_short_answer_is_not_compressed(client: FlaskClient, record: dict[str, Any]) -> None:
    """It would gain nothing."""
    answer = client.post("/predict", json={"instance": record}, headers={"Accept-Encoding": "gzip"})

    assert "Content-Encoding" not in answer.headers
    assert answer.json is not None
    assert answer.json["prediction"]["label"] == "Gentoo"
