"""The ONNX graph of a classifier: raw values in, label and probabilities out.

Opset 17, ai.onnx.ml 3 and IR 8 load in every onnxruntime since 1.13.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from models.sets import PredictionSets
from trainer.arrays import Array
from trainer.data.rows import Rows
from trainer.export.network import write_network
from trainer.export.nodes import Graph
from trainer.export.preprocessing import write_encoder
from trainer.export.sets import write_sets
from trainer.fitting.trained_classifier import TrainedClassifier

OPSET, ML_OPSET, IR_VERSION = 17, 3, 8


class Threshold(NamedTuple):
    """Of two classes, the one that is looked for, and the probability from which on a row is taken for it."""

    positive: str
    at: float


def to_onnx(
    classifier: TrainedClassifier,
    metadata: Mapping[str, str],
    threshold: Threshold | None = None,
    sets: PredictionSets | None = None,
) -> bytes:
    """Write the graph of a classifier, with `metadata` in its metadata_props. The label is the most probable class, or
    what the threshold says.

    Inputs `numeric` float32 (N, p), NaN meaning missing, and `categorical` string (N, q), those that exist; outputs
    `label` string (N,), `probabilities` float32 (N, classes) and, of `sets`, `set` bool (N, classes): whether a class
    belongs to the answer. The same classifier gives the same bytes.
    """
    graph = Graph()
    encoded, inputs = write_encoder(graph, classifier.encoder)
    write_probabilities(graph, classifier, encoded, classifier.encoder.width)
    _write_label(graph, classifier.classes, threshold)
    outputs = [
        helper.make_tensor_value_info("label", TensorProto.STRING, ["N"]),
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", len(classifier.classes)]),
    ]
    if sets is not None:
        write_sets(graph, "probabilities", len(classifier.classes), sets)
        outputs.append(helper.make_tensor_value_info("set", TensorProto.BOOL, ["N", len(classifier.classes)]))
    model = helper.make_model(
        helper.make_graph(graph.nodes, "evenkeel", inputs, outputs, graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
        ir_version=IR_VERSION,
        producer_name="evenkeel",
    )
    helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model, full_check=True)
    serialized: bytes = model.SerializeToString(deterministic=True)
    return serialized


class Answered(NamedTuple):
    """Labels (n,), probabilities (n, classes) and, of a graph with sets, which classes are in each (n, classes)."""

    labels: list[str]
    probabilities: Array
    sets: npt.NDArray[np.bool_] | None


def reference_predict(model: bytes, rows: Rows) -> Answered:
    """What onnx's own interpreter answers, which shares no code with the trainer."""
    evaluator = ReferenceEvaluator(onnx.load_from_string(model))
    tensors = {"numeric": rows.numeric, "categorical": rows.texts()}
    # The largest numbers scale to infinity and are clipped; onnx's sigmoid computes branches that it then drops.
    with np.errstate(over="ignore", invalid="ignore"):
        outputs = evaluator.run(None, {name: tensors[name] for name in evaluator.input_names})
    label, probabilities, *sets = map(np.asarray, outputs)
    return Answered(label.tolist(), probabilities, sets[0] if sets else None)


def write_probabilities(graph: Graph, classifier: TrainedClassifier, inputs: str, width: int) -> str:
    """Write the networks and the calibrator behind inputs (N, `width`); return the name of the probabilities."""
    calibrator = classifier.calibrator
    cooling = graph.constant("1/temperature", np.array(1.0 / calibrator.temperature, np.float32))
    bias = graph.constant("bias", calibrator.bias)
    bag = len(classifier.networks) > 1
    answers = []
    for index, network in enumerate(classifier.networks):
        member = f"member{index}/" if bag else ""
        logits = write_network(graph, network, inputs, width, member)
        cooled = graph.node("Mul", [logits, cooling], f"{member}cooled")
        calibrated = graph.node("Add", [cooled, bias], f"{member}calibrated")
        answers.append(graph.node("Softmax", [calibrated], f"{member}probabilities", axis=1))
    return graph.node("Mean", answers, "probabilities") if bag else answers[0]


def labels_of(probabilities: Array, classes: Sequence[str], threshold: Threshold | None) -> list[str]:
    """The labels (n,) that go with probabilities (n, classes): those that the graph gives."""
    if threshold is None:
        return [classes[index] for index in probabilities.argmax(axis=1)]
    positive = classes.index(threshold.positive)
    found = probabilities[:, positive] >= np.float32(threshold.at)
    return [classes[index] for index in np.where(found, positive, 1 - positive)]


def _write_label(graph: Graph, classes: Sequence[str], threshold: Threshold | None) -> None:
    scores = "probabilities"
    ties: dict[str, Any] = {}
    if threshold is not None:
        # In the place of the other class's probability stands the threshold; where both are equal, the positive wins.
        positive = classes.index(threshold.positive)
        mask = graph.constant("positive", np.array([[index == positive for index in range(len(classes))]]))
        at = graph.constant("threshold", np.array(threshold.at, np.float32))
        scores = graph.node("Where", [mask, "probabilities", at], "held_against_threshold")
        ties = {"select_last_index": 1} if positive else {}
    index = graph.node("ArgMax", [scores], "index", axis=1, keepdims=0, **ties)
    graph.node(
        "LabelEncoder",
        [index],
        "label",
        domain="ai.onnx.ml",
        keys_int64s=list(range(len(classes))),
        values_strings=list(classes),
    )


def without_metadata(model: bytes) -> bytes:
    """The same model without the mirror of its card, which holds golden rows."""
    proto = onnx.load_from_string(model)
    del proto.metadata_props[:]
    serialized: bytes = proto.SerializeToString(deterministic=True)
    return serialized
