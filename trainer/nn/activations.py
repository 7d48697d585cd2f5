"""Activations: functions of one value, each with its slope."""

import numpy as np

from trainer.arrays import Array
from trainer.nn.batches import BatchWeights
from trainer.nn.layers import Buffer, Parameter


class Activation:
    """An element-wise function.

    `gain` is the variance, times the inputs, that first weights before it should have. One that is `in_place` tells its
    slope from its value alone and needs no buffer.
    """

    parameters: tuple[Parameter, ...] = ()
    gain = 2.0
    in_place = False

    def __init__(self) -> None:
        self._z: Array
        self._a: Array
        self._out = Buffer()

    def infer(self, inputs: Array) -> Array:
        out = np.empty_like(inputs)
        self.apply(inputs, out)
        return out

    def forward(self, inputs: Array, weights: BatchWeights) -> Array:
        self._z = inputs
        self._a = inputs if self.in_place else self._out.like(inputs)
        self.apply(self._z, self._a)
        return self._a

    def backward(self, grad: Array) -> Array:
        # The layer behind has taken what it needs of a by now, so that the slope can stand in its place.
        self.slope(self._z, self._a, self._a)
        return np.multiply(grad, self._a, out=grad)

    def apply(self, z: Array, out: Array) -> None:
        """out = a(z)."""
        raise NotImplementedError

    def slope(self, z: Array, a: Array, out: Array) -> None:
        """out = da/dz; `out` may be a."""
        raise NotImplementedError


class Relu(Activation):
    """max(z, 0)."""

    in_place = True

    def apply(self, z: Array, out: Array) -> None:
        np.maximum(z, 0, out=out)

    def slope(self, z: Array, a: Array, out: Array) -> None:
        np.greater(a, 0, out=out)


class LeakyRelu(Activation):
    """z where positive, `alpha` z elsewhere (Maas et al. 2013)."""

    alpha = 0.01

    def apply(self, z: Array, out: Array) -> None:
        np.multiply(z, self.alpha, out=out)
        np.maximum(out, z, out=out)

    def slope(self, z: Array, a: Array, out: Array) -> None:
        np.greater(a, 0, out=out)
        out *= 1.0 - self.alpha
        out += self.alpha


class Elu(Activation):
    """z where positive, exp(z) - 1 elsewhere (Clevert et al. 2016, alpha = 1)."""

    def apply(self, z: Array, out: Array) -> None:
        np.minimum(z, 0, out=out)
        np.expm1(out, out=out)
        np.maximum(out, z, out=out)

    def slope(self, z: Array, a: Array, out: Array) -> None:
        np.minimum(a, 0, out=out)
        out += 1.0


class Selu(Activation):
    """scale z where positive, scale alpha (exp(z) - 1) elsewhere (Klambauer et al. 2017)."""

    gain = 1.0
    alpha = 1.6732632423543772
    scale = 1.0507009873554805

    def apply(self, z: Array, out: Array) -> None:
        np.minimum(z, 0, out=out)
        np.expm1(out, out=out)
        out *= self.alpha
        np.copyto(out, z, where=z > 0)
        out *= self.scale

    def slope(self, z: Array, a: Array, out: Array) -> None:
        np.add(a, self.scale * self.alpha, out=out)
        np.copyto(out, self.scale, where=z > 0)


class Sigmoid(Activation):
    """1 / (1 + exp(-z)), written as (1 + tanh(z / 2)) / 2, which cannot overflow."""

    gain = 1.0

    def apply(self, z: Array, out: Array) -> None:
        np.multiply(z, 0.5, out=out)
        np.tanh(out, out=out)
        out += 1.0
        out *= 0.5

    def slope(self, z: Array, a: Array, out: Array) -> None:
        # Nobody needs z any more.
        np.subtract(1.0, a, out=z)
        np.multiply(a, z, out=out)


class Silu(Activation):
    """z sigmoid(z) (Elfwing et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self._sigmoid, self._factor = Sigmoid(), Buffer()

    def apply(self, z: Array, out: Array) -> None:
        self._sigmoid.apply(z, out)
        out *= z

    def slope(self, z: Array, a: Array, out: Array) -> None:
        # With s = sigmoid(z) it is s + z s (1 - s) = s (1 + z - a), because a = z s.
        factor = np.subtract(z, a, out=self._factor.like(z))
        factor += 1.0
        self._sigmoid.apply(z, out)
        out *= factor


class Tanh(Activation):
    """tanh(z)."""

    gain = 1.0
    in_place = True

    def apply(self, z: Array, out: Array) -> None:
        np.tanh(z, out=out)

    def slope(self, z: Array, a: Array, out: Array) -> None:
        np.multiply(a, a, out=out)
        np.subtract(1.0, out, out=out)


ACTIVATIONS: dict[str, type[Activation]] = {
    "relu": Relu,
    "leaky_relu": LeakyRelu,
    "elu": Elu,
    "selu": Selu,
    "silu": Silu,
    "sigmoid": Sigmoid,
    "tanh": Tanh,
}
