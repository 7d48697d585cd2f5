"""The encoder as nodes: raw values in, the inputs of the network out."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper

from trainer.arrays import Array
from trainer.data.encoder import Encoder
from trainer.data.scaling import SOFTNESS, Linear, Quantiles, Scaling
from trainer.export.nodes import Graph


def write_encoder(graph: Graph, encoder: Encoder) -> tuple[str, list[onnx.ValueInfoProto]]:
    """Write the encoder; return the name of its output, and the inputs of the graph that it needs."""
    inputs, parts = [], []
    if columns := len(encoder.median):
        inputs.append(helper.make_tensor_value_info("numeric", TensorProto.FLOAT, ["N", columns]))
        parts += _write_numeric(graph, encoder)
    if columns := len(encoder.categories):
        inputs.append(helper.make_tensor_value_info("categorical", TensorProto.STRING, ["N", columns]))
        parts += [_write_one_hot(graph, index, encoder.categories[index]) for index in encoder.marked]
        parts += [_write_code(graph, index, encoder.categories[index]) for index in encoder.coded]
    return graph.node("Concat", parts, "encoded", axis=1), inputs


def _write_numeric(graph: Graph, encoder: Encoder) -> list[str]:
    missing = graph.node("IsNaN", ["numeric"], "numeric/missing")
    imputed = graph.node("Where", [missing, graph.constant("median", encoder.median), "numeric"], "numeric/imputed")
    parts = [_write_scaling(graph, encoder.scaling, imputed)]
    if encoder.gaps:
        positions = graph.constant("gaps/positions", np.array(encoder.gaps, np.int64))
        gaps = graph.node("Gather", [missing, positions], "gaps", axis=1)
        parts.append(graph.node("Cast", [gaps], "gaps/encoded", to=TensorProto.FLOAT))
    return parts + [_write_atoms(graph, imputed, column, values) for column, values in encoder.atoms]


def _write_scaling(graph: Graph, scaling: Scaling, numbers: str) -> str:
    match scaling:
        case Linear():
            return _write_linear_scaling(graph, scaling, numbers)
        case Quantiles():
            return _write_quantiles(graph, scaling, numbers)
    raise TypeError(f"no ONNX operators are known for {type(scaling).__name__}")


def _write_linear_scaling(graph: Graph, scaling: Linear, numbers: str) -> str:
    raised = graph.node("Max", [numbers, graph.constant("lower", scaling.lower)], "numeric/raised")
    bounded = graph.node("Min", [raised, graph.constant("upper", scaling.upper)], "numeric/bounded")
    centred = graph.node("Sub", [bounded, graph.constant("centre", scaling.centre)], "numeric/centred")
    scaled = graph.node("Mul", [centred, graph.constant("scale", scaling.scale)], "numeric/scaled")
    if not scaling.smooth:
        return scaled
    softness = graph.constant("1/softness", np.array(1 / SOFTNESS, np.float32))
    third = graph.node("Mul", [scaled, softness], "numeric/third")
    square = graph.node("Mul", [third, third], "numeric/square")
    growing = graph.node("Add", [square, graph.constant("one", np.array(1, np.float32))], "numeric/growing")
    root = graph.node("Sqrt", [growing], "numeric/root")
    return graph.node("Div", [scaled, root], "numeric/clipped")


def _write_quantiles(graph: Graph, scaling: Quantiles, numbers: str) -> str:
    last = graph.constant("axis/last", np.array([2], np.int64))
    raised = graph.node("Max", [numbers, graph.constant("lowest/knot", scaling.knots[:, 0])], "numeric/raised")
    inside = graph.node("Min", [raised, graph.constant("highest/knot", scaling.knots[:, -1])], "numeric/inside")
    column = graph.node("Unsqueeze", [inside, last], "numeric/column")
    distance = graph.node("Sub", [column, graph.constant("knots", scaling.knots[:, :-1])], "numeric/distance")
    zero = graph.constant("zero", np.array(0, np.float32))
    begun = graph.node("Max", [distance, zero], "numeric/begun")
    climbed = graph.node("Min", [begun, graph.constant("widths", scaling.widths)], "numeric/climbed")
    risen = graph.node("Mul", [climbed, graph.constant("slopes", scaling.slopes)], "numeric/risen")
    height = graph.node("ReduceSum", [risen, last], "numeric/height", keepdims=0)
    return graph.node("Add", [height, graph.constant("lowest", scaling.lowest)], "numeric/normal")


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


def _write_code(graph: Graph, index: int, known: Sequence[str]) -> str:
    position = graph.constant(f"categorical/{index}/position", np.array([index], np.int64))
    column = graph.node("Gather", ["categorical", position], f"categorical/{index}", axis=1)
    return graph.node(
        "LabelEncoder",
        [column],
        f"categorical/{index}/code",
        domain="ai.onnx.ml",
        keys_strings=list(known),
        values_floats=[float(place) for place in range(1, len(known) + 1)],
        default_float=0.0,
    )
