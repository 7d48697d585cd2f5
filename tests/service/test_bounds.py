"""What is too much is refused in words, on every route; and what a request takes of memory is counted."""

import json
import struct
from collections.abc import Callable
from typing import Any

import pytest

from models.repository import ModelRepository
from service.app import create_app
from service.errors import BodyTooLarge, Overloaded
from service.prediction.prediction import Bounds
from service.prediction.protocol import Allowance
from service.registry.registry import Registry
from service.routes.table import ROUTES
from service.rows.tensors import row_count
from tests.service.conftest import GENTOO, NUMBERS, PUBLISHED
from tests.service.test_long_requests import ROWS, invocation, records, tensors
from tests.service.test_tensors import LENGTH

__all__ = ["records"]

# What the warnings of a request take at most, and what stands around predictions.
TOLD = 5000

LIMITED: dict[str, tuple[str, Callable[[int], dict[str, Any]]]] = {
    "instances": ("/predict", lambda rows: {"json": {"instances": [[45, 5000]] * rows}}),
    "records": (
        "/invocations",
        lambda rows: {"json": {"dataframe_records": [{"bill_length_mm": 1, "body_mass_g": 2}] * rows}},
    ),
    "split": (
        "/invocations",
        lambda rows: {
            "json": {"dataframe_split": {"columns": ["body_mass_g", "bill_length_mm"], "data": [[1, 2]] * rows}}
        },
    ),
    "columns": (
        "/invocations",
        lambda rows: {"json": {"inputs": {"bill_length_mm": [1] * rows, "body_mass_g": [1] * rows}}},
    ),
    "csv": (
        "/invocations",
        lambda rows: {"data": "bill_length_mm,body_mass_g\n" + "1,2\n" * rows, "content_type": "text/csv"},
    ),
    "tensor": (
        "/v2/models/plain/infer",
        lambda rows: {
            "json": {"inputs": [{"name": "numeric", "datatype": "FP32", "shape": [rows, 2], "data": [1] * 2 * rows}]}
        },
    ),
    "raw": ("/v2/models/plain/infer", lambda rows: {"data": bytes(8 * rows), "headers": {LENGTH: "0"}}),
}


@pytest.mark.parametrize("most", [100, 50_000])
@pytest.mark.parametrize("kind", LIMITED)
def test_rows_beyond_the_limit_are_refused(kind: str, most: int) -> None:
    """With 413, the limit and its setting; as many as the limit are answered."""
    path, request = LIMITED[kind]
    registry = Registry(ModelRepository(NUMBERS))
    registry.refresh()
    limited = create_app(registry, Bounds(rows=most)).test_client()
    answers = [limited.post(path, **request(rows)) for rows in (most, most + 1)]
    short = create_app(registry, Bounds(rows=most, answer_bytes=most * 16)).test_client().post(path, **request(most))

    assert [answer.status_code for answer in answers] == [200, 413]
    assert answers[1].json is not None
    assert answers[1].json["code"] == "too_many_rows"
    assert f"{most} rows (EVENKEEL_MAX_ROWS)" in answers[1].json["error"]
    assert short.status_code == 413
    assert short.json is not None
    assert f"{most * 16} in all (EVENKEEL_MAX_ANSWER_BYTES); send at most" in short.json["error"]


@pytest.mark.parametrize("kind", LIMITED)
def test_an_answer_is_no_longer_than_was_reckoned(kind: str) -> None:
    """Where it fits by a row, that many rows are answered within the limit."""
    path, request = LIMITED[kind]
    registry = Registry(ModelRepository(NUMBERS))
    registry.refresh()
    for limit in (4096, 100_000):
        app = create_app(registry, Bounds(answer_bytes=limit)).test_client()
        refused = app.post(path, **request(10_000))
        assert refused.json is not None
        most = int(refused.json["error"].split("send at most ")[1].split()[0])
        answered = app.post(path, **request(most))

        assert answered.status_code == 200
        assert limit // 4 < len(answered.data) < limit + TOLD
        assert app.post(path, **request(most + 1)).status_code == 413


class Budget:
    """So much memory, and what was taken of it."""

    def __init__(self, most: int) -> None:
        self.left = most
        self.taken = 0

    def take(self, more: int) -> None:
        assert more >= 0
        self.taken += more
        if self.taken > self.left:
            raise BodyTooLarge("too much")


@pytest.mark.parametrize("kind", ["records", "rows", "columns", "csv", "flat", "nested", "binary"])
def test_memory_is_taken_as_rows_are_read(records: list[dict[str, Any]], kind: str) -> None:
    """At least what tensors, probabilities and the answer come to; where there is none, the request is refused."""
    registry = Registry(ModelRepository(PUBLISHED))
    registry.refresh()
    predictor = registry.predictors[0]
    table = kind in ("records", "rows", "columns", "csv")
    asked = invocation(kind, records) if table else tensors(kind, records)
    data = asked["data"] if isinstance(asked["data"], bytes) else asked["data"].encode()
    environ = {"CONTENT_TYPE": asked.get("content_type", "")}
    environ |= {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in asked.get("headers", {}).items()}
    (wire,) = {route.wire for route in ROUTES if route.name == ("invocations" if table else "infer")}
    assert wire is not None
    budget = Budget(1 << 30)
    question = wire.read(predictor, data, environ, Allowance(100_000, 32 << 20, budget))
    probabilities = predictor.predict(question.tensors)
    answer = question.answer(probabilities).body

    held = probabilities.nbytes + 2 * len(answer) + sum(tensor.nbytes for tensor in question.tensors.values())
    assert held * 0.9 < budget.taken < 3 * held
    with pytest.raises(BodyTooLarge):
        wire.read(predictor, data, environ, Allowance(100_000, 32 << 20, Budget(budget.taken // 2)))


def test_texts_that_no_row_shares_count_for_themselves() -> None:
    """A request of different texts takes memory for each, one of known texts for none."""
    registry = Registry(ModelRepository(PUBLISHED))
    registry.refresh()
    (wire,) = {route.wire for route in ROUTES if route.name == "infer"}
    assert wire is not None
    taken = []
    for texts in (["Biscoe", "male"] * ROWS, [f"{number:x}" for number in range(2 * ROWS)]):
        raw = b"".join(struct.pack("<I", len(text)) + text.encode() for text in texts)
        inputs = [
            {
                "name": "categorical",
                "datatype": "BYTES",
                "shape": [ROWS, 2],
                "parameters": {"binary_data_size": len(raw)},
            },
            {"name": "numeric", "datatype": "FP64", "shape": [ROWS, 5], "parameters": {"binary_data_size": 40 * ROWS}},
        ]
        head = json.dumps({"inputs": inputs}).encode()
        budget = Budget(1 << 30)
        body = head + raw + bytes(40 * ROWS)
        environ = {"HTTP_INFERENCE_HEADER_CONTENT_LENGTH": str(len(head))}
        question = wire.read(registry.predictors[0], body, environ, Allowance(100_000, 32 << 20, budget))
        assert row_count(question.tensors) == ROWS
        taken.append(budget.taken)

    assert taken[1] - taken[0] > 2 * ROWS * 50


def test_what_has_no_room_at_the_moment_is_told_so() -> None:
    """The refusal of the budget is the answer, whichever route it meets."""

    class Full:
        def take(self, more: int) -> None:
            raise Overloaded("later")

    registry = Registry(ModelRepository(PUBLISHED))
    registry.refresh()
    body = json.dumps({"instances": [list(GENTOO.values())] * ROWS}).encode()
    (wire,) = {route.wire for route in ROUTES if route.name == "predict"}
    assert wire is not None
    with pytest.raises(Overloaded, match="later"):
        wire.read(registry.predictors[0], body, {}, Allowance(100_000, 32 << 20, Full()))
