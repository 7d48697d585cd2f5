"""Whole networks beside their twins in PyTorch 2.13, trained by the step in numpy and by the compiled one.

In float64 only rounding differs. It was 2e-14 at most after ten steps; 1e-12 leaves room for another BLAS, and an error
in a formula shows in the first digits.
"""

from typing import Any

import numpy as np
import pytest

from tests.trainer.peers.twin import CLASSES, Twin, corrected_moments, network_of, rows_of, tensor, torch
from trainer.nn.activations import ACTIVATIONS
from trainer.nn.batches import BatchWeights
from trainer.nn.loss import SoftmaxCrossEntropy, targets_of
from trainer.nn.network import Network, population_moments, running_moments
from trainer.nn.optimizers import OPTIMIZERS, Optimizer
from trainer.nn.step import NumpyStep
from trainer.training.fit import build_step

TOLERANCE = 1e-12

# Ours, its settings, and what torch calls both; without settings each goes by its own defaults.
PEERS: list[tuple[str, dict[str, float], Any, dict[str, Any]]] = [
    ("sgd", {}, torch.optim.SGD, {}),
    ("momentum", {}, torch.optim.SGD, {"momentum": 0.9}),
    ("momentum", {"beta1": 0.5}, torch.optim.SGD, {"momentum": 0.5}),
    ("nesterov", {}, torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    ("nesterov", {"beta1": 0.5}, torch.optim.SGD, {"momentum": 0.5, "nesterov": True}),
    ("rmsprop", {}, torch.optim.RMSprop, {}),
    ("rmsprop", {"beta2": 0.8, "epsilon": 0.01}, torch.optim.RMSprop, {"alpha": 0.8, "eps": 0.01}),
    ("adam", {}, torch.optim.Adam, {}),
    ("adam", {"beta1": 0.5, "beta2": 0.8, "epsilon": 0.01}, torch.optim.Adam, {"betas": (0.5, 0.8), "eps": 0.01}),
    ("adamw", {}, torch.optim.AdamW, {}),
    ("adamw", {"beta1": 0.5, "beta2": 0.8}, torch.optim.AdamW, {"betas": (0.5, 0.8)}),
]


def step_of(
    network: Network, loss: SoftmaxCrossEntropy, optimizer: Optimizer, *, compiled: bool, clip_norm: float | None = None
) -> NumpyStep:
    step = build_step(network, loss, optimizer, compiled=compiled, clip_norm=clip_norm)
    assert isinstance(step, NumpyStep)
    if compiled and type(step) is NumpyStep:
        pytest.skip("the compiled step cannot be had here")
    return step


def train_both(
    network: Network,
    *,
    ours: str = "adam",
    settings: dict[str, float] | None = None,
    theirs: Any = torch.optim.Adam,
    their_settings: dict[str, Any] | None = None,
    weight_decay: float = 0.0,
    weighted: bool = False,
    compiled: bool = False,
    tolerance: float = TOLERANCE,
) -> Twin:
    """Ten steps at falling rates on batches of two sizes; what both know is compared after each.

    Weighted rows stand in the twin's batch as often as their weight says.
    """
    rng, dtype = np.random.default_rng(4), network.values.dtype
    twin = Twin(network)
    optimizer = OPTIMIZERS[ours](
        network.values, network.grads, weight_decay=weight_decay, decayed=network.decayed, **(settings or {})
    )
    targets = targets_of(CLASSES, 0.1, dtype)
    step = step_of(network, SoftmaxCrossEntropy(), optimizer, compiled=compiled)
    their_optimizer = theirs(twin.groups(weight_decay), lr=1.0, **(their_settings or {}))
    for number in range(10):
        inputs, labels = rows_of((16, 11)[number % 2], rng, dtype)
        times = rng.integers(4, size=len(labels)) if weighted else np.ones(len(labels), np.int64)
        weights = BatchWeights.of(times.astype(dtype)) if weighted else BatchWeights.equal(len(labels), dtype)
        rate = 0.02 / (1 + number)
        ours_lost = step(inputs.copy(), targets[labels], weights, rate)
        for group in their_optimizer.param_groups:
            group["lr"] = rate
        their_optimizer.zero_grad()
        logits = twin(np.repeat(inputs, times, axis=0))
        theirs_lost = torch.nn.functional.cross_entropy(logits, tensor(np.repeat(labels, times)), label_smoothing=0.1)
        theirs_lost.backward()
        their_optimizer.step()
        np.testing.assert_allclose(ours_lost, theirs_lost.item(), rtol=tolerance)
        twin.assert_same(tolerance)
    return twin


def test_every_optimizer_has_a_peer() -> None:
    """None is left out of the comparison."""
    assert {name for name, *_ in PEERS} == set(OPTIMIZERS)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize(("ours", "settings", "theirs", "their_settings"), PEERS)
def test_ten_steps_of_every_optimizer(
    ours: str,
    settings: dict[str, float],
    theirs: Any,
    their_settings: dict[str, Any],
    weight_decay: float,
    compiled: bool,
) -> None:
    """Same weights, same batches, same network after each step; weight decay pulls on matrices only."""
    train_both(
        network_of(),
        ours=ours,
        settings=settings,
        theirs=theirs,
        their_settings=their_settings,
        weight_decay=weight_decay,
        compiled=compiled,
    )


@pytest.mark.parametrize("batch_norm", ["before", "after", "none"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_ten_steps_of_every_architecture(activation: str, batch_norm: str) -> None:
    """Each activation with batch norm before it, behind it, and without."""
    train_both(network_of(activation=activation, batch_norm=batch_norm))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("batch_norm", ["before", "after", "none"])
@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_ten_compiled_steps(activation: str, batch_norm: str, weighted: bool) -> None:
    """The activations that the compiled step covers, wherever batch norm stands."""
    train_both(network_of(activation=activation, batch_norm=batch_norm), weighted=weighted, compiled=True)


@pytest.mark.parametrize("batch_norm", ["before", "after", "none"])
@pytest.mark.parametrize("activation", ["relu", "silu"])
def test_ten_steps_with_dropout(activation: str, batch_norm: str) -> None:
    """With the masks that ours drew; an activation that works in place, and one that does not."""
    train_both(network_of(activation=activation, batch_norm=batch_norm, dropout=0.3))


@pytest.mark.parametrize("batch_norm", ["before", "after", "none"])
def test_ten_steps_with_weighted_rows(batch_norm: str) -> None:
    """A row of weight 0, 1, 2 or 3 is that row so many times: in loss, gradients and running statistics."""
    train_both(network_of(batch_norm=batch_norm), weighted=True)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("ours", "settings", "theirs", "their_settings"), PEERS)
def test_ten_steps_in_float32(
    ours: str, settings: dict[str, float], theirs: Any, their_settings: dict[str, Any], weighted: bool, compiled: bool
) -> None:
    """The precision of training, in numpy and compiled: ten steps of rounding at 6e-8 each."""
    train_both(
        network_of(dtype=np.float32),
        ours=ours,
        settings=settings,
        theirs=theirs,
        their_settings=their_settings,
        weight_decay=0.1,
        weighted=weighted,
        compiled=compiled,
        tolerance=1e-5,
    )


def test_inference_after_ten_steps() -> None:
    """The probabilities of more rows than one pass takes are those of torch's eval mode with the same statistics."""
    network = network_of()
    twin = train_both(network)
    network.freeze(running_moments(network))
    inputs, _ = rows_of(2500, np.random.default_rng(5))
    with torch.no_grad():
        for norm in twin.norms:
            norm.running_mean[:], norm.running_var[:] = map(tensor, corrected_moments(norm))
            norm.eval()
        expected = torch.softmax(twin(inputs), 1)

    np.testing.assert_allclose(network.predict(inputs), expected, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("weighted", [False, True])
def test_population_statistics(weighted: bool) -> None:
    """Mean and unbiased variance of all that torch's batch-norm layers are handed in training mode, without dropout."""
    network, rng = network_of(dropout=0.3), np.random.default_rng(6)
    twin = Twin(network_of())
    inputs, _ = rows_of(50, rng)
    times = rng.integers(4, size=50) if weighted else np.ones(50, np.int64)
    seen: dict[Any, list[Any]] = {norm: [] for norm in twin.norms}
    for norm in twin.norms:
        norm.register_forward_pre_hook(lambda norm, handed: seen[norm].append(handed[0].detach()))
    for start in range(0, 50, 10):
        batch = slice(start, start + 10)
        twin(np.repeat(inputs[batch], times[batch], axis=0))
    variances, means = zip(*(torch.var_mean(torch.cat(batches), 0) for batches in seen.values()), strict=True)
    moments = population_moments(network, inputs, 10, times.astype(np.float64) if weighted else None)

    np.testing.assert_allclose(moments, [torch.cat(means), torch.cat(variances)], rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(("share", "tolerance"), [(0.1, 2e-7), (2.0, TOLERANCE)])
def test_clipping(share: float, tolerance: float, compiled: bool) -> None:
    """A gradient longer than allowed is cut to that length, a shorter one left alone: a step at rate 1 shows it."""
    network = network_of()
    twin = Twin(network)
    inputs, labels = rows_of(16, np.random.default_rng(7))
    torch.nn.functional.cross_entropy(twin(inputs), tensor(labels)).backward()
    length = torch.nn.utils.get_total_norm([own.grad for own in twin.parameters]).item()
    optimizer = OPTIMIZERS["sgd"](network.values, network.grads)
    targets = targets_of(CLASSES, dtype=np.float64)[labels]
    step = step_of(network, SoftmaxCrossEntropy(), optimizer, compiled=compiled, clip_norm=share * length)
    step.differentiate(inputs.copy(), targets, BatchWeights.equal(16, np.float64))
    twin.assert_same_gradient(TOLERANCE)

    before = network.values.copy()
    step(inputs.copy(), targets, BatchWeights.equal(16, np.float64), 1.0)
    torch.nn.utils.clip_grad_norm_(twin.parameters, share * length)
    torch.optim.SGD(twin.parameters, lr=1.0).step()
    # torch divides by the length plus 1e-6, so that what it clips is shorter by share * 1e-6.
    twin.assert_same(tolerance)
    if share < 1.0:
        assert np.linalg.norm(network.values - before) == pytest.approx(share * length, rel=TOLERANCE)


@pytest.mark.parametrize(("ours", "settings", "theirs", "their_settings"), PEERS)
def test_optimizers_over_long_vectors(
    ours: str, settings: dict[str, float], theirs: Any, their_settings: dict[str, Any]
) -> None:
    """Vectors that are worked on in blocks, with decay to the middle of one, are updated throughout."""
    rng = np.random.default_rng(8)
    values, grads = rng.normal(size=(2, 150_000))
    decaying, rest = (tensor(part, requires_grad=True) for part in (values[:90_000], values[90_000:]))
    groups = [{"params": [decaying], "weight_decay": 0.1}, {"params": [rest], "weight_decay": 0.0}]
    optimizer = OPTIMIZERS[ours](values, grads, weight_decay=0.1, decayed=90_000, **settings)
    their_optimizer = theirs(groups, lr=0.01, **their_settings)
    for _ in range(3):
        grads[:] = rng.normal(size=grads.shape)
        decaying.grad, rest.grad = tensor(grads[:90_000]), tensor(grads[90_000:])
        optimizer.step(0.01)
        their_optimizer.step()

    np.testing.assert_allclose(values, torch.cat([decaying, rest]).detach(), rtol=1e-12, atol=1e-12)
