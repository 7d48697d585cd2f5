"""The two ways to estimate the mean and variance that batch norm freezes: while training, and by a pass afterwards."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trainer.arrays import Array
from trainer.errors import NoStatistics

Vector = npt.NDArray[np.float64]


class Moments(NamedTuple):
    """Mean and variance of each unit, both of shape (units,)."""

    mean: Vector
    variance: Vector


class RunningMoments:
    """Exponentially weighted averages of the batches' mean and unbiased variance, corrected for their start at zero.

    After t batches an average that starts at 0 carries the weight 1 - decay**t; dividing by it makes the first batch
    count fully (Kingma & Ba 2015, section 3, the same correction as Adam's). `decay` is the weight of the OLD value.
    """

    def __init__(self, units: int, decay: float) -> None:
        self.decay = decay
        self.batches = 0
        # Σ decay**(t - i) · batch i, without the factor 1 - decay that every term shares: one product a batch less.
        self.sums = np.zeros((2, units))
        self._batch = np.empty((2, units))

    def update(self, moments: Array, bessel: float) -> None:
        """Take in one batch: its means and population variances, (2, units), and what makes the latter unbiased."""
        self._batch[:] = moments
        self._batch[1] *= bessel
        self.sums *= self.decay
        self.sums += self._batch
        self.batches += 1

    def moments(self) -> Moments:
        """The corrected averages.

        :raises NoStatistics: no batch was seen.
        """
        if not self.batches:
            raise NoStatistics("a batch-norm layer that has seen no batch has no statistics; train the network first")
        mean, variance = self.sums * ((1.0 - self.decay) / (1.0 - self.decay**self.batches))
        return Moments(mean, variance)


class PopulationMoments:
    """Exact mean and unbiased variance of all rows, merged batch by batch (Chan, Golub & LeVeque 1979)."""

    def __init__(self, units: int) -> None:
        self._rows = 0.0
        self._mean = np.zeros(units)
        self._squares = np.zeros(units)

    def merge(self, rows: float, mean: Array, variance: Array) -> None:
        """Take in one batch: how many rows it stands for, its mean, and its population variance."""
        total = self._rows + rows
        shift = mean - self._mean
        self._squares += variance.astype(np.float64) * rows + shift**2 * (self._rows * rows / total)
        self._mean += shift * (rows / total)
        self._rows = total

    def moments(self) -> Moments:
        """The merged moments.

        :raises NoStatistics: fewer than two rows were seen.
        """
        if self._rows < 2:
            raise NoStatistics("the variance of fewer than two rows is unknown")
        return Moments(self._mean.copy(), self._squares / (self._rows - 1))
