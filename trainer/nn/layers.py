"""Layers: each maps a batch forward and a gradient back. Shapes are (n, units); n is the size of the batch.

While training, what a layer returns lives in a buffer of its own until its next step, and a layer may work in the
memory it is handed, as long as the layer before does not need it again. A step costs no new memory, and what it touches
stays small enough for the processor's cache.
"""

import math
from typing import Protocol

import numpy as np
import numpy.typing as npt

from trainer.arrays import Array
from trainer.nn.batches import BatchWeights


class Buffer:
    """An array that is made once for a batch's size and handed out for every batch of that size.

    Its contents are stale. The width and the type of what a buffer holds never change, only the number of rows.
    """

    def __init__(self) -> None:
        self._array: Array = np.empty((0, 0))

    def like(self, array: Array) -> Array:
        if len(self._array) != len(array):
            self._array = np.empty_like(array)
        return self._array

    def of(self, rows: int, columns: int, dtype: np.dtype[np.floating]) -> Array:
        if len(self._array) != rows:
            self._array = np.empty((rows, columns), dtype)
        return self._array


class Parameter:
    """A learned array and the gradient of the loss by it.

    A network moves both into its flat vectors, which also set their precision; from then on both are updated in place
    and never replaced. Weight decay pulls only where `decays` says so.
    """

    def __init__(self, value: Array, *, decays: bool = False) -> None:
        self.value = value
        self.grad = np.zeros_like(value)
        self.decays = decays


class Layer(Protocol):
    """One step of the network: `forward` and `backward` while training, `infer` at test time.

    `backward` follows a `forward`, fills the gradients of the parameters and returns the gradient by the inputs.
    """

    @property
    def parameters(self) -> tuple[Parameter, ...]: ...

    def forward(self, inputs: Array, weights: BatchWeights) -> Array: ...

    def backward(self, grad: Array) -> Array: ...

    def infer(self, inputs: Array) -> Array: ...


class Linear:
    """z = a W, or a W + b. A batch-norm layer that follows takes the mean away, so b would do nothing there.

    W (inputs, outputs) is drawn from N(0, gain / inputs) (He et al. 2015), or is zero without a generator. A network's
    first layer does not `feed_back`: nobody asks for the gradient by the data, and it is not computed.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        rng: np.random.Generator | None,
        *,
        gain: float = 2.0,
        bias: Array | None = None,
        feeds_back: bool = True,
    ) -> None:
        shape = (inputs, outputs)
        weight = rng.normal(0.0, np.sqrt(gain / inputs), shape) if rng else np.zeros(shape)
        self.weight = Parameter(weight, decays=True)
        self.bias = None if bias is None else Parameter(bias)
        self.feeds_back = feeds_back
        self._inputs: Array
        self._z, self._input_grad = Buffer(), Buffer()

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (self.weight,) if self.bias is None else (self.weight, self.bias)

    def infer(self, inputs: Array) -> Array:
        z: Array = inputs @ self.weight.value
        if self.bias is not None:
            z += self.bias.value
        return z

    def forward(self, inputs: Array, weights: BatchWeights) -> Array:
        self._inputs = inputs
        weight = self.weight.value
        # np.dot writes into a buffer with less ado than np.matmul.
        z = np.dot(inputs, weight, out=self._z.of(len(inputs), weight.shape[1], weight.dtype))
        if self.bias is not None:
            z += self.bias.value
        self._weights = weights
        return z

    def backward(self, grad: Array) -> Array:
        """dW = aᵀ dz, db = Σ dz, da = dz Wᵀ."""
        np.dot(self._inputs.T, grad, out=self.weight.grad)
        if self.bias is not None:
            np.dot(self._weights.ones, grad, out=self.bias.grad)
        if not self.feeds_back:
            return grad
        return np.dot(grad, self.weight.value.T, out=self._input_grad.like(self._inputs))


class Dropout:
    """While training each value is dropped with probability `rate`, and the rest grow by 1 / (1 - rate).

    At test time it does nothing (Srivastava et al. 2014, in the inverted form).
    """

    parameters: tuple[Parameter, ...] = ()

    def __init__(self, rate: float, rng: np.random.Generator) -> None:
        self.rate = rate
        self.rng = rng
        # A draw of 16 bits is enough, and four come out of a word of the generator.
        self.threshold = np.uint16(min(round(rate * 65536), 65535))
        self._out, self._draws = Buffer(), Buffer()

    def infer(self, inputs: Array) -> Array:
        return inputs

    def draws(self, shape: tuple[int, ...]) -> npt.NDArray[np.uint16]:
        """A random number for each value of the next batch: one below the threshold drops it."""
        count = math.prod(shape)
        words = self.rng.bit_generator.random_raw(-(-count // 4))
        return np.asarray(words, np.uint64).view(np.uint16)[:count].reshape(shape)

    def draw(self, inputs: Array) -> Array:
        """Draw what each value of the next batch is multiplied with: 0, or 1 / (1 - rate)."""
        mask = self._draws.like(inputs)
        np.greater_equal(self.draws(inputs.shape), self.threshold, out=mask)
        mask *= 1.0 / (1.0 - self.rate)
        self._mask = mask
        return mask

    def forward(self, inputs: Array, weights: BatchWeights) -> Array:
        return np.multiply(inputs, self.draw(inputs), out=self._out.like(inputs))

    def backward(self, grad: Array) -> Array:
        return np.multiply(grad, self._mask, out=grad)
