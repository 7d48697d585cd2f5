"""One step of training."""

import math
from typing import Protocol

from trainer.arrays import Array
from trainer.nn.batches import BatchWeights
from trainer.nn.loss import SoftmaxCrossEntropy
from trainer.nn.network import Network
from trainer.nn.optimizers import Optimizer


class Step(Protocol):
    """One step on inputs (n, width) and targets (n, classes); returns the loss before it, in nats."""

    optimizer: Optimizer
    compiled: bool

    def __call__(self, inputs: Array, targets: Array, weights: BatchWeights, learning_rate: float) -> float: ...


class NumpyStep:
    """Forward, loss, backward, running statistics, clipping, update: all of one mini-batch, in numpy.

    `clip_norm` is the largest length that the gradient of all parameters together may have (Pascanu et al. 2013).
    """

    compiled = False

    def __init__(
        self, network: Network, loss: SoftmaxCrossEntropy, optimizer: Optimizer, clip_norm: float | None = None
    ) -> None:
        self.network, self.loss, self.optimizer = network, loss, optimizer
        self.clip_norm = clip_norm

    def __call__(self, inputs: Array, targets: Array, weights: BatchWeights, learning_rate: float) -> float:
        loss = self.differentiate(inputs, targets, weights)
        self.track(weights)
        if self.clip_norm is not None:
            _clip(self.network.grads, self.clip_norm)
        self.update(learning_rate)
        return loss

    def differentiate(self, inputs: Array, targets: Array, weights: BatchWeights) -> float:
        """Return the loss of a batch; its gradient is in the network's `grads`, its statistics in `batch_moments`."""
        loss = self.loss.forward(self.network.forward(inputs, weights), targets, weights)
        self.network.backward(self.loss.backward())
        return loss

    def track(self, weights: BatchWeights) -> None:
        """Let the running averages take in the batch."""
        self.network.track(weights)

    def update(self, learning_rate: float) -> None:
        """Step against the gradient."""
        self.optimizer.step(learning_rate)


def _clip(grads: Array, longest: float) -> None:
    length = math.sqrt(float(grads @ grads))
    if length > longest:
        grads *= longest / length
