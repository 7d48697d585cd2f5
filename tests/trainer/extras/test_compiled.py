"""The compiled step against the numpy one."""

import builtins
import os
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer.arrays import Array
from trainer.nn.activations import LeakyRelu, Relu
from trainer.nn.architecture import Architecture, build_network
from trainer.nn.batch_norm import BatchNorm
from trainer.nn.batches import BatchWeights, MiniBatches
from trainer.nn.layers import Layer, Linear
from trainer.nn.loss import SoftmaxCrossEntropy, targets_of
from trainer.nn.network import Network
from trainer.nn.optimizers import OPTIMIZERS, Optimizer
from trainer.nn.step import NumpyStep
from trainer.training.fit import build_step, train_one_epoch

ROOT = Path(__file__).parents[3]
ROWS, WIDTH, CLASSES = 64, 54, 7
PLACES = ["before", "after", "none"]


def step_of(
    architecture: Architecture, *, compiled: bool, optimizer: str = "adam", clip_norm: float | None = None
) -> NumpyStep:
    rng = np.random.default_rng(1)
    network = build_network(architecture, rng)
    network.values += 0.1 * rng.normal(size=network.values.shape).astype(np.float32)
    rule: Optimizer = OPTIMIZERS[optimizer](network.values, network.grads, weight_decay=1e-3, decayed=network.decayed)
    step = build_step(network, SoftmaxCrossEntropy(), rule, clip_norm=clip_norm, compiled=compiled)
    assert isinstance(step, NumpyStep)
    assert (type(step) is NumpyStep) is not compiled
    return step


def batch(weighted: bool) -> tuple[Array, Array, BatchWeights]:
    rng = np.random.default_rng(0)
    weights = rng.uniform(0.2, 3, ROWS).astype(np.float32)
    counted = BatchWeights.of(weights) if weighted else BatchWeights.equal(ROWS)
    return (
        rng.normal(size=(ROWS, WIDTH)).astype(np.float32),
        targets_of(CLASSES, 0.1)[rng.integers(CLASSES, size=ROWS)],
        counted,
    )


def assert_agree(one: Array, other: Array, tolerance: float = 1e-6) -> None:
    assert np.linalg.norm(one - other) <= tolerance * np.linalg.norm(one)


@pytest.mark.parametrize("weighted", [False, True], ids=["equal", "weighted"])
@pytest.mark.parametrize("hidden", [(), (7,), (100, 100), (5, 9, 3)], ids=str)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_one_step_agrees(activation: str, place: str, hidden: tuple[int, ...], weighted: bool) -> None:
    """Loss, gradient, batch statistics, running averages and new weights, within 1e-6 relative."""
    architecture = Architecture(WIDTH, hidden, CLASSES, activation, place)  # type: ignore[arg-type]
    reference, fast = (step_of(architecture, compiled=compiled) for compiled in (False, True))
    losses = [step.differentiate(*batch(weighted)) for step in (reference, fast)]

    assert losses[1] == pytest.approx(losses[0], rel=1e-6)
    assert_agree(reference.network.grads, fast.network.grads)
    assert_agree(reference.network.batch_moments, fast.network.batch_moments)
    for step in (reference, fast):
        step.track(batch(weighted)[2])
        step.update(1e-3)
    assert_agree(reference.network.running.sums, fast.network.running.sums)
    assert_agree(reference.network.values, fast.network.values)


def test_ctrl_c_comes_between_two_steps() -> None:
    """Sixty of them, at moments of their own: none is lost in a compiled function, or comes out as another error."""
    step = step_of(Architecture(WIDTH, (100, 100), CLASSES), compiled=True)
    inputs, targets, _ = batch(weighted=False)
    mini_batches = MiniBatches(inputs, np.arange(ROWS), None, ROWS, targets)
    rng = np.random.default_rng(2)
    handlers = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGALRM: lambda *_: signal.raise_signal(signal.SIGINT),
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}

    def go_on(moment: float = 0.0) -> None:
        signal.setitimer(signal.ITIMER_REAL, moment)
        for _ in range(2000):
            train_one_epoch(step, mini_batches, lambda _: 1e-3, rng)

    try:
        go_on()
        for moment in range(60):
            # A busy machine may let the moment come before the first step.
            with pytest.raises(KeyboardInterrupt):
                go_on(0.002 + moment * 17e-6)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.parametrize(
    "front", [{"coded": 2, "codes": 3}, {"varied": (0, 2), "periodic": 0.2}, {"input_dropout": 0.2}], ids=str
)
def test_what_stands_before_the_first_product_learns_the_same(front: dict[str, Any]) -> None:
    """Embeddings get their gradient from the compiled layers; dropout draws the same."""
    inputs, labels, weights = batch(weighted=True)
    inputs[:, -2:] = np.random.default_rng(0).integers(3, size=(ROWS, 2))
    reference, fast = (step_of(Architecture(WIDTH, (7,), CLASSES, **front), compiled=which) for which in (False, True))
    losses = [step.differentiate(inputs, labels, weights) for step in (reference, fast)]

    assert losses[1] == pytest.approx(losses[0], rel=1e-6)
    assert_agree(reference.network.grads, fast.network.grads)


@pytest.mark.parametrize("clip_norm", [None, 0.05])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_ten_steps_agree_with_every_optimizer(optimizer: str, clip_norm: float | None) -> None:
    """Clipped or not. Rounding grows from step to step, most where a rule divides by a small root: 1e-4."""
    architecture = Architecture(WIDTH, (20, 10), CLASSES)
    reference, fast = (
        step_of(architecture, compiled=compiled, optimizer=optimizer, clip_norm=clip_norm) for compiled in (False, True)
    )
    for _ in range(10):
        for step in (reference, fast):
            step(*batch(weighted=True), 1e-3)

    assert_agree(reference.network.values, fast.network.values, 1e-4)
    assert reference.optimizer.steps == fast.optimizer.steps == 10


@pytest.mark.parametrize("settings", [{"activation": "tanh"}, {"dropout": 0.1}], ids=str)
def test_what_is_not_covered_is_left_to_numpy(settings: dict[str, Any]) -> None:
    """By itself, with nothing to set."""
    step_of(Architecture(WIDTH, (5,), CLASSES, **settings), compiled=False)
    network = build_network(Architecture(WIDTH, (5,), CLASSES, **settings), np.random.default_rng(0))
    rule = OPTIMIZERS["adam"](network.values, network.grads)

    assert type(build_step(network, SoftmaxCrossEntropy(), rule)) is NumpyStep


def test_unusual_stacks_are_left_to_numpy() -> None:
    """An activation that comes first, twice or behind a linear layer without bias; batch norms of unlike epsilon."""
    rng = np.random.default_rng(0)
    last = Linear(5, CLASSES, None, bias=np.zeros(CLASSES))
    stacks: list[list[Layer]] = [
        [Relu(), Linear(WIDTH, 5, rng), BatchNorm(5), last],
        [Linear(WIDTH, 5, rng), BatchNorm(5), Relu(), LeakyRelu(), last],
        [Linear(WIDTH, 5, rng), Relu(), last],
        [Linear(WIDTH, 5, rng), BatchNorm(5), Relu(), Linear(5, 5, rng), BatchNorm(5, epsilon=1.0), Relu(), last],
    ]
    for stack in stacks:
        network = Network(stack)
        rule = OPTIMIZERS["adam"](network.values, network.grads)
        assert type(build_step(network, SoftmaxCrossEntropy(), rule)) is NumpyStep


def test_a_mean_far_from_zero_costs_no_precision() -> None:
    """4 096 rows around 1 000: the normalised values are those of float64 within 1e-4, as the numpy step's are."""
    rng = np.random.default_rng(0)
    inputs = (1000 + rng.normal(size=(4096, 3))).astype(np.float32)
    step = step_of(Architecture(3, (4,), CLASSES), compiled=True)
    step.differentiate(inputs, targets_of(CLASSES)[rng.integers(CLASSES, size=4096)], BatchWeights.equal(4096))
    z = inputs.astype(np.float64) @ step.network.layers[0].parameters[0].value.astype(np.float64)

    np.testing.assert_allclose(step.network.batch_moments[0], z.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(step.network.batch_moments[1], z.var(axis=0), rtol=1e-3)


@pytest.mark.parametrize("failure", [ImportError, RuntimeError])
def test_without_numba_numpy_steps_in(failure: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    """Not installed, or without a folder for what it compiled: the same training, more slowly."""
    importing = builtins.__import__

    def refuse(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("trainer.nn.compiled"):
            raise failure(name)
        return importing(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    network: Network = build_network(Architecture(WIDTH, (5,), CLASSES), np.random.default_rng(0))
    rule = OPTIMIZERS["adam"](network.values, network.grads)

    assert type(build_step(network, SoftmaxCrossEntropy(), rule)) is NumpyStep


@pytest.mark.parametrize("compiled", [False, True], ids=["numpy", "compiled"])
def test_a_step_needs_hardly_any_new_memory(compiled: bool) -> None:
    """Under 40 KiB of temporaries in a steady step, whatever the width."""
    step = step_of(Architecture(WIDTH, (256, 256), CLASSES), compiled=compiled)
    inputs, labels, weights = batch(weighted=False)
    for _ in range(3):
        step(inputs, labels, weights, 1e-3)
    tracemalloc.start()
    step(inputs, labels, weights, 1e-3)
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    step(inputs, labels, weights, 1e-3)
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()

    assert peak < 40 * 1024


def test_a_job_trains_with_it_and_without_it(penguins: Path, tmp_path: Path) -> None:
    """The same epochs, the same best one; what differs is rounding."""
    losses = []
    for compiled in ("true", "false"):
        arguments = ["fit", str(penguins), "--target", "species", "--name", "p", "--epochs", "8", "--members", "1"]
        flags = ["--repository", str(tmp_path), "--compiled", compiled]
        process = subprocess.run(
            [sys.executable, "-m", "trainer", *arguments, "--verbose", *flags],
            cwd=ROOT,
            env=dict(os.environ),
            capture_output=True,
            text=True,
            check=True,
        )
        losses.append([float(line.split()[3]) for line in process.stderr.splitlines() if line.startswith("epoch")])

    assert losses[0] == pytest.approx(losses[1], rel=1e-2)


def test_sine_and_cosine_of_one_pass() -> None:
    """Within 1.2e-7 of those of float64, from a fraction of a turn to a thousand turns, in either direction."""
    from trainer.nn.compiled_front import _turn

    for turns in (0.1, 1, 30, 1000):
        angles = np.random.default_rng(0).uniform(-2 * np.pi * turns, 2 * np.pi * turns, 20_000).astype(np.float32)
        cosine, sine = angles.copy(), np.empty_like(angles)
        _turn(cosine, sine)

        np.testing.assert_allclose(sine, np.sin(angles.astype(np.float64)), rtol=0, atol=1.2e-7)
        np.testing.assert_allclose(cosine, np.cos(angles.astype(np.float64)), rtol=0, atol=1.2e-7)
