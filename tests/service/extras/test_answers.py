"""A model that answers some rows with what is no number, asked over a real connection."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from models.card import GoldenRow
from models.repository import ModelRepository
from tests.conftest import find_free_port
from tests.end_to_end.conftest import running
from tests.service.conftest import NUMBERS

PREDICT, INFER, INVOCATIONS = "/predict", "/v2/models/plain/infer", "/invocations"
Row = list[float | None]
# Body mass counts 1e30 for the first class and against the second. For 5000 that is sure; for 1e9 it is infinite in 32
# bits, and for a missing value, which this model does nothing about, no number.
GOOD: Row = [45.0, 5000.0]
BAD: dict[str, list[Row]] = {
    "infinite": [[45.0, 1e9]],
    "missing": [[45.0, None]],
    "among good ones": [GOOD, [45.0, 1e9]],
}
SURE = (1.0, 0.0, 0.0)
PATIENCE_S = 10.0


class Answer(NamedTuple):
    """A response, and the one document in its body."""

    status: int
    headers: dict[str, str]
    document: Any


class Faulty(NamedTuple):
    """The service of such a model."""

    port: int
    log: Path

    def ask(self, path: str, rows: list[Row], request_id: str) -> Answer:
        """One request on a connection of its own, and all that comes back."""
        if path == INFER:
            values = [value for row in rows for value in row]
            tensor = {"name": "numeric", "datatype": "FP32", "shape": [len(rows), 2], "data": values}
            body = json.dumps({"inputs": [tensor]}).encode()
        else:
            body = json.dumps({"instances": rows}).encode()
        head = [
            f"POST {path} HTTP/1.1",
            "Host: localhost",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        ]
        head += [f"X-Request-Id: {request_id}", "Connection: close", "", ""]
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall("\r\n".join(head).encode() + body)
            answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
        lines, _, content = answer.partition(b"\r\n\r\n")
        status, *fields = lines.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
        assert int(headers["content-length"]) == len(content)
        return Answer(int(status.split()[1]), headers, json.loads(content, parse_constant=pytest.fail))

    def events(self, request_id: str) -> list[dict[str, Any]]:
        """What the log tells of a request, once it does: its lines are written by a thread."""
        until = time.monotonic() + PATIENCE_S
        while True:
            lines = [line for line in self.log.read_text().splitlines(keepends=True) if line.endswith("\n")]
            if (events := [event for event in map(json.loads, lines) if event.get("request_id") == request_id]) or (
                time.monotonic() > until
            ):
                return events
            time.sleep(0.01)


def model() -> bytes:
    """No more than a product and a softmax."""
    weights = np.zeros((2, 3), np.float32)
    weights[1, :2] = 1e30, -1e30
    nodes = [
        helper.make_node("MatMul", ["numeric", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    takes = helper.make_tensor_value_info("numeric", TensorProto.FLOAT, ["N", 2])
    gives = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 3])
    graph = helper.make_graph(nodes, "faulty", [takes], [gives], [numpy_helper.from_array(weights, "weights")])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(made.SerializeToString())


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    folder = tmp_path_factory.mktemp("faulty")
    card = ModelRepository(NUMBERS).read("plain", 1).card
    golden = GoldenRow(instance={"bill_length_mm": 45.0, "body_mass_g": 5000.0}, probabilities=SURE)
    ModelRepository(folder / "store").publish(card.model_copy(update={"golden": (golden,)}), {"model.onnx": model()})
    port, log = find_free_port(), folder / "log"
    with log.open("wb") as stderr, running(folder / "store", port, stderr) as service:
        service.wait()
        yield Faulty(port, log)


@pytest.mark.parametrize("path", [PREDICT, INFER, INVOCATIONS])
@pytest.mark.parametrize("rows", BAD.values(), ids=BAD)
def test_an_answer_that_is_no_number_is_never_given(faulty: Faulty, path: str, rows: list[Row]) -> None:
    """500, one JSON document, and the request's id, which the log tells with the reason; the next row is answered."""
    word = uuid4().hex
    refused = faulty.ask(path, rows, word)
    good = faulty.ask(PREDICT, [GOOD], "good")

    assert (refused.status, refused.headers["content-type"]) == (500, "application/json")
    assert refused.headers["x-request-id"] == refused.document["request_id"] == word
    assert refused.document["code"] == "invalid_answer"
    events = faulty.events(word)
    assert [(event["event"], event["level"], event["code"]) for event in events] == [
        ("request failed", "error", "invalid_answer")
    ]
    assert good.status == 200
    assert tuple(good.document["predictions"][0]["probabilities"].values()) == SURE
