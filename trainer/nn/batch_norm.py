"""Batch normalisation (Ioffe & Szegedy 2015)."""

import numpy as np

from trainer.arrays import Array
from trainer.errors import NoStatistics
from trainer.nn.batches import BatchWeights
from trainer.nn.layers import Buffer, Parameter
from trainer.nn.statistics import Moments


class BatchNorm:
    """y = gamma (z - mean) / sqrt(variance + epsilon) + beta, unit by unit.

    While training, mean and population variance are the batch's own (Algorithm 1), each row counting by its weight. At
    inference they are `frozen` (Algorithm 2), so an answer never depends on who else is in the batch. gamma and beta
    are learned; the batch's statistics are left in `batch_mean` and `batch_variance` for whoever tracks them.

    z is centred `in_place` unless the layer before still needs it, as an activation does.
    """

    def __init__(self, units: int, epsilon: float = 1e-5, *, in_place: bool = True) -> None:
        self.gamma = Parameter(np.ones(units))
        self.beta = Parameter(np.zeros(units))
        self.epsilon = epsilon
        self.in_place = in_place
        self.frozen: Moments | None = None
        self._weights: BatchWeights
        self._centred: Array
        self._difference, self._out = Buffer(), Buffer()
        self.leave_statistics_in(np.zeros(units), np.ones(units))

    @property
    def units(self) -> int:
        return len(self.gamma.value)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (self.gamma, self.beta)

    def leave_statistics_in(self, mean: Array, variance: Array) -> None:
        """Set where the statistics of each batch go; the two arrays (units,) also set the precision."""
        self.batch_mean, self.batch_variance = mean, variance
        self._inverse_deviation, self._scale, self._slope = (np.empty_like(mean) for _ in range(3))

    def infer(self, inputs: Array) -> Array:
        """Normalise z of shape (n, units) with the frozen statistics.

        :raises NoStatistics: nothing was frozen yet.
        """
        mean, variance = self.moments
        scale = self.gamma.value / np.sqrt(variance + self.epsilon)
        return (inputs - mean.astype(inputs.dtype)) * scale.astype(inputs.dtype) + self.beta.value

    @property
    def moments(self) -> Moments:
        """The frozen statistics.

        :raises NoStatistics: nothing was frozen yet.
        """
        if self.frozen is None:
            raise NoStatistics("a batch-norm layer that has seen no batch has no statistics; train the network first")
        return self.frozen

    def forward(self, inputs: Array, weights: BatchWeights) -> Array:
        """Normalise z of shape (n, units) with the batch's own statistics."""
        self._weights = weights
        np.dot(weights.shares, inputs, out=self.batch_mean)
        centred = inputs if self.in_place else self._difference.like(inputs)
        self._centred = np.subtract(inputs, self.batch_mean, out=centred)
        out = self._out.like(inputs)
        np.multiply(centred, centred, out=out)
        np.dot(weights.shares, out, out=self.batch_variance)
        inverse_deviation = np.add(self.batch_variance, self.epsilon, out=self._inverse_deviation)
        np.sqrt(inverse_deviation, out=inverse_deviation)
        np.divide(1.0, inverse_deviation, out=inverse_deviation)
        np.multiply(self.gamma.value, inverse_deviation, out=self._scale)
        np.multiply(centred, self._scale, out=out)
        out += self.beta.value
        return out

    def backward(self, grad: Array) -> Array:
        """dgamma = Σ dy ẑ, dbeta = Σ dy, dz = gamma / deviation (dy - share (dbeta + ẑ dgamma)).

        ẑ is the normalised z. The two terms that are taken away are the paths of the gradient through the batch's mean
        and variance, on which each row has its share: 1 / n, or what its weight says.
        """
        weights, centred = self._weights, self._centred
        work = np.multiply(grad, centred, out=self._out.like(grad))
        np.dot(weights.ones, work, out=self.gamma.grad)
        self.gamma.grad *= self._inverse_deviation
        np.dot(weights.ones, grad, out=self.beta.grad)
        # ẑ dgamma = centred · (dgamma / deviation). Equal shares go into the vectors, which are shorter.
        slope = np.multiply(self.gamma.grad, self._inverse_deviation, out=self._slope)
        if weights.equal_share is not None:
            slope *= weights.equal_share
            grad -= np.multiply(centred, slope, out=work)
            grad -= np.multiply(self.beta.grad, weights.equal_share, out=slope)
        else:
            np.multiply(centred, slope, out=work)
            work += self.beta.grad
            work *= weights.shares[:, np.newaxis]
            grad -= work
        grad *= self._scale
        return grad
