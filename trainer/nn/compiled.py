"""The training step once more, compiled by numba: the same arithmetic in a few passes over the cache.

It covers networks of linear, batch-norm and piecewise linear activation layers, behind what the layers in
`trainer.nn.compiled_front` make of the inputs; everything else is left to numpy, whose exponentials are faster than the
ones that numba would call. `NumpyStep` is the reference that this is held against.
These two are the only modules that know numba.
"""

from dataclasses import dataclass
from itertools import pairwise, takewhile
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.linalg.cython_blas  # noqa: F401  numba's products call it.
from numba import njit

from trainer.arrays import Array
from trainer.nn.activations import LeakyRelu, Relu
from trainer.nn.batch_norm import BatchNorm
from trainer.nn.batches import BatchWeights
from trainer.nn.compiled_front import compiled_front
from trainer.nn.embeddings import Embedding, Periodic
from trainer.nn.layers import Dropout, Layer, Linear
from trainer.nn.loss import SoftmaxCrossEntropy
from trainer.nn.network import Network
from trainer.nn.optimizers import Adam, Optimizer
from trainer.nn.step import NumpyStep

# Division as numpy's, without a check for zero, lets a loop run on vectors. Other threads may run Python meanwhile.
compiled = njit(cache=True, error_model="numpy", fastmath={"contract", "nsz"}, nogil=True)

LINEAR, NORM = 0, 1
LEAKS = {Relu: 0.0, LeakyRelu: LeakyRelu.alpha}


@dataclass(frozen=True, eq=False)
class Plan:
    """A network as numbers.

    Each row of `steps` is one step: LINEAR or NORM, its inputs, its units, where its first parameters (W or gamma) and
    its second (b or beta, -1 for none) stand in the flat vector, and where its statistics stand in theirs. `leaks` says
    by what a negative output is multiplied: 1 for no activation, 0 for ReLU. The layers in `front` come before them;
    where they learn, the first step `feeds_back`.
    """

    steps: npt.NDArray[np.int64]
    leaks: Array
    epsilon: np.floating[Any]
    feeds_back: bool
    front: tuple[Layer, ...]

    @classmethod
    def of(cls, network: Network) -> "Plan | None":
        """The plan of a network, or None where it holds what is not covered.

        An activation is part of the step before it, which must have something to add to it: batch norm or a bias.
        """
        steps: list[tuple[int, ...]] = []
        leaks: list[float] = []
        moments = 0
        before: Layer | None = None
        front = tuple(takewhile(lambda layer: isinstance(layer, Embedding | Periodic | Dropout), network.layers))
        for layer, following in pairwise((*network.layers[len(front) :], None)):
            before, previous = layer, before
            match layer:
                case Linear(weight=weight, bias=bias):
                    inputs, units = weight.value.shape
                    second = -1 if bias is None else _offset(network, bias.value)
                    steps.append((LINEAR, inputs, units, _offset(network, weight.value), second, 0))
                case BatchNorm(units=units, gamma=gamma, beta=beta):
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
        if len(epsilons) > 1:
            return None
        feeds_back = any(layer.parameters for layer in front)
        flat = np.array(steps, np.int64), np.array(leaks, dtype), dtype.type(*epsilons)
        return cls(*flat, feeds_back, compiled_front(front))

    @property
    def widths(self) -> tuple[int, int, int]:
        """How many values a row needs: what all steps put out, and twice the widest gradient."""
        widest = int(self.steps[not self.feeds_back :, 1].max(initial=self.steps[-1, 2]))
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
        for layer in plan.front:
            inputs = layer.forward(inputs, weights)
        layout = (plan.steps, plan.leaks, plan.epsilon, plan.feeds_back)
        vectors = (network.values, network.grads, network.batch_moments)
        batch = (inputs, targets, weights.shares)
        arguments = (*layout, *vectors, *self._buffers, *batch)
        loss, grad = _differentiate(*arguments)
        if plan.feeds_back:
            for layer in reversed(plan.front):
                grad = layer.backward(grad)
        return float(loss)

    def track(self, weights: BatchWeights) -> None:
        running = self.network.running
        _track(running.sums, self.network.batch_moments, running.decay, weights.bessel)
        running.batches += 1

    def update(self, learning_rate: float) -> None:
        optimizer = self.optimizer
        if not isinstance(optimizer, Adam):
            super().update(learning_rate)
            return
        optimizer.begin(learning_rate)
        scalars = (optimizer.beta1, optimizer.beta2, *optimizer.scalars(learning_rate))
        _adam(optimizer.values, optimizer.grads, *optimizer.memory, *map(optimizer.values.dtype.type, scalars))


@compiled
def _differentiate(
    steps, leaks, epsilon, feeds_back, values, grads, moments, outputs, delta, other, inputs, targets, shares
):
    logits = _forward(steps, leaks, epsilon, values, moments, outputs, inputs, shares)
    grad = delta[: logits.size].reshape(logits.shape)
    loss = _softmax_cross_entropy(logits, targets, shares, grad)
    layout = (steps, leaks, epsilon, feeds_back)
    return loss, _backward(layout, values, grads, moments, outputs, grad, delta, other, inputs, shares)


@compiled
def _forward(steps, leaks, epsilon, values, moments, outputs, inputs, shares):
    rows = len(inputs)
    end = 0
    source = inputs
    for index in range(len(steps)):
        kind, fan_in, units, first, second, place = steps[index]
        out = outputs[end : end + rows * units].reshape(rows, units)
        end += rows * units
        if kind == NORM:
            gamma, beta = values[first : first + units], values[second : second + units]
            mean, variance = moments[0, place : place + units], moments[1, place : place + units]
            _normalise(source, out, gamma, beta, mean, variance, shares, epsilon, leaks[index])
        else:
            np.dot(source, values[first : first + fan_in * units].reshape(fan_in, units), out)
            if second >= 0:
                _shift(out, values[second : second + units], leaks[index])
        source = out
    return source


@compiled
def _backward(layout, values, grads, moments, outputs, grad, delta, other, inputs, shares):
    steps, leaks, epsilon, feeds_back = layout
    rows = len(inputs)
    end = outputs.size
    for index in range(len(steps) - 1, -1, -1):
        kind, fan_in, units, first, second, place = steps[index]
        end -= rows * units
        out = outputs[end : end + rows * units].reshape(rows, units)
        source = inputs if index == 0 else outputs[end - rows * fan_in : end].reshape(rows, fan_in)
        if kind == NORM:
            mean, variance = moments[0, place : place + units], moments[1, place : place + units]
            gamma, dgamma = values[first : first + units], grads[first : first + units]
            dbeta = grads[second : second + units]
            _unnormalise(grad, source, out, gamma, mean, variance, dgamma, dbeta, shares, epsilon, leaks[index])
            continue
        if second >= 0:
            _unshift(grad, out, grads[second : second + units], leaks[index])
        np.dot(source.T, grad, grads[first : first + fan_in * units].reshape(fan_in, units))
        if index > 0 or feeds_back:
            weight = values[first : first + fan_in * units].reshape(fan_in, units)
            delta, other = other, delta
            grad = np.dot(grad, weight.T, delta[: rows * fan_in].reshape(rows, fan_in))
    return grad


@compiled
def _shift(out, bias, leak):
    for row in range(out.shape[0]):
        for unit in range(out.shape[1]):
            value = out[row, unit] + bias[unit]
            out[row, unit] = value if value > 0 else leak * value


@compiled
def _unshift(grad, out, dbias, leak):
    dbias[:] = 0
    for row in range(out.shape[0]):
        for unit in range(out.shape[1]):
            dz = grad[row, unit]
            dz = dz if out[row, unit] > 0 else leak * dz
            grad[row, unit] = dz
            dbias[unit] += dz


@compiled
def _normalise(z, out, gamma, beta, mean, variance, shares, epsilon, leak):
    rows, units = z.shape
    # Summed up as distances from the first row, so that nothing is lost where the mean is far from zero.
    mean[:] = 0
    for row in range(rows):
        share = shares[row]
        for unit in range(units):
            mean[unit] += share * (z[row, unit] - z[0, unit])
    mean += z[0]
    variance[:] = 0
    for row in range(rows):
        share = shares[row]
        for unit in range(units):
            centred = z[row, unit] - mean[unit]
            variance[unit] += share * centred * centred
    scale = gamma / np.sqrt(variance + epsilon)
    for row in range(rows):
        for unit in range(units):
            value = (z[row, unit] - mean[unit]) * scale[unit] + beta[unit]
            out[row, unit] = value if value > 0 else leak * value


@compiled
def _unnormalise(grad, z, out, gamma, mean, variance, dgamma, dbeta, shares, epsilon, leak):
    rows, units = z.shape
    dgamma[:] = 0
    dbeta[:] = 0
    for row in range(rows):
        for unit in range(units):
            dy = grad[row, unit]
            dy = dy if out[row, unit] > 0 else leak * dy
            grad[row, unit] = dy
            dgamma[unit] += dy * (z[row, unit] - mean[unit])
            dbeta[unit] += dy
    inverse_deviation = 1 / np.sqrt(variance + epsilon)
    dgamma *= inverse_deviation
    slope = dgamma * inverse_deviation
    scale = gamma * inverse_deviation
    for row in range(rows):
        share = shares[row]
        for unit in range(units):
            through = dbeta[unit] + (z[row, unit] - mean[unit]) * slope[unit]
            grad[row, unit] = scale[unit] * (grad[row, unit] - share * through)


@compiled
def _softmax_cross_entropy(logits, targets, shares, grad):
    loss = 0.0
    rows, classes = logits.shape
    for row in range(rows):
        largest = logits[row, 0]
        for one in range(1, classes):
            largest = max(largest, logits[row, one])
        target = targets[row]
        total = np.float32(0)
        chosen = np.float32(0)
        for one in range(classes):
            shifted = logits[row, one] - largest
            chosen += target[one] * shifted
            grad[row, one] = np.exp(shifted)
            total += grad[row, one]
        loss += shares[row] * (np.log(total) - chosen)
        for one in range(classes):
            grad[row, one] = shares[row] * (grad[row, one] / total - target[one])
    return loss


@compiled
def _adam(values, grads, mean, square, beta1, beta2, rate, epsilon):
    for index in range(len(values)):
        grad = grads[index]
        mean[index] = beta1 * mean[index] + grad
        square[index] = beta2 * square[index] + grad * grad
        values[index] -= rate * mean[index] / (np.sqrt(square[index]) + epsilon)


@compiled
def _track(sums, moments, decay, bessel):
    for unit in range(sums.shape[1]):
        sums[0, unit] = sums[0, unit] * decay + moments[0, unit]
        sums[1, unit] = sums[1, unit] * decay + moments[1, unit] * bessel
