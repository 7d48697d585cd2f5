"""A network as nodes: a hidden layer is MatMul → BatchNormalization → activation.

So the frozen statistics can be read in the file; onnxruntime fuses the three into one product as it loads. What comes
before the first product is made of products too, or is part of it: on one row a node costs more than its arithmetic.
"""

from typing import Any

import numpy as np
from onnx import TensorProto

from trainer.arrays import Array
from trainer.export.nodes import Graph
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


def write_network(graph: Graph, network: Network, inputs: str, member: str = "") -> str:
    """Write a frozen network and return the name of its logits; all its names begin with `member`.

    :raises NoStatistics: a batch-norm layer has nothing frozen.
    """
    width = 0
    before: Periodic | None = None
    for index, layer in enumerate(network.layers):
        output = f"{member}layer{index}"
        match layer:
            case Periodic():
                following = next(later for later in network.layers[index:] if isinstance(later, Linear))
                inputs, before = _write_waves(graph, layer, following, inputs, output), layer
            case Linear():
                weight = layer.weight.value if before is None else merged(before, layer.weight.value)
                inputs, before, width = _write_linear(graph, layer, weight, inputs, output), None, weight.shape[1]
            case _:
                inputs = _write_layer(graph, layer, inputs, output, width)
    return inputs


def _write_layer(graph: Graph, layer: Layer, inputs: str, output: str, width: int) -> str:
    match layer:
        case Embedding():
            return _write_embedding(graph, layer, inputs, output)
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


def _write_waves(graph: Graph, layer: Periodic, following: Linear, inputs: str, output: str) -> str:
    """The cosines of all columns behind the inputs.

    Their angles are one product, whose matrix has the frequency of a wave in the row of its column, and zeros. How the
    waves of a column are mixed is left to the linear layer that follows.
    """
    columns, frequencies, outputs = layer.mixing.value.shape
    width = len(following.weight.value) - columns * outputs
    frequency = np.zeros((width, columns * frequencies), np.float32)
    frequency[np.repeat(layer.columns, frequencies), np.arange(columns * frequencies)] = layer.frequency.value.ravel()
    names = [
        graph.constant(f"{output}/frequency", frequency),
        graph.constant(f"{output}/phase", layer.phase.value.ravel().astype(np.float32)),
    ]
    angle = graph.node("Gemm", [inputs, *names], f"{output}/angle")
    cosine = graph.node("Cos", [angle], f"{output}/cosine")
    return graph.node("Concat", [inputs, cosine], f"{output}/waves", axis=1)


def merged(layer: Periodic, weight: Array) -> Array:
    """The weights (inputs + waves, units) of a linear layer behind the waves themselves.

    Those that it has for the mixed waves, (inputs + columns · outputs, units), times the matrices that mix them.
    """
    mixing = layer.mixing.value.astype(np.float64)
    columns, frequencies, outputs = mixing.shape
    kept = len(weight) - columns * outputs
    by_column = weight[kept:].astype(np.float64).reshape(columns, outputs, -1)
    waves = np.matmul(mixing, by_column).reshape(columns * frequencies, -1)
    return np.concatenate([weight[:kept], waves]).astype(np.float32)


def _write_linear(graph: Graph, layer: Linear, values: Array, inputs: str, output: str) -> str:
    weight = graph.constant(f"{output}/weight", values.astype(np.float32))
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
