"""Bodies of requests, each posted to the application as a WSGI server would."""

import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from models.repository import ModelRepository
from service.app import create_app
from service.prediction.prediction import Bounds
from service.registry.registry import Registry
from tests.service.conftest import GENTOO, PUBLISHED

LIMIT = 4096
LONGEST_REFUSAL = 8192
REFUSED = {400, 411, 413, 415, 422}

Environ = Mapping[str, str]


@cache
def app() -> Any:
    """The Flask application of the published model; one for all inputs."""
    registry = Registry(ModelRepository(PUBLISHED))
    registry.refresh()
    return create_app(registry, Bounds(LIMIT))


def ask(path: str, body: bytes, environ: Environ) -> int:
    """POST a body to the application: exactly one reply, a 200 or a worded refusal, and never a 500."""
    statuses: list[int] = []
    written = b"".join(
        app()(
            {
                "REQUEST_METHOD": "POST",
                "PATH_INFO": path,
                "QUERY_STRING": "",
                "SERVER_NAME": "localhost",
                "SERVER_PORT": "80",
                "SERVER_PROTOCOL": "HTTP/1.1",
                "wsgi.url_scheme": "http",
                "wsgi.input": io.BytesIO(body),
                "wsgi.input_terminated": True,
                **environ,
            },
            lambda status, headers, exc_info=None: statuses.append(int(status[:3])),
        )
    )
    (status,) = statuses
    assert status == 200 or status in REFUSED, f"{status}: {written[:300]!r}"
    if status != 200:
        document = json.loads(written)
        assert document.keys() == {"error", "code", "details", "request_id"}
        assert len(document["details"]) <= 20
        assert len(written) <= LONGEST_REFUSAL, len(written)
    return status


def predict(data: bytes) -> None:
    """`/predict`, with any length, encoding and type announced."""
    how, body = (data[0], data[1:]) if data else (0, b"")
    environ: dict[str, str] = {}
    announced = (len(body), None, len(body) + 3, max(0, len(body) - 1))[how & 3]
    if announced is not None:
        environ["CONTENT_LENGTH"] = str(announced)
    if encoding := ("", "gzip", "deflate", "br")[how >> 2 & 3]:
        environ["HTTP_CONTENT_ENCODING"] = encoding
    media = ("application/json", "", "application/json; charset=utf-16", "text/plain")[how >> 4 & 3]
    ask("/predict", body, environ | {"CONTENT_TYPE": media})


def predict_seeds() -> Iterator[bytes]:
    one = json.dumps({"instance": GENTOO}).encode()
    many = json.dumps({"instances": [list(GENTOO.values()), list(GENTOO.values())]}).encode()
    explained = json.dumps({"instance": GENTOO, "explain": True}).encode()
    yield from (bytes([0]) + one, bytes([1]) + many, bytes([2]) + one, bytes([0]) + explained)
    yield bytes([4]) + gzip.compress(one, mtime=0)
    yield bytes([8]) + zlib.compress(many)
    yield bytes([4]) + gzip.compress(b" " * 100_000, mtime=0)


def infer(data: bytes) -> None:
    """V2, with any length of the JSON before binary tensors announced."""
    how, value, body = (data[0], data[1], data[2:]) if len(data) > 1 else (0, 0, data)
    length = (None, str(value), str(value + 256), ("-1", "abc", "²", "9" * 30, "", "0x10")[value % 6])[how & 3]
    environ = {"CONTENT_LENGTH": str(len(body)), "CONTENT_TYPE": "application/json"}
    if length is not None:
        environ |= {"HTTP_INFERENCE_HEADER_CONTENT_LENGTH": length, "CONTENT_TYPE": "application/octet-stream"}
    ask("/v2/models/penguins/infer", body, environ)


def infer_seeds() -> Iterator[bytes]:
    numbers = [45.1, 14.5, 215, 5000, 2007]
    texts = ["Biscoe", "female"]
    inputs = [
        {"name": "numeric", "datatype": "FP32", "shape": [1, 5], "data": numbers},
        {"name": "categorical", "datatype": "BYTES", "shape": [1, 2], "data": texts},
    ]
    wish = {"name": "probabilities", "parameters": {"binary_data": True}}
    yield bytes(2) + json.dumps({"id": "a", "inputs": inputs}).encode()
    yield bytes(2) + json.dumps({"inputs": inputs, "outputs": [{"name": "label"}, wish]}).encode()
    classes = {"name": "probabilities", "parameters": {"classification": 2}}
    yield bytes(2) + json.dumps({"inputs": inputs, "outputs": [classes]}).encode()
    columns = [
        {"name": name, "datatype": "FP64" if isinstance(value, float | int) else "BYTES", "shape": [1], "data": [value]}
        for name, value in GENTOO.items()
    ]
    yield bytes(2) + json.dumps({"parameters": {"content_type": "pd"}, "inputs": columns}).encode()
    raw = b"".join(len(text).to_bytes(4, "little") + text.encode() for text in texts)
    size = {"binary_data_size": len(raw)}
    binary = {"name": "categorical", "datatype": "BYTES", "shape": [1, 2], "parameters": size}
    head = json.dumps({"inputs": [inputs[0], binary]}).encode()
    assert len(head) < 256
    yield bytes([1, len(head)]) + head + raw
    yield bytes([1, 0]) + bytes(20)


def invoke(data: bytes) -> None:
    """A table as JSON or CSV."""
    media = "text/csv" if data[:1] and data[0] & 1 else "application/json"
    ask("/invocations", data[1:], {"CONTENT_LENGTH": str(len(data[1:])), "CONTENT_TYPE": media})


def invoke_seeds() -> Iterator[bytes]:
    names, row = list(GENTOO), list(GENTOO.values())
    for document in (
        {"dataframe_split": {"columns": names, "data": [row, row]}},
        {"dataframe_records": [GENTOO]},
        {"instances": [row]},
        {"inputs": {name: [value] for name, value in GENTOO.items()}},
        {"inputs": [GENTOO], "params": {}},
    ):
        yield bytes(1) + json.dumps(document).encode()
    yield bytes([1]) + (",".join(names) + "\n" + ",".join(map(str, row)) + "\r\n").encode()
    yield bytes([1]) + b'\xef\xbb\xbfyear,"island"\n2007,\n'


def explain(data: bytes) -> None:
    """`:explain`, of a model whose card is too old for a typical row."""
    ask("/v1/models/penguins:explain", data, {"CONTENT_LENGTH": str(len(data)), "CONTENT_TYPE": "application/json"})


def explain_seeds() -> Iterator[bytes]:
    row, other = list(GENTOO.values()), list((GENTOO | {"island": "Dream", "year": None}).values())
    yield from (
        json.dumps({"instance": GENTOO, "reference": other}).encode(),
        json.dumps({"instances": [row, other], "reference": GENTOO}).encode(),
        json.dumps({"instance": row, "reference": "typical"}).encode(),
        json.dumps({"instance": row, "reference": "background", "explain": True}).encode(),
    )
