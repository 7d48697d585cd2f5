"""Which layers a network is made of, and its first weights."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from trainer.nn.activations import ACTIVATIONS
from trainer.nn.batch_norm import BatchNorm
from trainer.nn.layers import Dropout, Layer, Linear
from trainer.nn.network import Network


@dataclass(frozen=True)
class Architecture:
    """Everything about a network that training does not change.

    `batch_norm` stands before the activation as in the paper, after it, or nowhere. `dropout` is the share of a hidden
    layer's activations that a training step leaves out. Without hidden layers it is softmax regression.
    """

    inputs: int
    hidden: tuple[int, ...]
    classes: int
    activation: str = "relu"
    batch_norm: Literal["before", "after", "none"] = "before"
    dropout: float = 0.0
    epsilon: float = 1e-5
    ewma_decay: float = 0.9


def build_network(
    architecture: Architecture,
    rng: np.random.Generator,
    *,
    class_shares: npt.NDArray[np.float64] | None = None,
    dtype: npt.DTypeLike = np.float32,
) -> Network:
    """Linear → BatchNorm → activation → dropout for each hidden layer, then Linear to one logit a class.

    The last layer starts at the classes' shares in training, whatever the inputs: the first loss is the entropy of the
    classes, and the first steps are not spent on finding it. `rng` draws the first weights, and later the dropout.
    """
    layers: list[Layer] = []
    inputs = architecture.inputs
    for units in architecture.hidden:
        layers += _hidden_layer(architecture, inputs, units, rng, first=not layers)
        inputs = units
    shares = np.full(architecture.classes, 1.0 / architecture.classes) if class_shares is None else class_shares
    layers.append(Linear(inputs, architecture.classes, None, bias=np.log(shares), feeds_back=bool(layers)))
    return Network(layers, ewma_decay=architecture.ewma_decay, dtype=dtype)


def _hidden_layer(
    architecture: Architecture, inputs: int, units: int, rng: np.random.Generator, *, first: bool
) -> list[Layer]:
    activation = ACTIVATIONS[architecture.activation]()
    # The linear layer can do without its z; an activation tells its slope from what it gave.
    norm = BatchNorm(units, architecture.epsilon, in_place=architecture.batch_norm == "before")
    # Only directly behind W does batch norm take a bias away again.
    bias = None if architecture.batch_norm == "before" else np.zeros(units)
    linear = Linear(inputs, units, rng, gain=activation.gain, bias=bias, feeds_back=not first)
    orders: dict[str, list[Layer]] = {
        "before": [linear, norm, activation],
        "after": [linear, activation, norm],
        "none": [linear, activation],
    }
    layers = orders[architecture.batch_norm]
    return [*layers, Dropout(architecture.dropout, rng)] if architecture.dropout else layers
