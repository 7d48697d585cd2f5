"""Embeddings: what a network makes of categories and of numbers before its first linear layer."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from trainer.arrays import Array
from trainer.nn.batches import BatchWeights
from trainer.nn.layers import Buffer, Parameter


class Embedding:
    """Puts a learned vector in the place of each code; the codes are the last `columns` columns of the inputs.

    A code is a row of the table (codes, size). At first the vectors' length is about 1, as that of the one-hots they
    stand for (Guo & Berkhahn 2016).
    """

    def __init__(self, columns: int, codes: int, size: int, rng: np.random.Generator) -> None:
        self.columns = columns
        self.table = Parameter(rng.normal(0.0, size**-0.5, (codes, size)), decays=True)
        self._codes: npt.NDArray[np.int64]
        self._out = Buffer()

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (self.table,)

    def wider(self, inputs: int) -> int:
        """How many columns come out for `inputs` columns."""
        return inputs + self.columns * (int(self.table.value.shape[1]) - 1)

    def infer(self, inputs: Array) -> Array:
        return self._embed(inputs, np.empty((len(inputs), self.wider(inputs.shape[1])), inputs.dtype))

    def forward(self, inputs: Array, weights: BatchWeights) -> Array:
        return self._embed(inputs, self._out.of(len(inputs), self.wider(inputs.shape[1]), inputs.dtype))

    def _embed(self, inputs: Array, out: Array) -> Array:
        others = inputs.shape[1] - self.columns
        self._codes = inputs[:, others:].astype(np.int64)
        out[:, :others] = inputs[:, :others]
        out[:, others:] = self.table.value[self._codes].reshape(len(inputs), -1)
        return out

    def backward(self, grad: Array) -> Array:
        """Each vector's gradient is the sum over the cells that have its code. Codes have none: theirs is 0."""
        codes, size = self.table.value.shape
        others = grad.shape[1] - self.columns * size
        # Counting with weights is how numpy adds up by place the fastest.
        places = self._codes[:, :, np.newaxis] * size + np.arange(size)
        summed = np.bincount(places.ravel(), grad[:, others:].ravel(), minlength=codes * size)
        self.table.grad[:] = summed.reshape(codes, size)
        by_inputs = np.zeros((len(grad), others + self.columns), grad.dtype)
        by_inputs[:, :others] = grad[:, :others]
        return by_inputs


class Periodic:
    """Adds, for some columns, E cos(2π f x + φ) to the inputs (Gorishniy et al. 2022; Holzmüller et al. 2024, PBLD).

    Each column has frequencies f and phases φ (columns, frequencies), f first drawn from N(0, `deviation`²), and a
    matrix E (columns, frequencies, outputs), all of them learned.
    """

    def __init__(
        self,
        columns: Sequence[int],
        rng: np.random.Generator,
        *,
        deviation: float,
        frequencies: int = 16,
        outputs: int = 4,
    ) -> None:
        self.columns = np.array(columns, np.int64)
        shape = (len(columns), frequencies)
        self.frequency = Parameter(2 * np.pi * rng.normal(0.0, deviation, shape))
        self.phase = Parameter(rng.uniform(-np.pi, np.pi, shape))
        self.mixing = Parameter(rng.normal(0.0, frequencies**-0.5, (*shape, outputs)), decays=True)
        self._x: Array
        self._angle: Array
        self._cosine: Array
        self._out = Buffer()

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (self.frequency, self.phase, self.mixing)

    def wider(self, inputs: int) -> int:
        """How many columns come out for `inputs` columns."""
        return inputs + len(self.columns) * int(self.mixing.value.shape[2])

    def infer(self, inputs: Array) -> Array:
        angle = self._angles(inputs)
        out = np.empty((len(inputs), self.wider(inputs.shape[1])), inputs.dtype)
        return self._mix(inputs, np.cos(angle, out=angle), out)

    def forward(self, inputs: Array, weights: BatchWeights) -> Array:
        self._x = inputs[:, self.columns]
        self._angle = self._angles(inputs)
        self._cosine = np.cos(self._angle)
        return self._mix(inputs, self._cosine, self._out.of(len(inputs), self.wider(inputs.shape[1]), inputs.dtype))

    def _angles(self, inputs: Array) -> Array:
        """Of all waves of all columns, (n, columns · frequencies)."""
        angles = np.repeat(inputs[:, self.columns], self.frequency.value.shape[1], axis=1)
        angles *= self.frequency.value.ravel()
        angles += self.phase.value.ravel()
        return angles

    def _mix(self, inputs: Array, cosine: Array, out: Array) -> Array:
        """Write the inputs, and behind them what each column's cosines are mixed to: a product a column."""
        width = inputs.shape[1]
        out[:, :width] = inputs
        out[:, width:] = np.matmul(self._by_column(cosine), self.mixing.value).transpose(1, 0, 2).reshape(len(out), -1)
        return out

    def _by_column(self, values: Array) -> Array:
        """Values (n, columns · k) as (columns, n, k)."""
        return values.reshape(len(values), len(self.columns), -1).transpose(1, 0, 2)

    def backward(self, grad: Array) -> Array:
        """dE = cosᵀ dy, dφ = -Σ sin · (dy Eᵀ), df = -Σ x sin · (dy Eᵀ), dx = -Σ f sin · (dy Eᵀ)."""
        mixing = self.mixing.value
        width = grad.shape[1] - len(self.columns) * mixing.shape[2]
        by_mixed = self._by_column(grad[:, width:])
        np.matmul(self._by_column(self._cosine).transpose(0, 2, 1), by_mixed, out=self.mixing.grad)
        by_angle = np.matmul(by_mixed, mixing.transpose(0, 2, 1))
        by_angle *= self._by_column(np.sin(self._angle))
        np.negative(by_angle.sum(axis=1), out=self.phase.grad)
        np.negative((by_angle * self._by_column(self._x)).sum(axis=1), out=self.frequency.grad)
        by_inputs = grad[:, :width]
        by_inputs[:, self.columns] -= (by_angle * self.frequency.value[:, np.newaxis]).sum(axis=2).T
        return by_inputs
