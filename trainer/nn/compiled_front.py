"""What comes before the first linear layer, compiled by numba: the waves of numbers, and dropout of the inputs.

The same arithmetic as `Periodic` and `Dropout`, without moving anything about between the products of the columns. Sine
and cosine come out of one pass, as two polynomials behind a reduction to a quarter of a turn (Cody & Waite 1980), which
a loop works out many at a time; each is within 1.2e-7 of the truth up to some ten thousand turns.
"""

import numpy as np
from numba import njit

from trainer.arrays import Array
from trainer.nn.batches import BatchWeights
from trainer.nn.embeddings import Embedding, Periodic
from trainer.nn.layers import Buffer, Dropout, Layer, Parameter

compiled = njit(cache=True, error_model="numpy", fastmath={"contract", "nsz"}, nogil=True)

QUARTERS = np.float32(2 / np.pi)
# A quarter of a turn in three parts, so that a multiple of it is taken away without loss.
FIRST, SECOND, THIRD = np.float32(1.5703125), np.float32(4.837512969970703e-4), np.float32(7.549789948768648e-8)
# The minimax polynomials of sine and cosine up to an eighth of a turn (Moshier's Cephes).
S3, S5, S7 = np.float32(-1.6666654611e-1), np.float32(8.3321608736e-3), np.float32(-1.9515295891e-4)
C4, C6, C8 = np.float32(4.166664568298827e-2), np.float32(-1.388731625493765e-3), np.float32(2.443315711809948e-5)
ONE, HALF = np.float32(1), np.float32(0.5)


class Waves:
    """`Periodic`, compiled. The columns that it reads are data, so nobody asks for the gradient by them."""

    def __init__(self, layer: Periodic) -> None:
        self.layer = layer
        self._out, self._cosine, self._sine = Buffer(), Buffer(), Buffer()
        columns, frequencies, outputs = layer.mixing.value.shape
        self._mixing = np.empty((2, columns, outputs, frequencies), layer.mixing.value.dtype)
        self._inputs: Array

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.layer.parameters

    def infer(self, inputs: Array) -> Array:
        return self.layer.infer(inputs)

    def forward(self, inputs: Array, weights: BatchWeights) -> Array:
        layer, rows = self.layer, len(inputs)
        out = self._out.of(rows, layer.wider(inputs.shape[1]), inputs.dtype)
        cosine, sine = self._kept(rows)
        self._inputs = inputs
        self._mixing[0] = layer.mixing.value.transpose(0, 2, 1)
        waves = (layer.frequency.value, layer.phase.value, self._mixing[0])
        _make_waves(inputs, layer.columns, waves, cosine, sine, out)
        return out

    def backward(self, grad: Array) -> Array:
        layer = self.layer
        cosine, sine = self._kept(len(grad))
        grads = (layer.frequency.grad, layer.phase.grad, self._mixing[1])
        _unmake_waves(grad, self._inputs, layer.columns, self._mixing[0], cosine, sine, grads)
        layer.mixing.grad[:] = self._mixing[1].transpose(0, 2, 1)
        return grad[:, : self._inputs.shape[1]]

    def _kept(self, rows: int) -> tuple[Array, Array]:
        """Room for the cosines and the sines of a batch."""
        frequency = self.layer.frequency.value
        cosine, sine = (buffer.of(rows, frequency.size, frequency.dtype) for buffer in (self._cosine, self._sine))
        return cosine, sine


class Drop:
    """`Dropout`, compiled: the same draws, in one pass, in the memory that it is handed."""

    parameters: tuple[Parameter, ...] = ()

    def __init__(self, layer: Dropout) -> None:
        self.layer = layer
        self._mask = Buffer()

    def infer(self, inputs: Array) -> Array:
        return inputs

    def forward(self, inputs: Array, weights: BatchWeights) -> Array:
        layer, mask = self.layer, self._mask.like(inputs)
        _drop(inputs, layer.draws(inputs.shape), layer.threshold, inputs.dtype.type(1 / (1 - layer.rate)), mask)
        return inputs

    def backward(self, grad: Array) -> Array:
        return np.multiply(grad, self._mask.like(grad), out=grad)


def compiled_front(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """The layers before the first linear one, compiled where that is worth it: single precision alone."""
    return tuple(_compiled(layer, owned=index > 0) for index, layer in enumerate(layers))


def _compiled(layer: Layer, *, owned: bool) -> Layer:
    """`owned` says that the layer before has made what this one is handed; the batch itself is not to be written to."""
    if isinstance(layer, Periodic) and layer.mixing.value.dtype == np.float32:
        return Waves(layer)
    if isinstance(layer, Dropout) and owned:
        return Drop(layer)
    assert isinstance(layer, Embedding | Periodic | Dropout)
    return layer


@compiled
def _make_waves(inputs, columns, waves, cosine, sine, out):
    frequency, phase, mixing = waves
    out[:, : inputs.shape[1]] = inputs
    count, frequencies = frequency.shape
    for row in range(len(inputs)):
        for column in range(count):
            x = inputs[row, columns[column]]
            for wave in range(frequencies):
                cosine[row, column * frequencies + wave] = x * frequency[column, wave] + phase[column, wave]
    _turn(cosine.ravel(), sine.ravel())
    _mix(cosine, mixing, out[:, inputs.shape[1] :])


@compiled
def _turn(angles, sine):
    """Put the sines of angles into `sine`, and their cosines in their place."""
    for place in range(len(angles)):
        angle = angles[place]
        quarters = np.rint(angle * QUARTERS)
        r = ((angle - quarters * FIRST) - quarters * SECOND) - quarters * THIRD
        square = r * r
        s = r + r * square * (S3 + square * (S5 + square * S7))
        c = ONE - HALF * square + square * square * (C4 + square * (C6 + square * C8))
        quarter = np.int32(quarters)
        odd = (quarter & 1) != 0
        sine_of, cosine_of = (c if odd else s), (s if odd else c)
        sine[place] = -sine_of if (quarter & 2) != 0 else sine_of
        angles[place] = -cosine_of if ((quarter + 1) & 2) != 0 else cosine_of


# A sum whose order is free is worked out several terms at a time.
@njit(cache=True, error_model="numpy", fastmath={"contract", "nsz", "reassoc"}, nogil=True)
def _mix(cosine, mixing, out):
    count, outputs, frequencies = mixing.shape
    for column in range(count):
        first = column * frequencies
        for row in range(len(cosine)):
            for output in range(outputs):
                total = np.float32(0)
                for wave in range(frequencies):
                    total += cosine[row, first + wave] * mixing[column, output, wave]
                out[row, column * outputs + output] = total


@compiled
def _unmake_waves(grad, inputs, columns, mixing, cosine, sine, grads):
    dfrequency, dphase, dmixing = grads
    rows, width = inputs.shape
    count, outputs, frequencies = mixing.shape
    dfrequency[:] = 0
    dphase[:] = 0
    dmixing[:] = 0
    by_angle = np.empty(frequencies, grad.dtype)
    for column in range(count):
        first, place = column * frequencies, width + column * outputs
        for row in range(rows):
            by_angle[:] = 0
            for output in range(outputs):
                dy = grad[row, place + output]
                for wave in range(frequencies):
                    by_angle[wave] += dy * mixing[column, output, wave]
                    dmixing[column, output, wave] += dy * cosine[row, first + wave]
            x = inputs[row, columns[column]]
            for wave in range(frequencies):
                slope = by_angle[wave] * sine[row, first + wave]
                dphase[column, wave] -= slope
                dfrequency[column, wave] -= x * slope


@compiled
def _drop(values, draws, threshold, scale, mask):
    for row in range(values.shape[0]):
        for place in range(values.shape[1]):
            kept = scale if draws[row, place] >= threshold else values.dtype.type(0)
            mask[row, place] = kept
            values[row, place] *= kept
