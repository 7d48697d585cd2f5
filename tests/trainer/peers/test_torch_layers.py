"""Each layer and the loss alone, in float64, against PyTorch 2.13.

Both sides add the same numbers in another order: what differs is rounding, 1e-12 at the sizes here, where an error in a
formula shows in the first digits.
"""

from functools import partial

import numpy as np
import pytest

from tests.trainer.peers.twin import FUNCTIONS, corrected_moments, tensor, torch
from trainer.arrays import Array
from trainer.nn.activations import ACTIVATIONS
from trainer.nn.batch_norm import BatchNorm
from trainer.nn.batches import BatchWeights
from trainer.nn.layers import Dropout, Linear
from trainer.nn.loss import SoftmaxCrossEntropy, cross_entropy, softmax, targets_of
from trainer.nn.network import Network, running_moments

ROWS, UNITS, CLASSES = 13, 5, 4
assert_same = partial(np.testing.assert_allclose, rtol=1e-12, atol=1e-12)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(2)


def equal(inputs: Array) -> BatchWeights:
    return BatchWeights.equal(len(inputs), inputs.dtype)


def batch_norm(rng: np.random.Generator, *, epsilon: float = 1e-5, in_place: bool = True) -> BatchNorm:
    """A layer whose gamma and beta are not where they start."""
    layer = BatchNorm(UNITS, epsilon, in_place=in_place)
    layer.gamma.value, layer.beta.value = rng.normal(1.0, 0.5, UNITS), rng.normal(size=UNITS)
    return layer


@pytest.mark.parametrize("bias", [True, False])
def test_linear(rng: np.random.Generator, bias: bool) -> None:
    """z, dW, db and da."""
    layer = Linear(UNITS, 3, rng, bias=rng.normal(size=3) if bias else None)
    inputs, cotangent = rng.normal(size=(ROWS, UNITS)), rng.normal(size=(ROWS, 3))
    a, *parameters = (tensor(array, requires_grad=True) for array in (inputs, *[p.value for p in layer.parameters]))
    z = a @ parameters[0] + (parameters[1] if bias else 0.0)
    z.backward(tensor(cotangent))

    assert_same(layer.infer(inputs), z.detach())
    assert_same(layer.forward(inputs, equal(inputs)), z.detach())
    assert_same(layer.backward(cotangent), a.grad)
    for ours, peer in zip(layer.parameters, parameters, strict=True):
        assert_same(ours.grad, peer.grad)


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("epsilon", [1e-5, 0.1])
@pytest.mark.parametrize("rows", [2, ROWS])
def test_batch_norm(rng: np.random.Generator, rows: int, epsilon: float, in_place: bool) -> None:
    """y, dz, dgamma and dbeta, far from mean 0 and variance 1 too."""
    layer = batch_norm(rng, epsilon=epsilon, in_place=in_place)
    inputs, cotangent = rng.normal(3.0, 0.5, size=(rows, UNITS)), rng.normal(size=(rows, UNITS))
    z, gamma, beta = (tensor(array, requires_grad=True) for array in (inputs, layer.gamma.value, layer.beta.value))
    y = torch.nn.functional.batch_norm(z, None, None, gamma, beta, training=True, eps=epsilon)
    y.backward(tensor(cotangent))

    assert_same(layer.forward(inputs.copy(), equal(inputs)), y.detach())
    # Of two rows ẑ is ±1 but for epsilon, and dz a difference of nearly equal terms.
    assert_same(layer.backward(cotangent), z.grad, atol=1e-11)
    assert_same(layer.gamma.grad, gamma.grad)
    assert_same(layer.beta.grad, beta.grad)


@pytest.mark.parametrize("ewma_decay", [0.0, 0.5, 0.9, 0.99])
def test_running_statistics_and_inference(rng: np.random.Generator, ewma_decay: float) -> None:
    """After every batch, whatever its size, the averages are torch's without their start; so is inference by them.

    The variance is torch's unbiased one. After one batch of decay 0.99 the correction is by 100: 1e-12 becomes 1e-10.
    """
    network = Network([batch_norm(rng)], ewma_decay=ewma_decay, dtype=np.float64)
    layer = network.batch_norms[0]
    norm = torch.nn.BatchNorm1d(UNITS, momentum=1.0 - ewma_decay, dtype=torch.float64)
    norm.load_state_dict(norm.state_dict() | {"weight": tensor(layer.gamma.value), "bias": tensor(layer.beta.value)})
    for rows in (ROWS, 2, 40, ROWS, 3):
        inputs = rng.normal(rng.normal(), 2.0, size=(rows, UNITS))
        norm(tensor(inputs))
        network.forward(inputs, equal(inputs))
        network.track(equal(inputs))
        assert_same(running_moments(network), corrected_moments(norm), rtol=1e-10)

    network.freeze(running_moments(network))
    with torch.no_grad():
        norm.running_mean[:], norm.running_var[:] = map(tensor, corrected_moments(norm))
        inputs = rng.normal(size=(ROWS, UNITS))
        assert_same(layer.infer(inputs), norm.eval()(tensor(inputs)))


def test_weighted_batch_norm(rng: np.random.Generator) -> None:
    """Any weights: y, dz, dgamma and dbeta are those of the weighted mean and variance, written out for autograd."""
    layer = batch_norm(rng)
    weights = rng.uniform(0.0, 3.0, ROWS)
    inputs, cotangent = rng.normal(3.0, 0.5, size=(2, ROWS, UNITS))
    z, gamma, beta = (tensor(array, requires_grad=True) for array in (inputs, layer.gamma.value, layer.beta.value))
    w = tensor(weights)[:, None]
    mean = (w * z).sum(0) / w.sum()
    variance = (w * (z - mean) ** 2).sum(0) / w.sum()
    y = gamma * (z - mean) / torch.sqrt(variance + layer.epsilon) + beta
    y.backward(tensor(cotangent))

    assert_same(layer.forward(inputs, BatchWeights.of(weights)), y.detach())
    assert_same(layer.backward(cotangent), z.grad)
    assert_same(layer.gamma.grad, gamma.grad)
    assert_same(layer.beta.grad, beta.grad)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(rng: np.random.Generator, name: str) -> None:
    """a(z) and its slope, at 0, at its edges, and far beyond where exp overflows."""
    layer = ACTIVATIONS[name]()
    edges = [0.0, -0.0, 1e-9, -1e-9, 20.0, -20.0, 1e3, -1e3]
    inputs = np.concatenate([edges, rng.normal(0.0, 3.0, 192)]).reshape(-1, UNITS)
    cotangent = rng.normal(size=inputs.shape)
    z = tensor(inputs, requires_grad=True)
    a = FUNCTIONS[type(layer)](z)
    a.backward(tensor(cotangent))

    assert_same(layer.infer(inputs), a.detach())
    assert_same(inputs, z.detach())
    assert_same(layer.forward(inputs, equal(inputs)), a.detach())
    assert_same(layer.backward(cotangent), z.grad)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
@pytest.mark.parametrize("scale", [1.0, 500.0])
def test_softmax_cross_entropy(rng: np.random.Generator, scale: float, smoothing: float, weighted: bool) -> None:
    """The loss and its gradient by the logits; with weights it is Σ w loss / Σ w, written out for autograd.

    Logits of 500 would overflow without care; the loss is then hundreds of nats, and its error relative.
    """
    logits, labels = rng.normal(0.0, scale, (ROWS, CLASSES)), rng.integers(CLASSES, size=ROWS)
    weights = rng.uniform(0.0, 3.0, ROWS) if weighted else np.ones(ROWS)
    peer = tensor(logits, requires_grad=True)
    losses = torch.nn.functional.cross_entropy(peer, tensor(labels), label_smoothing=smoothing, reduction="none")
    expected = (tensor(weights) * losses).sum() / weights.sum()
    expected.backward()

    loss, targets = SoftmaxCrossEntropy(), targets_of(CLASSES, smoothing, np.float64)[labels]
    counted = BatchWeights.of(weights) if weighted else equal(logits)
    assert_same(loss.forward(logits, targets, counted), expected.item())
    assert_same(loss.backward(), peer.grad)
    assert_same(softmax(logits), torch.softmax(peer.detach(), 1))
    if not smoothing and scale == 1.0:
        assert_same(cross_entropy(softmax(logits), labels, weights if weighted else None), expected.item())


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout(rng: np.random.Generator, rate: float) -> None:
    """The kept values grow by 1 / (1 - rate), their gradients by the same mask; the mean stays within 5 deviations."""
    layer = Dropout(rate, rng)
    ones = np.ones((2000, 50))
    mask = layer.forward(ones, equal(ones)).copy()

    assert_same(np.unique(mask), [0.0, 1.0 / (1.0 - rate)])
    assert abs(mask.mean() - 1.0) < 5 * np.sqrt(rate / (1.0 - rate) / mask.size)
    assert_same(layer.backward(np.full_like(ones, 3.0)), 3.0 * mask)
    assert (layer.forward(ones, equal(ones)) != mask).any()
    assert (layer.infer(ones) == 1.0).all()
