"""A network as nodes: a hidden layer is MatMul → BatchNormalization → activation.

So the frozen statistics can be read in the file; onnxruntime fuses the three into one product as it loads.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from trainer.export.nodes import NARROW, Graph
from trainer.nn.activations import Activation, Elu, LeakyRelu, Relu, Selu, Sigmoid, Silu, Tanh
from trainer.nn.batch_norm import BatchNorm
from trainer.nn.embeddings import Embedding, Periodic
from trainer.nn.layers import Dropout, Layer, Linear
from trainer.nn.network import Network

ACTIVATIONS: dict[type[Activation], tuple[str, dict[str, Any]]] = {
    Relu: ("Relu", {}),
    LeakyRelu: ("LeakyRelu", {"alpha": LeakyRelu.alpha}),
    Elu: ("Elu", {"alpha": 1.0}),
    Selu: ("Selu", {"alpha": Selu.alpha, "gamma": Selu.scale}),
    Sigmoid: ("Sigmoid", {}),
    Tanh: ("Tanh", {}),
}
# Of these, what onnxruntime works out four numbers at a time.
IN_FOURS = (Elu, Selu)


def write_network(graph: Graph, network: Network, inputs: str, width: int, member: str = "") -> str:
    """Write a frozen network of `width` inputs and return the name of its logits; all its names begin with `member`.

    :raises NoStatistics: a batch-norm layer has nothing frozen.
    """
    for index, layer in enumerate(network.layers):
        inputs = _write_layer(graph, layer, inputs, f"{member}layer{index}", width)
        if isinstance(layer, Linear):
            width = layer.weight.value.shape[1]
        elif isinstance(layer, Embedding | Periodic):
            width = layer.wider(width)
    return inputs


def _write_layer(graph: Graph, layer: Layer, inputs: str, output: str, width: int) -> str:
    match layer:
        case Embedding():
            return _write_embedding(graph, layer, inputs, output)
        case Periodic():
            return _write_periodic(graph, layer, inputs, output, width)
        case Linear():
            return _write_linear(graph, layer, inputs, output)
        case BatchNorm():
            return _write_batch_norm(graph, layer, inputs, output)
        case Activation():
            return _write_activation(graph, layer, inputs, output, width)
        case Dropout():
            return inputs  # It does nothing at test time.
    raise TypeError(f"no ONNX operator is known for {type(layer).__name__}")


def _write_embedding(graph: Graph, layer: Embedding, inputs: str, output: str) -> str:
    """Cut off the codes, take the vector of each, and put them in the place of the codes."""
    ends = {"first": -layer.columns, "end": np.iinfo(np.int64).max, "zero": 0, "axis": 1}
    names = {end: graph.constant(f"{output}/{end}", np.array([place], np.int64)) for end, place in ends.items()}
    codes = graph.node("Slice", [inputs, names["first"], names["end"], names["axis"]], f"{output}/codes")
    others = graph.node("Slice", [inputs, names["zero"], names["first"], names["axis"]], f"{output}/others")
    places = graph.node("Cast", [codes], f"{output}/places", to=TensorProto.INT64)
    table = graph.constant(f"{output}/table", layer.table.value.astype(np.float32))
    vectors = graph.node("Gather", [table, places], f"{output}/vectors", axis=0)
    flat = graph.node("Flatten", [vectors], f"{output}/flat", axis=1)
    return graph.node("Concat", [others, flat], f"{output}/embedded", axis=1)


def _write_periodic(graph: Graph, layer: Periodic, inputs: str, output: str, width: int) -> str:
    """The waves in one product, the columns in another, whose matrices are zero where a wave is another column's."""
    columns, frequencies, outputs = layer.mixing.value.shape
    embedded, places, own = inputs, layer.columns, np.arange(columns)
    if width > NARROW:
        names = [inputs, graph.constant(f"{output}/columns", places)]
        embedded, places, width = graph.node("Gather", names, f"{output}/embedded", axis=1), own, columns
    frequency = np.zeros((width, columns, frequencies), np.float32)
    frequency[places, own] = layer.frequency.value
    mixing = np.zeros((columns, frequencies, columns, outputs), np.float32)
    mixing[own, :, own] = layer.mixing.value
    constants: dict[str, npt.NDArray[Any]] = {
        "frequency": frequency.reshape(width, columns * frequencies),
        "phase": layer.phase.value.ravel().astype(np.float32),
        "mixing": mixing.reshape(columns * frequencies, columns * outputs),
    }
    written = {name: graph.constant(f"{output}/{name}", value) for name, value in constants.items()}
    angle = graph.node("Gemm", [embedded, written["frequency"], written["phase"]], f"{output}/angle")
    cosine = graph.node("Cos", [angle], f"{output}/cosine")
    mixed = graph.node("MatMul", [cosine, written["mixing"]], f"{output}/mixed")
    return graph.node("Concat", [inputs, mixed], f"{output}/periodic", axis=1)


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


def _write_activation(graph: Graph, layer: Activation, inputs: str, output: str, width: int) -> str:
    if isinstance(layer, Silu):
        gate = graph.node("Sigmoid", [inputs], f"{output}/sigmoid")
        return graph.node("Mul", [inputs, gate], f"{output}/silu")
    operator, attributes = ACTIVATIONS[type(layer)]
    name = f"{output}/{operator.lower()}"

    def write(numbers: str) -> str:
        return graph.node(operator, [numbers], name, **attributes)

    return graph.in_fours(write, inputs, name, width) if isinstance(layer, IN_FOURS) else write(inputs)
