"""Model files that somebody made to harm, each published with the digest that fits it."""

import os
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from models.operators import EARLIER, OPERATORS
from models.repository import ModelRepository
from service.errors import RefusedModel
from service.model_file.protobuf import BYTES, FIXED32, FIXED64, MODEL, VARINT, Message
from service.model_file.structure import check_structure
from service.registry.registry import Registry
from service.registry.trial import Trial
from tests.service.conftest import NUMBERS, PUBLISHED

MEGABYTE = 1 << 20
# The numeric features and the classes of the published penguins: what a hostile model must pretend to.
WIDTH, TEXTS, CLASSES, GENTOO_CLASS = 5, 2, 3, 2


def model(
    nodes: Sequence[onnx.NodeProto],
    constants: Sequence[onnx.TensorProto] = (),
    inputs: Sequence[tuple[str, int, int]] = (
        ("numeric", TensorProto.FLOAT, WIDTH),
        ("categorical", TensorProto.STRING, TEXTS),
    ),
    opset: int = 17,
    **options: object,
) -> bytes:
    """A model with the signature of the published one, and with any nodes."""
    takes = [helper.make_tensor_value_info(name, kind, ["N", width]) for name, kind, width in inputs]
    gives = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", CLASSES])]
    graph = helper.make_graph(nodes, "hostile", takes, gives, constants)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=8, **options)
    return bytes(made.SerializeToString())


def constant(name: str, value: object) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(value), name)


def honest() -> list[onnx.NodeProto]:
    return [helper.make_node("MatMul", ["numeric", "weights"], ["logits"]), softmax("logits")]


def softmax(name: str, to: str = "probabilities") -> onnx.NodeProto:
    return helper.make_node("Softmax", [name], [to], axis=1)


WEIGHTS = constant("weights", np.ones((WIDTH, CLASSES), np.float32))


def constant_of_shape() -> bytes:
    """A few bytes that unfold to 1.6 GB at the first run."""
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["large"]),
        helper.make_node("ReduceSum", ["large"], ["probabilities"]),
    ]
    return model(nodes, [constant("shape", [20000, 20000])])


def outer_product() -> bytes:
    """The same of operators that are allowed: a column times a row."""
    nodes = [
        helper.make_node("MatMul", ["column", "row"], ["large"]),
        helper.make_node("ReduceSum", ["large"], ["sum"], keepdims=1),
        *honest(),
    ]
    size = 30000
    column, row = np.ones((size, 1), np.float32), np.ones((1, size), np.float32)
    return model(nodes, [constant("column", column), constant("row", row), WEIGHTS])


def gather_rows() -> bytes:
    """A row gathered a million times, from the rows that are asked."""
    nodes = [
        helper.make_node("Gather", ["wide", "index"], ["large"]),
        helper.make_node("ReduceSum", ["large"], ["sum"], keepdims=1),
        helper.make_node("MatMul", ["numeric", "weights"], ["logits"]),
        helper.make_node("Add", ["logits", "sum"], ["shifted"]),
        softmax("shifted"),
    ]
    wide, index = np.ones((1, 4000), np.float32), np.zeros(200_000, np.int64)
    return model(nodes, [constant("wide", wide), constant("index", index), WEIGHTS])


def loop() -> bytes:
    """One that does not end."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["goes"]), helper.make_node("Identity", ["value"], ["passed"])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value", TensorProto.FLOAT, ["N", CLASSES]),
        ],
        [
            helper.make_tensor_value_info("goes", TensorProto.BOOL, []),
            helper.make_tensor_value_info("passed", TensorProto.FLOAT, ["N", CLASSES]),
        ],
    )
    turns = [constant("turns", np.int64(2**62)), constant("go_on", np.True_), WEIGHTS]
    nodes = [*honest()[:1], helper.make_node("Loop", ["turns", "go_on", "logits"], ["probabilities"], body=body)]
    return model(nodes, turns)


def subgraph_in_an_allowed_operator() -> bytes:
    """A subgraph where none belongs."""
    graph = helper.make_graph([], "inner", [], [])
    nodes = honest()
    nodes[0].attribute.append(helper.make_attribute("body", graph))
    return model(nodes, [WEIGHTS])


def function() -> bytes:
    """An operator of its own, under the name of one that is allowed."""
    inner = helper.make_function(
        "", "Relu", ["x"], ["y"], [helper.make_node("Identity", ["x"], ["y"])], [helper.make_opsetid("", 17)]
    )
    return model(honest(), [WEIGHTS], functions=[inner])


def external_data() -> bytes:
    """Weights that lie in a file beside it."""
    weights = onnx.TensorProto()
    weights.CopyFrom(WEIGHTS)
    onnx.external_data_helper.set_external_data(weights, "card.json")
    weights.ClearField("raw_data")
    return model(honest(), [weights])


def external_address() -> bytes:
    """Weights that lie at an address in memory."""
    weights = onnx.TensorProto()
    weights.CopyFrom(WEIGHTS)
    onnx.external_data_helper.set_external_data(weights, "*/_ORT_MEM_ADDR_/*", offset=4096, length=60)
    weights.ClearField("raw_data")
    return model(honest(), [weights])


def claimed_size() -> bytes:
    """A tensor of 4 TB, of which it brings a number along."""
    weights = helper.make_tensor("weights", TensorProto.FLOAT, [1], [1.0])
    weights.dims[:] = [1 << 20, 1 << 20]
    return model(honest(), [weights])


def custom_domain() -> bytes:
    """An operator of somebody's own library."""
    made = onnx.load_from_string(model([*honest()[:1], helper.make_node("Softmax", ["logits"], ["probabilities"])]))
    made.graph.node[1].domain = "com.microsoft"
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return bytes(made.SerializeToString())


def huge_metadata() -> bytes:
    """A hundred megabytes that describe nothing."""
    made = onnx.load_from_string(model(honest(), [WEIGHTS]))
    helper.set_model_props(made, {"text": "x" * (100 * MEGABYTE)})
    return bytes(made.SerializeToString())


def deep_nesting() -> bytes:
    """A graph in a node in a graph, ten thousand times: enough for a reader that calls itself."""
    data = b""
    for _ in range(10_000):
        for field in (6, 5, 1):  # AttributeProto.g, NodeProto.attribute, GraphProto.node
            data = bytes([field << 3 | 2]) + varint(len(data)) + data
    return b"\x08\x08\x3a" + varint(len(data)) + data


def varint(number: int) -> bytes:
    data = b""
    while number > 0x7F:
        data, number = data + bytes([number & 0x7F | 0x80]), number >> 7
    return data + bytes([number])


WRONG_NAME = (("numbers", TensorProto.FLOAT, WIDTH), ("categorical", TensorProto.STRING, TEXTS))
WRONG_TYPE = (("numeric", TensorProto.DOUBLE, WIDTH), ("categorical", TensorProto.STRING, TEXTS))
WRONG_WIDTH = (("numeric", TensorProto.FLOAT, 4), ("categorical", TensorProto.STRING, TEXTS))
DOUBLES = constant("weights", np.ones((WIDTH, CLASSES)))
FOUR = constant("weights", np.ones((4, CLASSES), np.float32))


def renamed() -> bytes:
    nodes = [helper.make_node("MatMul", ["numbers", "weights"], ["logits"]), softmax("logits")]
    return model(nodes, [WEIGHTS], WRONG_NAME)


def doubled() -> bytes:
    nodes = [*honest()[:1], softmax("logits")]
    nodes[1].output[0] = "wide"
    nodes.append(helper.make_node("Cast", ["wide"], ["probabilities"], to=TensorProto.FLOAT))
    return model(nodes, [DOUBLES], WRONG_TYPE)


HOSTILE: list[tuple[Callable[[], bytes], str]] = [
    (constant_of_shape, "the operator ConstantOfShape, which is not allowed"),
    (outer_product, "cannot load it|cannot be answered|takes more than"),
    (gather_rows, "cannot load it|cannot be answered|takes more than"),
    (loop, "field 6 of AttributeProto|the operator Loop"),
    (subgraph_in_an_allowed_operator, "field 6 of AttributeProto"),
    (function, "field 25 of ModelProto"),
    (external_data, "field 1[34] of TensorProto"),
    (external_address, "field 1[34] of TensorProto"),
    (claimed_size, "a tensor 'weights' with less data than its shape needs"),
    (custom_domain, "opset com.microsoft 1"),
    (huge_metadata, "bytes of metadata"),
    (deep_nesting, "field 6 of AttributeProto"),
    (lambda: model(honest(), [WEIGHTS], opset=99), "opset ai.onnx 99"),
    (lambda: model(honest(), [WEIGHTS], opset=18), "opset ai.onnx 18"),
    (renamed, "the inputs of model.onnx are not the features"),
    (doubled, "the inputs of model.onnx are not the features"),
    (lambda: model(honest(), [FOUR], WRONG_WIDTH), "the inputs of model.onnx are not the features"),
    (lambda: model(honest(), [WEIGHTS]), "a golden row"),
    (lambda: b"\x08\x08", "holds no graph"),
]


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


@pytest.fixture
def tried(repository: ModelRepository) -> Registry:
    """A registry whose versions are tried in a process of their own, as a worker's are; version 1 is loaded."""
    registry = Registry(repository, trial=Trial(repository.root, megabytes=512))
    registry.refresh()
    return registry


@pytest.mark.parametrize(("build", "reason"), HOSTILE)
def test_a_hostile_model_harms_nobody(
    tried: Registry,
    publish: Callable[..., int],
    build: Callable[[], bytes],
    reason: str,
    record: dict[str, object],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is refused, with its reason in the log once, while this process grows by less than 50 MB."""
    publish(onnx=build())
    before = resident()
    for _ in range(3):
        tried.refresh()

    assert resident() - before < 50 * MEGABYTE
    assert tried.predictor().version == 1
    refusals = [entry.__dict__["reason"] for entry in caplog.records if entry.getMessage() == "model refused"]
    assert len(refusals) == 1
    assert re.search(reason, refusals[0])
    assert tried.predictor().predict(tried.predictor().rows.read([record]).tensors).argmax() == GENTOO_CLASS


def make_fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def make_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def make_link(file: Path) -> None:
    file.rename(file.with_name("moved"))
    file.symlink_to("moved")


FILES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "sparse": ("model.onnx", lambda file: os.truncate(file, 5 << 30), "not a regular file of at most"),
    "sparse, of a size that is allowed": ("model.onnx", lambda file: os.truncate(file, 1 << 30), "differs from what"),
    "fifo": ("model.onnx", make_fifo, "not a regular file"),
    "symbolic link": ("model.onnx", make_link, "cannot be read"),
    "hard link": ("model.onnx", lambda file: file.with_name("other").hardlink_to(file), "hard link"),
    "folder": ("model.onnx", make_folder, "not a regular file"),
    "card as a fifo": ("card.json", make_fifo, "not a regular file"),
    "endless card": ("card.json", lambda file: os.truncate(file, 1 << 30), "not a regular file of at most"),
}


@pytest.mark.parametrize("change", FILES)
def test_a_file_that_is_no_plain_file_blocks_nobody(
    tried: Registry,
    repository: ModelRepository,
    publish: Callable[..., int],
    change: str,
) -> None:
    """It is refused before it is read."""
    file, harm, reason = FILES[change]
    harm(repository.root / "penguins" / str(publish()) / file)
    before = resident()
    tried.refresh()

    assert resident() - before < 50 * MEGABYTE
    assert tried.predictor().version == 1
    assert re.search(reason, tried.refused("penguins")[2])


def test_a_model_that_takes_its_time_is_stopped(
    tried: Registry, publish: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the processor time that a trial has; the next version is tried in a new process."""
    monkeypatch.setattr("service.registry.trial.PATIENCE_SECONDS", 120)
    publish(onnx=slow())
    publish()
    tried.refresh()

    assert tried.predictor().version == 3
    assert "takes more than 3 s of processor" in tried.refused("penguins")[2]


def slow(products: int = 400) -> bytes:
    """A minute of multiplications, in little memory: of the row, as constants would be multiplied once and all kept."""
    square = constant("square", np.eye(2000, dtype=np.float32))
    names = ["shared", *(f"power{turn}" for turn in range(products))]
    nodes = [
        helper.make_node("ReduceSum", ["numeric"], ["number"], keepdims=0),
        helper.make_node("Add", ["square", "number"], ["shared"]),
        *(helper.make_node("MatMul", [one, "square"], [next_one]) for one, next_one in pairwise(names)),
        helper.make_node("ReduceSum", [names[-1]], ["sum"], keepdims=1),
        helper.make_node("MatMul", ["numeric", "weights"], ["logits"]),
        helper.make_node("Add", ["logits", "sum"], ["shifted"]),
        softmax("shifted"),
    ]
    return model(nodes, [square, WEIGHTS])


def test_the_messages_are_those_of_onnx() -> None:
    """Names, numbers, repetition and wire types of every field, held against onnx's own description."""
    wire_types = {1: FIXED64, 2: FIXED32, 3: VARINT, 4: VARINT, 5: VARINT, 9: BYTES, 12: BYTES, 14: VARINT}

    def compare(message: Message, described: object) -> None:
        for number, field in message.fields.items():
            theirs = described.fields_by_number[number]  # type: ignore[attr-defined]
            assert (field.name, field.many) == (theirs.name, theirs.is_repeated)
            if isinstance(field.kind, Message):
                compare(field.kind, theirs.message_type)
            else:
                assert field.kind == wire_types[theirs.type], (message.name, field.name)

    compare(MODEL, onnx.ModelProto.DESCRIPTOR)


@pytest.mark.parametrize("published", [PUBLISHED / "penguins/1", NUMBERS / "plain/1"])
def test_what_the_trainer_publishes_has_the_right_structure(published: Path) -> None:
    """As it is, and written anew by onnx with its numbers as lists and not as bytes."""
    data = (published / "model.onnx").read_bytes()
    check_structure(data)

    loose = onnx.load_from_string(data)
    for tensor in loose.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor).ravel().tolist()
            tensor.ClearField("raw_data")
            tensor.float_data.extend(values)
    check_structure(loose.SerializeToString())


ALLOWED = frozenset[str]().union(*OPERATORS.values(), *EARLIER.values())


@pytest.mark.parametrize("operator", sorted({node.name for node in onnx.defs.get_all_schemas()} - ALLOWED))
def test_no_other_operator_of_onnx_is_allowed(operator: str) -> None:
    """Whatever onnx defines and the list does not name."""
    node = helper.make_node(operator, ["numeric"], ["probabilities"])

    with pytest.raises(RefusedModel, match=f"operator {operator}, which is not allowed"):
        check_structure(model([node]))


def test_every_cut_and_many_flips_of_a_model_are_judged() -> None:
    """No file makes the reader fail in any other way than by refusing."""
    data = (NUMBERS / "plain/1/model.onnx").read_bytes()
    dice = np.random.default_rng(0)
    accepted = 0
    for turn in range(500):
        broken = bytearray(data[: dice.integers(len(data))] if turn % 2 else data)
        for place in dice.integers(len(broken) or 1, size=3) if broken else ():
            broken[place] ^= 1 << int(dice.integers(8))
        try:
            check_structure(bytes(broken))
            accepted += 1
        except RefusedModel:
            pass

    assert accepted < 500
