"""The ONNX graph of a classifier: raw values in, label and probabilities out. The only module that knows onnx.

Opset 17, ai.onnx.ml 3 and IR 8 load in every onnxruntime since 1.13. A hidden layer is MatMul → BatchNormalization →
activation, so that the frozen statistics can be read in the file; onnxruntime fuses the three into one product as it
loads.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from trainer.arrays import Array
from trainer.classifier import Classifier
from trainer.data.encoder import SOFTNESS, Encoder
from trainer.data.rows import Rows
from trainer.nn.activations import Activation, Elu, LeakyRelu, Relu, Selu, Sigmoid, Silu, Tanh
from trainer.nn.batch_norm import BatchNorm
from trainer.nn.layers import Dropout, Linear
from trainer.nn.network import Network

OPSET, ML_OPSET, IR_VERSION = 17, 3, 8

ACTIVATIONS: dict[type[Activation], tuple[str, dict[str, Any]]] = {
    Relu: ("Relu", {}),
    LeakyRelu: ("LeakyRelu", {"alpha": LeakyRelu.alpha}),
    Elu: ("Elu", {"alpha": 1.0}),
    Selu: ("Selu", {"alpha": Selu.alpha, "gamma": Selu.scale}),
    Sigmoid: ("Sigmoid", {}),
    Tanh: ("Tanh", {}),
}


class Graph:
    """Nodes and constants in the order they were added; every method returns the name of what it made."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: npt.NDArray[np.generic]) -> str:
        name = self.prefix + name
        self.constants.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def node(self, operator: str, inputs: Sequence[str], output: str, domain: str = "", **attributes: Any) -> str:
        output = self.prefix + output
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, domain=domain, **attributes))
        return output


def to_onnx(classifier: Classifier, metadata: Mapping[str, str]) -> bytes:
    """Write the graph of a classifier, with `metadata` in its metadata_props.

    Inputs `numeric` float32 (N, p), NaN meaning missing, and `categorical` string (N, q), those that exist; outputs
    `label` string (N,) and `probabilities` float32 (N, classes). The same classifier gives the same bytes.
    """
    graph = Graph()
    encoded, inputs = _write_encoder(graph, classifier.encoder)
    _write_probabilities(graph, classifier, encoded)
    _write_label(graph, classifier.classes)
    outputs = [
        helper.make_tensor_value_info("label", TensorProto.STRING, ["N"]),
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", len(classifier.classes)]),
    ]
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


def reference_predict(model: bytes, rows: Rows) -> tuple[list[str], Array]:
    """Labels (n,) and probabilities (n, classes) from onnx's own interpreter, which shares no code with the trainer."""
    evaluator = ReferenceEvaluator(onnx.load_from_string(model))
    tensors = {"numeric": rows.numeric, "categorical": rows.texts()}
    label, probabilities = evaluator.run(None, {name: tensors[name] for name in evaluator.input_names})
    return np.asarray(label).tolist(), np.asarray(probabilities)


def _write_encoder(graph: Graph, encoder: Encoder) -> tuple[str, list[onnx.ValueInfoProto]]:
    inputs, parts = [], []
    if columns := len(encoder.median):
        inputs.append(helper.make_tensor_value_info("numeric", TensorProto.FLOAT, ["N", columns]))
        parts += _write_numeric(graph, encoder)
    if columns := len(encoder.categories):
        inputs.append(helper.make_tensor_value_info("categorical", TensorProto.STRING, ["N", columns]))
        parts += [_write_one_hot(graph, index, known) for index, known in enumerate(encoder.categories) if known]
    return graph.node("Concat", parts, "encoded", axis=1), inputs


def _write_numeric(graph: Graph, encoder: Encoder) -> list[str]:
    missing = graph.node("IsNaN", ["numeric"], "numeric/missing")
    imputed = graph.node("Where", [missing, graph.constant("median", encoder.median), "numeric"], "numeric/imputed")
    raised = graph.node("Max", [imputed, graph.constant("lower", encoder.lower)], "numeric/raised")
    bounded = graph.node("Min", [raised, graph.constant("upper", encoder.upper)], "numeric/bounded")
    centred = graph.node("Sub", [bounded, graph.constant("centre", encoder.centre)], "numeric/centred")
    scaled = graph.node("Mul", [centred, graph.constant("scale", encoder.scale)], "numeric/scaled")
    softness = graph.constant("1/softness", np.array(1 / SOFTNESS, np.float32))
    third = graph.node("Mul", [scaled, softness], "numeric/third")
    square = graph.node("Mul", [third, third], "numeric/square")
    growing = graph.node("Add", [square, graph.constant("one", np.array(1, np.float32))], "numeric/growing")
    root = graph.node("Sqrt", [growing], "numeric/root")
    parts = [graph.node("Div", [scaled, root], "numeric/clipped")]
    if encoder.gaps:
        positions = graph.constant("gaps/positions", np.array(encoder.gaps, np.int64))
        gaps = graph.node("Gather", [missing, positions], "gaps", axis=1)
        parts.append(graph.node("Cast", [gaps], "gaps/encoded", to=TensorProto.FLOAT))
    return parts + [_write_atoms(graph, imputed, column, values) for column, values in encoder.atoms]


def _write_atoms(graph: Graph, imputed: str, index: int, values: Array) -> str:
    position = graph.constant(f"atoms/{index}/position", np.array([index], np.int64))
    column = graph.node("Gather", [imputed, position], f"atoms/{index}", axis=1)
    constants = graph.constant(f"atoms/{index}/values", values[np.newaxis])
    equal = graph.node("Equal", [column, constants], f"atoms/{index}/equal")
    return graph.node("Cast", [equal], f"atoms/{index}/encoded", to=TensorProto.FLOAT)


def _write_one_hot(graph: Graph, index: int, known: Sequence[str]) -> str:
    position = graph.constant(f"categorical/{index}/position", np.array(index, np.int64))
    column = graph.node("Gather", ["categorical", position], f"categorical/{index}", axis=1)
    # zeros=1: a text that training has not seen is all zeros instead of an error.
    return graph.node(
        "OneHotEncoder",
        [column],
        f"categorical/{index}/one_hot",
        domain="ai.onnx.ml",
        cats_strings=list(known),
        zeros=1,
    )


def _write_probabilities(graph: Graph, classifier: Classifier, inputs: str) -> None:
    cooled = graph.constant("1/temperature", np.array(1.0 / classifier.temperature, np.float32))
    if len(classifier.networks) == 1:
        logits = graph.node("Mul", [write_network(graph, classifier.networks[0], inputs), cooled], "calibrated")
        graph.node("Softmax", [logits], "probabilities", axis=1)
        return
    answers = []
    for index, network in enumerate(classifier.networks):
        member = f"member{index}/"
        logits = graph.node("Mul", [write_network(graph, network, inputs, member), cooled], f"{member}calibrated")
        answers.append(graph.node("Softmax", [logits], f"{member}probabilities", axis=1))
    graph.node("Mean", answers, "probabilities")


def write_network(graph: Graph, network: Network, inputs: str, member: str = "") -> str:
    """Write a frozen network and return the name of its logits; all its names begin with `member`.

    :raises NoStatistics: a batch-norm layer has nothing frozen.
    """
    for index, layer in enumerate(network.layers):
        output = f"{member}layer{index}"
        match layer:
            case Linear():
                inputs = _write_linear(graph, layer, inputs, output)
            case BatchNorm():
                inputs = _write_batch_norm(graph, layer, inputs, output)
            case Silu():
                gate = graph.node("Sigmoid", [inputs], f"{output}/sigmoid")
                inputs = graph.node("Mul", [inputs, gate], f"{output}/silu")
            case Activation():
                operator, attributes = ACTIVATIONS[type(layer)]
                inputs = graph.node(operator, [inputs], f"{output}/{operator.lower()}", **attributes)
            case Dropout():
                pass  # It does nothing at test time.
            case _:
                raise TypeError(f"no ONNX operator is known for {type(layer).__name__}")
    return inputs


def _write_linear(graph: Graph, layer: Linear, inputs: str, output: str) -> str:
    weight = graph.constant(f"{output}/weight", layer.weight.value.astype(np.float32))
    if layer.bias is None:
        return graph.node("MatMul", [inputs, weight], f"{output}/matmul")
    bias = graph.constant(f"{output}/bias", layer.bias.value.astype(np.float32))
    return graph.node("Gemm", [inputs, weight, bias], f"{output}/gemm")


def _write_batch_norm(graph: Graph, layer: BatchNorm, inputs: str, output: str) -> str:
    frozen = layer.moments
    constants = {
        "gamma": layer.gamma.value,
        "beta": layer.beta.value,
        "mean": frozen.mean,
        "variance": frozen.variance,
    }
    names = [graph.constant(f"{output}/{name}", value.astype(np.float32)) for name, value in constants.items()]
    return graph.node("BatchNormalization", [inputs, *names], f"{output}/batch_norm", epsilon=layer.epsilon)


def _write_label(graph: Graph, classes: Sequence[str]) -> None:
    index = graph.node("ArgMax", ["probabilities"], "index", axis=1, keepdims=0)
    graph.node(
        "LabelEncoder",
        [index],
        "label",
        domain="ai.onnx.ml",
        keys_int64s=list(range(len(classes))),
        values_strings=list(classes),
    )
