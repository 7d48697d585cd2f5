"""Layers: each maps a batch forward and a gradient back. Shapes are (n, units); n is the size of the batch."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from trainer.arrays import Array


class Parameter:
    """A learned array and the gradient of the loss by it.

    A network moves both into its flat vectors, which also set their precision; from then on both are updated in place
    and never replaced.
    """

    def __init__(self, value: Array) -> None:
        self.value = value
        self.grad = np.zeros_like(value)


class Layer(Protocol):
    """One step of the network. `backward` follows a `forward` with `training=True` and fills the gradients."""

    @property
    def parameters(self) -> tuple[Parameter, ...]: ...

    def forward(self, inputs: Array, *, training: bool) -> Array: ...

    def backward(self, grad: Array) -> Array: ...


class Linear:
    """z = a W, or a W + b. A batch-norm layer that follows takes the mean away, so b would do nothing there.

    W is drawn from N(0, 2 / inputs) (He et al. 2015), or is zero without a generator.
    """

    def __init__(self, inputs: int, outputs: int, rng: np.random.Generator | None, bias: Array | None = None) -> None:
        shape = (inputs, outputs)
        self.weight = Parameter(rng.normal(0.0, np.sqrt(2.0 / inputs), shape) if rng else np.zeros(shape))
        self.bias = None if bias is None else Parameter(bias)
        self._inputs: Array

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (self.weight,) if self.bias is None else (self.weight, self.bias)

    def forward(self, inputs: Array, *, training: bool) -> Array:
        if training:
            self._inputs = inputs
        z = inputs @ self.weight.value
        if self.bias is not None:
            z += self.bias.value
        return z

    def backward(self, grad: Array) -> Array:
        """dW = aᵀ dz, db = Σ dz, da = dz Wᵀ."""
        np.matmul(self._inputs.T, grad, out=self.weight.grad)
        if self.bias is not None:
            np.sum(grad, axis=0, out=self.bias.grad)
        return grad @ self.weight.value.T


class Relu:
    """max(z, 0)."""

    parameters: tuple[Parameter, ...] = ()

    def __init__(self) -> None:
        self._positive: npt.NDArray[np.bool_]

    def forward(self, inputs: Array, *, training: bool) -> Array:
        if training:
            self._positive = inputs > 0
        return np.maximum(inputs, 0)

    def backward(self, grad: Array) -> Array:
        return grad * self._positive
