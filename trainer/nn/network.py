"""The network: layers in order over one flat vector of parameters."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import dropwhile
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.arrays import Array, Inputs
from trainer.nn.batch_norm import BatchNorm
from trainer.nn.batches import BatchWeights, batches
from trainer.nn.layers import Dropout, Layer, Linear
from trainer.nn.loss import softmax
from trainer.nn.statistics import Moments, PopulationMoments, RunningMoments

ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class State:
    """All that training changes in a network, as it was at one moment."""

    values: Array
    running_sums: Array
    running_batches: int


class Network:
    """A stack of layers from inputs (n, inputs) to logits (n, classes).

    `values` and `grads` hold every parameter and every gradient end to end, those that weight decay pulls on first; the
    layers work on views of them, so an optimizer is one pass over two vectors. The statistics of the batch-norm layers
    stand end to end in the same way: the last batch's in `batch_moments` (2, units), their average in `running`.
    """

    def __init__(self, layers: Sequence[Layer], *, ewma_decay: float = 0.9, dtype: npt.DTypeLike = np.float32) -> None:
        self.layers = tuple(layers)
        # What comes before the first parameter needs no gradient.
        self._learning = tuple(dropwhile(lambda layer: not layer.parameters, self.layers))
        parameters = [parameter for layer in self.layers for parameter in layer.parameters]
        parameters.sort(key=lambda parameter: not parameter.decays)
        self.values: Array = np.concatenate([parameter.value.ravel() for parameter in parameters], dtype=dtype)
        self.grads: Array = np.zeros_like(self.values)
        self.decayed = sum(parameter.value.size for parameter in parameters if parameter.decays)
        start = 0
        for parameter in parameters:
            end = start + parameter.value.size
            parameter.value, parameter.grad = (
                flat[start:end].reshape(parameter.value.shape) for flat in (self.values, self.grads)
            )
            start = end
        self.batch_norms = tuple(layer for layer in self.layers if isinstance(layer, BatchNorm))
        self.running = RunningMoments(sum(layer.units for layer in self.batch_norms), ewma_decay)
        self.batch_moments: Array = np.zeros(self.running.sums.shape, self.values.dtype)
        for layer, (mean, variance) in zip(self.batch_norms, self.by_layer(self.batch_moments), strict=True):
            layer.leave_statistics_in(mean, variance)

    def __getstate__(self) -> tuple[Any, ...]:
        return self.layers, self.running, self.values.dtype

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        # A copy has arrays of its own in its layers; they are laid end to end once more.
        layers, running, dtype = state
        Network.__init__(self, layers, dtype=dtype)
        self.running = running

    @property
    def classes(self) -> int:
        """How many logits a row gets."""
        last = self.layers[-1]
        assert isinstance(last, Linear)
        return int(last.weight.value.shape[1])

    def by_layer(self, moments: Array | Moments) -> list[Moments]:
        """Cut means and variances that stand end to end into those of each batch-norm layer."""
        ends = np.cumsum([layer.units for layer in self.batch_norms])
        mean, variance = moments
        return [
            Moments(mean[end - layer.units : end], variance[end - layer.units : end])
            for layer, end in zip(self.batch_norms, ends, strict=True)
        ]

    def forward(self, inputs: Array, weights: BatchWeights) -> Array:
        """Logits (n, classes) of a training batch, normalised with the batch's own statistics."""
        for layer in self.layers:
            inputs = layer.forward(inputs, weights)
        return inputs

    def backward(self, grad: Array) -> None:
        """Fill `grads` from the gradient of the loss by the logits."""
        for layer in reversed(self._learning):
            grad = layer.backward(grad)

    def track(self, weights: BatchWeights) -> None:
        """Let the running averages take in the last training batch."""
        if self.batch_norms:
            self.running.update(self.batch_moments, weights.bessel)

    def freeze(self, moments: Moments) -> None:
        """Fix the statistics of inference: means and variances of all batch-norm layers, end to end."""
        for layer, frozen in zip(self.batch_norms, self.by_layer(moments), strict=True):
            layer.frozen = frozen

    def predict(self, inputs: Inputs) -> Array:
        """Class probabilities (n, classes) with frozen statistics.

        :raises NoStatistics: nothing was frozen yet.
        """
        return softmax(self.logits(inputs))

    def logits(self, inputs: Inputs) -> Array:
        """Logits (n, classes) with frozen statistics.

        :raises NoStatistics: nothing was frozen yet.
        """
        logits = np.empty((len(inputs), self.classes), np.result_type(inputs.dtype, self.values))
        for start in range(0, len(inputs), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            logits[part] = self._infer(inputs[part])
        return logits

    def _infer(self, inputs: Array) -> Array:
        for layer in self.layers:
            inputs = layer.infer(inputs)
        return inputs

    def state(self) -> State:
        """A copy of all that training changes."""
        return State(self.values.copy(), self.running.sums.copy(), self.running.batches)

    def restore(self, state: State) -> None:
        """Go back to a state taken before."""
        self.values[:] = state.values
        self.running.sums[:] = state.running_sums
        self.running.batches = state.running_batches


def running_moments(network: Network) -> Moments:
    """The running averages of all batch-norm layers, end to end; empty for a network without any."""
    if not network.batch_norms:
        return Moments(np.empty(0), np.empty(0))
    return network.running.moments()


def population_moments(network: Network, inputs: Inputs, batch_size: int, weights: Array | None = None) -> Moments:
    """One pass over the training rows with fixed weights: the moments of each batch-norm layer's inputs, end to end.

    Every layer sees what it saw in training, batches normalised with their own statistics (Ioffe & Szegedy 2015,
    Algorithm 2, steps 7 to 11), but for dropout, which is off as it will be at test time (Li et al. 2019). Merged, the
    batches give the exact moments of all rows.
    """
    population = PopulationMoments(network.batch_moments.shape[1])
    if not network.batch_norms:
        return Moments(np.empty(0), np.empty(0))
    layers = [layer for layer in network.layers if not isinstance(layer, Dropout)]
    for batch in batches(len(inputs), batch_size):
        values = inputs[batch]
        counted = BatchWeights.equal(len(values), values.dtype) if weights is None else BatchWeights.of(weights[batch])
        for layer in layers:
            values = layer.forward(values, counted)
        population.merge(counted.total, *network.batch_moments)
    return population.moments()
