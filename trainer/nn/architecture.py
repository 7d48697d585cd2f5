"""Which layers a network is made of, and its first weights."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from trainer.nn.activations import ACTIVATIONS
from trainer.nn.batch_norm import BatchNorm
from trainer.nn.embeddings import Embedding, Periodic
from trainer.nn.layers import Dropout, Layer, Linear
from trainer.nn.network import Network

# Values in the vector of one category.
EMBEDDING = 8
# With more numbers than these, most of the network would be their embeddings.
MOST_PERIODIC = 40


@dataclass(frozen=True)
class Architecture:
    """Everything about a network that training does not change.

    `batch_norm` stands before the activation as in the paper, after it, or nowhere. `dropout` is the share of a hidden
    layer's activations that a training step leaves out, `input_dropout` that of the inputs. The last `coded` inputs are
    codes below `codes`, which are embedded. `periodic` is the deviation of the frequencies in which the columns
    `varied` are embedded as well, 0 for none of it. Without hidden layers it is softmax regression.
    """

    inputs: int
    hidden: tuple[int, ...]
    classes: int
    activation: str = "relu"
    batch_norm: Literal["before", "after", "none"] = "before"
    dropout: float = 0.0
    input_dropout: float = 0.0
    coded: int = 0
    codes: int = 0
    periodic: float = 0.0
    varied: tuple[int, ...] = ()
    epsilon: float = 1e-5
    ewma_decay: float = 0.9


def build_network(
    architecture: Architecture,
    rng: np.random.Generator,
    *,
    class_shares: npt.NDArray[np.float64] | None = None,
    dtype: npt.DTypeLike = np.float32,
) -> Network:
    """Embeddings, then Linear → BatchNorm → activation → dropout a hidden layer, then Linear to one logit a class.

    The last layer starts at the classes' shares in training, whatever the inputs: the first loss is the entropy of the
    classes, and the first steps are not spent on finding it. `rng` draws the first weights, and later the dropout.
    """
    layers, inputs = _embeddings(architecture, rng)
    learned = bool(layers)
    if architecture.input_dropout:
        layers.append(Dropout(architecture.input_dropout, rng))
    for units in architecture.hidden:
        layers += _hidden_layer(architecture, inputs, units, rng, first=not learned)
        inputs, learned = units, True
    shares = np.full(architecture.classes, 1.0 / architecture.classes) if class_shares is None else class_shares
    layers.append(Linear(inputs, architecture.classes, None, bias=np.log(shares), feeds_back=learned))
    return Network(layers, ewma_decay=architecture.ewma_decay, dtype=dtype)


def _embeddings(architecture: Architecture, rng: np.random.Generator) -> tuple[list[Layer], int]:
    """The layers before the first linear one, and how many columns they leave."""
    layers: list[Embedding | Periodic] = []
    if architecture.coded:
        layers.append(Embedding(architecture.coded, architecture.codes, EMBEDDING, rng))
    if architecture.periodic and 0 < len(architecture.varied) <= MOST_PERIODIC:
        layers.append(Periodic(architecture.varied, rng, deviation=architecture.periodic))
    inputs = architecture.inputs
    for layer in layers:
        inputs = layer.wider(inputs)
    return list(layers), inputs


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
