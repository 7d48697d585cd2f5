"""A model that is slow, and not wide: what asks it is answered by threads, however few bytes it has."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from time import thread_time

import numpy as np
import pytest

pytest.importorskip("onnx")

import onnx
import onnxruntime

from models.card import GoldenRow, ModelCard
from models.features import NumericFeature
from models.repository import ModelRepository
from service.prediction.cost import TURN_SECONDS
from service.prediction.predictor import Predictor
from tests.conftest import find_free_port
from tests.end_to_end.conftest import running
from tests.hostile.test_bounds import ask
from tests.hostile.unfolding import JSON, Body
from tests.hostile.vitals import Vitals
from tests.service.conftest import NUMBERS, PUBLISHED

WIDTH = 2000
# Of the processor: a row alone may take 0.25.
ROW_S = 0.12
ROWS = 40


def products(many: int) -> bytes:
    """A model of two numbers that turns a wide row so many times: some bytes, and any time. The turn is reckoned from
    the row, as onnxruntime would keep a constant one in memory for each time.
    """
    tensor, node = onnx.helper.make_tensor_value_info, onnx.helper.make_node
    names = ["wide", *(f"turned{turn}" for turn in range(many))]
    nodes = [
        node("ReduceSum", ["numeric"], ["sum"], keepdims=0),
        node("Mul", ["sum", "zero"], ["nothing"]),
        node("Add", ["one", "nothing"], ["turn"]),
        node("MatMul", ["numeric", "in"], ["wide"]),
        *(node("MatMul", [one, "turn"], [other]) for one, other in pairwise(names)),
        node("MatMul", [names[-1], "out"], ["logits"]),
        node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    numbers = np.random.default_rng(0).standard_normal((2, WIDTH)).astype(np.float32)
    zero = np.zeros(1, np.float32)
    weights = {"in": numbers, "one": np.eye(WIDTH, dtype=np.float32), "out": numbers.T / WIDTH, "zero": zero}
    graph = onnx.helper.make_graph(
        nodes,
        "slow",
        [tensor("numeric", onnx.TensorProto.FLOAT, ["N", 2])],
        [tensor("probabilities", onnx.TensorProto.FLOAT, ["N", 2])],
        [onnx.numpy_helper.from_array(np.ascontiguousarray(values), name) for name, values in weights.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def answer(model: bytes) -> tuple[list[float], float]:
    """The probabilities of a row of ones, and the seconds of the processor that they take at least."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session, taken = onnxruntime.InferenceSession(model, options), []
    for _ in range(4):
        began = thread_time()
        (probabilities,) = session.run(["probabilities"], {"numeric": np.ones((1, 2), np.float32)})
        taken.append(thread_time() - began)
    return probabilities[0].tolist(), min(taken)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> ModelRepository:
    """One slow model, made for the speed of this machine."""
    repository = ModelRepository(tmp_path_factory.mktemp("slow"))
    some = 10
    model = products(max(1, round(some * ROW_S / answer(products(some))[1])))
    probabilities, _ = answer(model)
    features = [NumericFeature(name=name, nullable=False, minimum=0, maximum=9) for name in ("a", "b")]
    golden = (GoldenRow(instance={"a": 1.0, "b": 1.0}, probabilities=tuple(probabilities)),)
    card = ModelRepository(NUMBERS).card("plain", 1).model_dump()
    card |= {"name": "slow", "features": features, "classes": ("no", "yes"), "golden": golden, "drift": None}
    repository.publish(ModelCard.model_validate(card), {"model.onnx": model})
    return repository


@pytest.fixture(scope="module")
def vitals(repository: ModelRepository, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vitals]:
    port, limit, log = find_free_port(), 4 << 20, tmp_path_factory.mktemp("log") / "log"
    settings = {"EVENKEEL_MAX_BODY_BYTES": str(limit), "EVENKEEL_DEADLINE_SECONDS": "60", "EVENKEEL_RUN_SECONDS": "60"}
    with log.open("wb") as stderr, running(repository.root, port, stderr, **settings) as service:
        service.wait()
        vitals = Vitals(service, port, limit)
        yield vitals
        vitals.close()


def test_what_a_model_costs_is_measured(repository: ModelRepository) -> None:
    """A row of the slow one is no work for the event loop, and forty of a common one are."""
    slow = Predictor(repository.read("slow", 1))
    common = Predictor(ModelRepository(PUBLISHED).read("penguins", 1))

    assert slow.pace.first > 2 * TURN_SECONDS
    assert slow.cost.run > 1
    assert common.cost.run + 4000 * common.cost.byte < 1
    assert common.cost.or_of(slow.cost).run == slow.cost.run


@pytest.mark.thorough
@pytest.mark.parametrize(("rows", "clients"), [(1, 1), (1, 4), (ROWS, 2)])
def test_health_answers_beside_a_slow_model(vitals: Vitals, rows: int, clients: int) -> None:
    """One client and several that ask it again and again, for one row and for many in some hundred bytes."""
    body = Body("/v1/models/slow:predict", JSON, json.dumps({"instances": [[1, 1]] * rows}).encode())
    statuses: Counter[int] = Counter()

    def ask_often() -> None:
        threads = [threading.Thread(target=client) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def client() -> None:
        for _ in range(3):
            statuses[ask(vitals.port, body, compressed=False)] += 1

    vitals.hold(f"{rows} rows, {clients} clients", ask_often, pause=ROW_S / 2)
    assert set(statuses) == {200}
