"""The network: layers in order over one flat vector of parameters."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer.arrays import Array
from trainer.nn.batch_norm import BatchNorm
from trainer.nn.layers import Layer, Linear, Relu
from trainer.nn.loss import softmax
from trainer.nn.statistics import Moments, PopulationMoments, RunningMoments


@dataclass(frozen=True)
class State:
    """All that training changes in a network, as it was at one moment."""

    values: Array
    running: tuple[RunningMoments, ...]


class Network:
    """A stack of layers from inputs (n, inputs) to logits (n, classes).

    `values` and `grads` hold every parameter and every gradient end to end; the layers work on views of them, so an
    optimizer is one pass over two vectors.
    """

    def __init__(self, layers: Sequence[Layer], dtype: npt.DTypeLike = np.float32) -> None:
        self.layers = tuple(layers)
        parameters = [parameter for layer in self.layers for parameter in layer.parameters]
        self.values: Array = np.concatenate([parameter.value.ravel() for parameter in parameters], dtype=dtype)
        self.grads: Array = np.zeros_like(self.values)
        start = 0
        for parameter in parameters:
            end = start + parameter.value.size
            parameter.value, parameter.grad = (
                flat[start:end].reshape(parameter.value.shape) for flat in (self.values, self.grads)
            )
            start = end

    @property
    def batch_norms(self) -> tuple[BatchNorm, ...]:
        return tuple(layer for layer in self.layers if isinstance(layer, BatchNorm))

    def forward(self, inputs: Array, *, training: bool) -> Array:
        """Logits (n, classes). The call says which statistics batch norm uses: the batch's own, or the frozen ones."""
        for layer in self.layers:
            inputs = layer.forward(inputs, training=training)
        return inputs

    def backward(self, grad: Array) -> None:
        """Fill `grads` from the gradient of the loss by the logits."""
        for layer in reversed(self.layers):
            grad = layer.backward(grad)

    def track(self) -> None:
        """Let every running average take in the last training batch."""
        for layer in self.batch_norms:
            layer.track()

    def predict(self, inputs: Array) -> Array:
        """Class probabilities (n, classes) with frozen statistics."""
        return softmax(self.forward(inputs, training=False))

    def freeze(self, moments: Sequence[Moments]) -> None:
        """Fix the statistics of inference, one pair of moments a batch-norm layer."""
        for layer, frozen in zip(self.batch_norms, moments, strict=True):
            layer.frozen = frozen

    def state(self) -> State:
        """A copy of all that training changes."""
        return State(self.values.copy(), tuple(copy.deepcopy(layer.running) for layer in self.batch_norms))

    def restore(self, state: State) -> None:
        """Go back to a state taken before."""
        self.values[:] = state.values
        for layer, running in zip(self.batch_norms, state.running, strict=True):
            layer.running = copy.deepcopy(running)


def build_network(
    inputs: int,
    hidden: Sequence[int],
    class_counts: npt.NDArray[np.integer],
    *,
    epsilon: float,
    ewma_decay: float,
    rng: np.random.Generator,
) -> Network:
    """Linear → BatchNorm → ReLU for each width in `hidden`, then Linear to one logit a class.

    The last layer starts at the classes' shares in training, whatever the inputs: the first loss is the entropy of the
    classes, and the first steps are not spent on finding it.
    """
    layers: list[Layer] = []
    for units in hidden:
        layers += [Linear(inputs, units, rng), BatchNorm(units, epsilon, ewma_decay), Relu()]
        inputs = units
    layers.append(Linear(inputs, len(class_counts), None, bias=np.log(class_counts / class_counts.sum())))
    return Network(layers)


def batches(rows: int, size: int) -> Iterator[slice]:
    """Cut `rows` rows into batches of `size`; a single row left over joins the batch before it.

    One row has no variance, so batch norm cannot train on it.
    """
    start = 0
    while start < rows:
        end = start + size if rows - start > size + 1 else rows
        yield slice(start, end)
        start = end


def measure_population(network: Network, inputs: Array, batch_size: int) -> list[Moments]:
    """One pass over the training rows with fixed weights: the moments of each batch-norm layer's z.

    Every layer sees what it saw in training, batches normalised with their own statistics (Ioffe & Szegedy 2015,
    Algorithm 2, steps 7 to 11); merged, the batches give the exact moments of all rows.
    """
    population = [PopulationMoments(layer.units) for layer in network.batch_norms]
    for batch in batches(len(inputs), batch_size):
        network.forward(inputs[batch], training=True)
        for layer, moments in zip(network.batch_norms, population, strict=True):
            mean, variance = layer.batch_mean.astype(np.float64), layer.batch_variance.astype(np.float64)
            moments.merge(layer.batch_rows, mean, variance)
    return [moments.moments() for moments in population]
