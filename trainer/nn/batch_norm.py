"""Batch normalisation (Ioffe & Szegedy 2015)."""

import numpy as np

from trainer.arrays import Array
from trainer.nn.layers import Parameter
from trainer.nn.statistics import Moments, RunningMoments


class BatchNorm:
    """y = gamma (z - mean) / sqrt(variance + epsilon) + beta, unit by unit.

    While training, mean and population variance are the batch's own (Algorithm 1). At inference they are frozen
    (Algorithm 2), so an answer never depends on who else is in the batch. gamma and beta are learned; what is tracked
    for inference lives in `running`, apart from them.

    `ewma_decay` weighs the OLD value of the running averages, as ONNX's `momentum` does and PyTorch's does not.
    """

    def __init__(self, units: int, epsilon: float = 1e-5, ewma_decay: float = 0.9) -> None:
        self.gamma = Parameter(np.ones(units))
        self.beta = Parameter(np.zeros(units))
        self.epsilon = epsilon
        self.running = RunningMoments(units, ewma_decay)
        self.frozen: Moments | None = None
        self.batch_rows = 0
        self.batch_mean: Array
        self.batch_variance: Array
        self._inverse_deviation: Array
        self._normalised: Array

    @property
    def units(self) -> int:
        return len(self.gamma.value)

    @property
    def moments(self) -> Moments:
        """What inference normalises with: the frozen statistics, or the running ones of a network still in training.

        :raises NoStatistics: the layer has seen no batch.
        """
        return self.running.moments() if self.frozen is None else self.frozen

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (self.gamma, self.beta)

    def forward(self, inputs: Array, *, training: bool) -> Array:
        """Normalise z of shape (n, units).

        With `training` the batch's statistics are used, and kept for `backward` and `track`; without, `moments` are.
        """
        if not training:
            mean, variance = self.moments
            scale = self.gamma.value / np.sqrt(variance + self.epsilon)
            return (inputs - mean.astype(inputs.dtype)) * scale.astype(inputs.dtype) + self.beta.value
        self.batch_rows = len(inputs)
        self.batch_mean = inputs.mean(axis=0)
        centred = inputs - self.batch_mean
        self.batch_variance = np.einsum("nu,nu->u", centred, centred) / self.batch_rows
        self._inverse_deviation = 1.0 / np.sqrt(self.batch_variance + self.epsilon)
        self._normalised = np.multiply(centred, self._inverse_deviation, out=centred)
        return self._normalised * self.gamma.value + self.beta.value

    def backward(self, grad: Array) -> Array:
        """dgamma = Σ dy ẑ, dbeta = Σ dy, dz = gamma / deviation (dy - mean(dy) - ẑ mean(dy ẑ)).

        ẑ is the normalised z. The two means are the paths of the gradient through the batch's mean and variance.
        """
        np.einsum("nu,nu->u", grad, self._normalised, out=self.gamma.grad)
        np.sum(grad, axis=0, out=self.beta.grad)
        rows = self.batch_rows
        through_statistics = self.beta.grad / rows + self._normalised * (self.gamma.grad / rows)
        dz: Array = (grad - through_statistics) * (self.gamma.value * self._inverse_deviation)
        return dz

    def track(self) -> None:
        """Let the running averages take in the last training batch, with its unbiased variance."""
        bessel = self.batch_rows / (self.batch_rows - 1)
        self.running.update(self.batch_mean.astype(np.float64), self.batch_variance.astype(np.float64) * bessel)
