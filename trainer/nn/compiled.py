"""The training step once more, compiled by numba: the same arithmetic in a few passes over the cache.

It covers networks of linear, batch-norm and piecewise linear activation layers, behind what the layers in
`trainer.nn.compiled_front` make of the inputs; everything else is left to numpy, whose exponentials are faster than the
ones that numba would call. `NumpyStep` is the reference that this is held against. Only the three modules that are
called compiled know numba.
"""

from dataclasses import dataclass
from itertools import pairwise, takewhile
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.arrays import Array
from trainer.nn.activations import LeakyRelu, Relu
from trainer.nn.batch_norm import BatchNorm
from trainer.nn.batches import BatchWeights
from trainer.nn.compiled_front import Front
from trainer.nn.compiled_kernels import LINEAR, NORM, adam, differentiate, track
from trainer.nn.embeddings import Embedding, Periodic
from trainer.nn.layers import Dropout, Layer, Linear
from trainer.nn.loss import SoftmaxCrossEntropy
from trainer.nn.network import Network
from trainer.nn.optimizers import Adam, Optimizer
from trainer.nn.step import NumpyStep

LEAKS = {Relu: 0.0, LeakyRelu: LeakyRelu.alpha}


@dataclass(frozen=True, eq=False)
class Plan:
    """A network as numbers, behind its `front`.

    Each row of `steps` is one step: LINEAR or NORM, its inputs, its units, where its first parameters (W or gamma) and
    its second (b or beta, -1 for none) stand in the flat vector, and where its statistics stand in theirs. `leaks` says
    by what a negative output is multiplied: 1 for no activation, 0 for ReLU.
    """

    front: Front
    steps: npt.NDArray[np.int64]
    leaks: Array
    epsilon: np.floating[Any]

    @classmethod
    def of(cls, network: Network) -> "Plan | None":
        """The plan of a network, or None where it holds what is not covered.

        An activation is part of the step before it, which must have something to add to it: batch norm or a bias.
        """
        steps: list[tuple[int, ...]] = []
        leaks: list[float] = []
        moments = 0
        before: Layer | None = None
        first = tuple(takewhile(lambda layer: isinstance(layer, Embedding | Periodic | Dropout), network.layers))
        for layer, following in pairwise((*network.layers[len(first) :], None)):
            before, previous = layer, before
            match layer:
                case Linear(weight=weight, bias=bias):
                    inputs, units = weight.value.shape
                    second = -1 if bias is None else _offset(network, bias.value)
                    steps.append((LINEAR, inputs, units, _offset(network, weight.value), second, 0))
                case BatchNorm(units=units, gamma=gamma, beta=beta) if previous:
                    places = (_offset(network, gamma.value), _offset(network, beta.value), moments)
                    steps.append((NORM, units, units, *places))
                    moments += units
                case Relu() | LeakyRelu() if _takes_an_activation(previous):
                    continue
                case _:
                    return None
            leaks.append(LEAKS.get(type(following), 1.0))  # type: ignore[arg-type]
        dtype = network.values.dtype
        epsilons = {layer.epsilon for layer in network.batch_norms} or {0.0}
        front = Front.of(first, made=steps[0][1])
        if front is None or len(epsilons) > 1:
            return None
        return cls(front, np.array(steps, np.int64), np.array(leaks, dtype), dtype.type(*epsilons))

    @property
    def widths(self) -> tuple[int, int, int]:
        """How many values a row needs: what all steps put out, and twice the widest gradient."""
        widest = int(max(self.steps[:, 2].max(), self.steps[0, 1] - self.front.passed))
        return int(self.steps[:, 2].sum()), widest, widest


def _takes_an_activation(layer: Layer | None) -> bool:
    return isinstance(layer, BatchNorm) or (isinstance(layer, Linear) and layer.bias is not None)


def _offset(network: Network, view: Array) -> int:
    start = view.__array_interface__["data"][0] - network.values.__array_interface__["data"][0]
    return int(start // network.values.itemsize)


class CompiledStep(NumpyStep):
    """`NumpyStep` with the gradient, the running averages and Adam compiled."""

    compiled = True

    def __init__(
        self,
        network: Network,
        loss: SoftmaxCrossEntropy,
        optimizer: Optimizer,
        clip_norm: float | None,
        plan: Plan,
    ) -> None:
        super().__init__(network, loss, optimizer, clip_norm)
        self.plan = plan
        self._rows = 0
        self._buffers: tuple[Array, ...] = ()

    def differentiate(self, inputs: Array, targets: Array, weights: BatchWeights) -> float:
        network, plan = self.network, self.plan
        if len(inputs) != self._rows:
            self._rows = len(inputs)
            self._buffers = tuple(np.empty(self._rows * width, network.values.dtype) for width in plan.widths)
        layout = (plan.steps, plan.leaks, plan.epsilon, plan.front.passed)
        vectors = (network.values, network.grads, network.batch_moments)
        batch = (plan.front.forward(inputs), targets, weights.shares)
        arguments = (*layout, *vectors, *self._buffers, *batch)
        loss, grad = differentiate(*arguments)
        plan.front.backward(grad)
        return float(loss)

    def track(self, weights: BatchWeights) -> None:
        running = self.network.running
        track(running.sums, self.network.batch_moments, running.decay, weights.bessel)
        running.batches += 1

    def update(self, learning_rate: float) -> None:
        optimizer = self.optimizer
        if not isinstance(optimizer, Adam):
            super().update(learning_rate)
            return
        optimizer.begin(learning_rate)
        scalars = (optimizer.beta1, optimizer.beta2, *optimizer.scalars(learning_rate))
        adam(optimizer.values, optimizer.grads, *optimizer.memory, *map(optimizer.values.dtype.type, scalars))
