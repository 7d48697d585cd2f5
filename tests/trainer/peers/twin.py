"""A network, and its twin in PyTorch: the same layers, and copies of the same parameters."""

from typing import Any

import numpy as np
import pytest

from trainer.arrays import Array, Labels
from trainer.nn.activations import ACTIVATIONS, Activation
from trainer.nn.architecture import Architecture, build_network
from trainer.nn.batch_norm import BatchNorm
from trainer.nn.layers import Dropout, Layer, Linear
from trainer.nn.network import Network
from trainer.nn.statistics import Moments

torch = pytest.importorskip("torch", reason="PyTorch is the peer here; it is not among the project's own needs")

INPUTS, CLASSES = 6, 3

# PyTorch's functional forms go by our names.
FUNCTIONS = {kind: getattr(torch.nn.functional, name) for name, kind in ACTIVATIONS.items()}


def network_of(*, dtype: Any = np.float64, **architecture: Any) -> Network:
    """Two hidden layers whose every parameter is off its start, where many gradients would be zero."""
    rng = np.random.default_rng(3)
    network = build_network(Architecture(INPUTS, (8, 7), CLASSES, **architecture), rng, dtype=dtype)
    network.values += rng.normal(0.0, 0.3, network.values.shape).astype(dtype)
    return network


def rows_of(count: int, rng: np.random.Generator, dtype: Any = np.float64) -> tuple[Array, Labels]:
    return rng.normal(0.5, 2.0, (count, INPUTS)).astype(dtype), rng.integers(CLASSES, size=count)


def tensor(array: Array | Labels, *, requires_grad: bool = False) -> Any:
    """A copy, because our layers work in the memory they are handed."""
    return torch.tensor(array, requires_grad=requires_grad)


def corrected_moments(norm: Any) -> Moments:
    """torch's running averages without what is left of their start, mean 0 and variance 1, after t batches.

    It is decay**t of the start, and the batches have the other 1 - decay**t.
    """
    left = (1.0 - norm.momentum) ** norm.num_batches_tracked.item()
    mean, variance = (average.numpy().astype(np.float64) for average in (norm.running_mean, norm.running_var))
    return Moments(mean / (1.0 - left), (variance - left) / (1.0 - left))


class Twin:
    """`parts` stand in the order of the network's layers; W is stored transposed, as torch has it."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.parts = [self._part(layer) for layer in network.layers]
        self.norms = [part for part in self.parts if isinstance(part, torch.nn.BatchNorm1d)]
        # The order of our parameters in each layer: weight, bias; gamma, beta.
        self.parameters = [own for part in self.parts if isinstance(part, torch.nn.Module) for own in part.parameters()]
        self._ours = [own for layer in network.layers for own in layer.parameters]
        with torch.no_grad():
            for mine, ours in zip(self.parameters, self._ours, strict=True):
                mine.copy_(tensor(ours.value.T))

    def _part(self, layer: Layer) -> Any:
        precision = tensor(self.network.values[:0]).dtype
        if isinstance(layer, Linear):
            return torch.nn.Linear(*layer.weight.value.shape, bias=layer.bias is not None, dtype=precision)
        if isinstance(layer, BatchNorm):
            momentum = 1.0 - self.network.running.decay
            return torch.nn.BatchNorm1d(layer.units, eps=layer.epsilon, momentum=momentum, dtype=precision)
        if isinstance(layer, Dropout):
            # Random numbers cannot be shared; the mask that ours drew for this batch can.
            return lambda inputs: inputs * tensor(layer._mask)
        assert isinstance(layer, Activation)
        return FUNCTIONS[type(layer)]

    def __call__(self, inputs: Array) -> Any:
        values = tensor(inputs)
        for part in self.parts:
            values = part(values)
        return values

    def groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """What a torch optimizer takes: the matrices, which decay, and the vectors, which do not."""
        matrices = [own for own in self.parameters if own.ndim == 2]
        vectors = [own for own in self.parameters if own.ndim == 1]
        return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]

    def assert_same(self, tolerance: float) -> None:
        """Parameters and corrected running statistics agree, relatively or absolutely, within `tolerance`."""
        for mine, ours in zip(self.parameters, self._ours, strict=True):
            np.testing.assert_allclose(ours.value.T, mine.detach().numpy(), rtol=tolerance, atol=tolerance)
        if self.norms:
            running = self.network.by_layer(self.network.running.moments())
            for norm, moments in zip(self.norms, running, strict=True):
                np.testing.assert_allclose(moments, corrected_moments(norm), rtol=tolerance, atol=tolerance)

    def assert_same_gradient(self, tolerance: float) -> None:
        for mine, ours in zip(self.parameters, self._ours, strict=True):
            np.testing.assert_allclose(ours.grad.T, mine.grad.numpy(), rtol=tolerance, atol=tolerance)
