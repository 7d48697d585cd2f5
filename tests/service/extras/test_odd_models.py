"""Models that somebody made by hand, harmless and wrong: refused when they are loaded, not when they are asked."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from models.repository import ModelRepository
from service.prediction.predictor import Predictor
from service.registry.probe import short_of_memory
from service.registry.registry import Registry
from service.registry.trial import Trial
from tests.service.extras.test_hostile_models import CLASSES, TEXTS, WIDTH, constant, model, slow, softmax
from tests.service.registry.test_loading_order import metrics, started
from tests.service.test_metrics import value

Publish = Callable[..., int]
THIRDS = [1 / 3] * CLASSES
# The published rows have missing cells; a model that does nothing about them would answer with no number.
FILLED = [
    helper.make_node("IsNaN", ["numeric"], ["missing"]),
    helper.make_node("Where", ["missing", "zero", "numeric"], ["filled"]),
    helper.make_node("MatMul", ["filled", "weights"], ["logits"]),
]
ZERO = constant("zero", np.zeros((1,), np.float32))
SMALL = constant("weights", np.linspace(0, 1e-10, WIDTH * CLASSES, dtype=np.float32).reshape(WIDTH, CLASSES))


def answering(*nodes: Any, constants: Any = (), shape: list[Any] | None = None, kind: int = TensorProto.FLOAT) -> bytes:
    """A model whose `logits` are a product, and that does with them whatever is given."""
    made = helper.make_model(
        helper.make_graph(
            [*FILLED, *nodes],
            "odd",
            [
                helper.make_tensor_value_info("numeric", TensorProto.FLOAT, ["N", WIDTH]),
                helper.make_tensor_value_info("categorical", TensorProto.STRING, ["N", TEXTS]),
            ],
            [helper.make_tensor_value_info("probabilities", kind, shape or ["N", CLASSES])],
            [ZERO, SMALL, *constants],
        ),
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)],
        ir_version=8,
    )
    return bytes(made.SerializeToString())


def of_three_dimensions() -> bytes:
    """`(N, 1, K)`, as some frameworks export."""
    widen = helper.make_node("Unsqueeze", ["answers", "one"], ["probabilities"])
    shape = ["N", 1, CLASSES]
    return answering(softmax("logits", "answers"), widen, constants=[constant("one", np.array([1]))], shape=shape)


def logits() -> bytes:
    return answering(helper.make_node("Add", ["logits", "forty"], ["probabilities"]), constants=[FORTY])


def sigmoids() -> bytes:
    """A probability for each class alone."""
    return answering(helper.make_node("Sigmoid", ["logits"], ["probabilities"]))


def of_the_batch() -> bytes:
    """Normalised by what the whole batch comes to: so little that the golden rows come out right together."""
    return answering(
        helper.make_node("ReduceSum", ["logits", "axis"], ["sum"], keepdims=1),
        helper.make_node("Mul", ["sum", "weight"], ["weighed"]),
        helper.make_node("Sub", ["logits", "weighed"], ["centred"]),
        softmax("centred"),
        constants=[constant("axis", np.array([0])), constant("weight", np.array([40], np.float32))],
    )


def doubles() -> bytes:
    """Probabilities in 64 bits."""
    cast = helper.make_node("Cast", ["answers"], ["probabilities"], to=TensorProto.DOUBLE)
    return answering(softmax("logits", "answers"), cast, kind=TensorProto.DOUBLE)


FORTY = constant("forty", np.full((1,), 40, np.float32))

ODD: dict[str, tuple[Callable[[], bytes], str]] = {
    "three dimensions": (of_three_dimensions, "have 3 dimensions; they must have two"),
    "logits": (logits, "are no probabilities: the model must end with a softmax"),
    "sigmoids": (sigmoids, "the probabilities of a golden row sum to 1.5"),
    "of the batch": (of_the_batch, "alone is answered otherwise than among others"),
    "doubles": (doubles, "the outputs of model.onnx are not the classes"),
}


def golden_rows(repository: ModelRepository, answers: list[float]) -> list[dict[str, Any]]:
    """The published rows, with answers near to what the odd model gives."""
    return [row.model_dump() | {"probabilities": answers} for row in repository.card("penguins", 1).golden]


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_model_is_refused_at_load(repository: ModelRepository, publish: Publish, kind: str) -> None:
    """In one sentence that says what is odd; the version before it serves on."""
    build, reason = ODD[kind]
    publish(onnx=build(), golden=golden_rows(repository, THIRDS))
    registry = Registry(repository)
    registry.refresh()

    assert registry.predictor().version == 1
    assert reason in registry.refused("penguins")[2]


def test_an_honest_one_of_the_same_making_is_loaded(repository: ModelRepository, publish: Publish) -> None:
    """So the others are refused for what they do."""
    publish(onnx=answering(softmax("logits")), golden=golden_rows(repository, THIRDS))
    registry = Registry(repository)
    registry.refresh()

    assert registry.predictor().version == 2


def large(megabytes: int) -> bytes:
    """A good model of so many megabytes, all of them numbers."""
    side = int((megabytes * (1 << 20) / 4) ** 0.5)
    first, last = np.zeros((WIDTH, side), np.float32), np.zeros((side, CLASSES), np.float32)
    return model(
        [
            FILLED[0],
            FILLED[1],
            helper.make_node("MatMul", ["filled", "first"], ["wide"]),
            helper.make_node("MatMul", ["wide", "square"], ["wider"]),
            helper.make_node("MatMul", ["wider", "last"], ["logits"]),
            softmax("logits"),
        ],
        [
            ZERO,
            constant("first", first),
            constant("square", np.zeros((side, side), np.float32)),
            constant("last", last),
        ],
    )


def test_a_model_too_large_for_the_trial_is_told_what_to_set(repository: ModelRepository, publish: Publish) -> None:
    """The setting and a value; with that value it is loaded."""
    publish(onnx=large(40), golden=golden_rows(repository, THIRDS))
    small = Registry(repository, trial=Trial(repository.root, megabytes=64))
    small.refresh()
    reason = small.refused("penguins")[2]
    assert reason.startswith("it takes more than 64 MB to load; set EVENKEEL_TRIAL_MEGABYTES to ")
    named = int(reason.split("MEGABYTES to ")[1].split()[0])

    again = Registry(repository, trial=Trial(repository.root, megabytes=named))
    again.refresh()
    assert again.predictor().version == 2


@pytest.mark.parametrize(
    "said", ["std::bad_alloc", "terminate called …\n  what():  std::bad_alloc", "MemoryError", "bad allocation"]
)
def test_memory_is_known_by_what_is_said_of_it(said: str) -> None:
    """By onnxruntime, C++ and Python."""
    assert short_of_memory(said)
    assert not short_of_memory("Segmentation fault")


@pytest.mark.thorough
def test_a_model_that_takes_long_for_a_row_is_refused(repository: ModelRepository, publish: Publish) -> None:
    """By the trial alone: what one machine finds slow in one moment is one verdict for all workers."""
    complete = [row for row in golden_rows(repository, THIRDS) if None not in row["instance"].values()]
    # Twice a golden row alone fits into the time of a trial.
    publish(onnx=slow(5), golden=complete[:1])
    registry = Registry(repository, trial=Trial(repository.root, megabytes=512))
    registry.refresh()

    assert registry.predictor().version == 1
    assert "s of processor" in registry.refused("penguins")[2]


def test_a_busy_machine_refuses_no_model(
    repository: ModelRepository, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What its golden rows take is counted by the processor alone: by the clock a good model may be slow at times."""
    monkeypatch.setattr(Predictor.predict, "__defaults__", (1e-3,))
    complete = [row for row in golden_rows(repository, THIRDS) if None not in row["instance"].values()]
    publish(onnx=slow(1), golden=complete[:1])
    registry = Registry(repository)
    registry.refresh()

    assert registry.predictor().version == 2


def test_the_service_listens_before_it_has_tried_every_version(
    repository: ModelRepository, publish: Publish, free_port: int
) -> None:
    """An old version that takes seconds to be refused: who serves is there first, and it is tried behind that."""
    publish(onnx=slow())
    publish()
    with started(repository.root, free_port) as service:
        service.wait()
        assert value(metrics(service), "versions_refused", model="penguins") < 1
        assert service.ask("/v1/models/penguins")[1]["version"] == 3
        deadline = time.monotonic() + 60
        while service.ask("/v1/models/penguins")[1]["versions"] != [3, 1]:
            assert time.monotonic() < deadline
            assert service.ask("/v2/health/ready")[0] == 200
            time.sleep(0.1)
        assert value(metrics(service), "trials_total", result="refused") == 1
