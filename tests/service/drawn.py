"""Requests for predictions that are good, nearly good, and bad."""

import gzip
import json
import random
import zlib
from typing import Any

from tests.service.conftest import LIMIT
from tests.service.test_open_inference import tensors

PATHS = [
    *["/predict", "/v1/models/penguins:predict", "/v1/models/penguins/versions/2:predict"],
    *["/v2/models/penguins/infer", "/v2/models/penguins/versions/1/infer", "/invocations"],
    *["/v1/models/other:predict", "/v1/models/penguins/versions/9:predict", "/v2/models/pen%20guins/infer"],
    *[
        "/predict/",
        "/v1//models/penguins:predict",
        "/v1/models/a:b:predict",
        "/v1/models/a%0Ab:predict",
        "/v2/models//infer",
    ],
    *["/v1/models/penguins/versions/:predict", "/v2/models/penguins/versions/1/2/infer", "/v1/models/é:predict"],
]
HEADERS = [
    {"Content-Type": "text/plain"},
    {"Content-Type": "text/csv"},
    {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
    {"traceparent": "nonsense"},
    {"Inference-Header-Content-Length": "0"},
    {"Inference-Header-Content-Length": "7"},
    {"Inference-Header-Content-Length": "-1"},
]
WISHES: list[dict[str, Any]] = [
    {"parameters": {"binary_data_output": True}},
    {"id": "x"},
    {"outputs": [{"name": "nothing"}]},
    {"inputs": []},
]
VALUES: list[Any] = [None, True, 0, -1, 45.1, 2007, 1e39, 10**18, "Biscoe", "female", "", "nowhere", "7", [], {}, 1e7]


GOOD, METRICS_ONLY = "g" * 32, "m" * 32
KEYS: list[dict[str, str]] = [
    {},
    {"X-API-Key": ""},
    {"X-API-Key": "b" * 32},
    {"X-API-Key": METRICS_ONLY},
    {"Authorization": f"Basic {GOOD}"},
    {"Authorization": "Bearer é"},
]


class Requests:
    """Requests that are good, nearly good, and bad, in every format, with every kind of key."""

    def __init__(self, record: dict[str, Any]) -> None:
        self.record = record
        self.dice = random.Random(0)

    def draw(self) -> dict[str, Any]:
        document = self._document()
        body, headers = self._body(document)
        if self.dice.random() < 0.1:
            headers |= self.dice.choice(HEADERS)
        headers |= {"Authorization": f"Bearer {GOOD}"} if self.dice.random() < 0.8 else self.dice.choice(KEYS)
        likely = "/v2/models/penguins/infer" if "inputs" in document else "/predict"
        path = likely if self.dice.random() < 0.7 else self.dice.choice(PATHS)
        return {"path": path, "method": "POST", "data": body, "headers": headers}

    def _document(self) -> dict[str, Any]:
        rows = [self._row() for _ in range(self.dice.randint(0, 3))]
        split = {"columns": list(self.record), "data": [list(self.record.values())]}
        people: list[dict[str, Any]] = [{"instance": self._row()}, {"instances": rows}, {"rows": rows}]
        tables: list[dict[str, Any]] = [{"dataframe_records": rows}, {"dataframe_split": split}]
        return self.dice.choice([*people, *tables, self._tensors(), self._tensors()])

    def _row(self) -> Any:
        row = dict(self.record)
        for _ in range(self.dice.choice([0, 0, 0, 1, 2])):
            row[self.dice.choice([*row, "wingspan"])] = self.dice.choice(VALUES)
        if self.dice.random() < 0.1:
            row.pop(self.dice.choice(list(row)))
        return row if self.dice.random() < 0.6 else list(row.values())

    def _tensors(self) -> dict[str, Any]:
        request = tensors(self.dice.choice([1, 1, 2]))
        if self.dice.random() < 0.4:
            self.dice.choice(request["inputs"])["data"][0] = self.dice.choice(VALUES)
        return request | (self.dice.choice(WISHES) if self.dice.random() < 0.3 else {})

    def _body(self, document: dict[str, Any]) -> tuple[bytes, dict[str, str]]:
        body = json.dumps(document).encode()
        if self.dice.random() < 0.1:
            body = self.dice.choice([b"", body[:-3], body + b"x", b"\xff", b"[1]", b" " * (LIMIT + 1)])
        folded = [("gzip", gzip.compress(body)), ("deflate", zlib.compress(body)), ("gzip", body), ("br", body)]
        headers = {"X-Request-Id": "same", "Content-Type": "application/json"}
        if self.dice.random() < 0.2:
            headers["Content-Encoding"], body = self.dice.choice(folded)
        return body, headers
