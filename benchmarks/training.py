"""How long a step of training takes, next to other libraries and to the matrix products that no step can do without.

PYTHONPATH=. python benchmarks/training.py               microseconds a step, compared with PyTorch and with the floor
PYTHONPATH=. python benchmarks/training.py --threads 2   our numpy step with 1 and with 2 BLAS threads, not pinned
PYTHONPATH=. python benchmarks/training.py --memory      the temporaries of one of our steps, in KiB

A step gathers a batch from shuffled rows, then forward, loss, backward, running statistics and Adam, all in float32:
(Linear without bias → BatchNorm → ReLU) twice → Linear → softmax cross-entropy. Everyone has one thread on one core,
starts from the same weights, takes the same batches and has to agree with us on the first losses; compilation is not
timed. In every round each runs a slice of steps, in a random order, and ratios are medians over the rounds.
scikit-learn has no batch norm: it does less, has nothing to agree on, and shuffles by itself.
"""

import argparse
import json
import math
import os
import random
import subprocess
import sys
import time
import tracemalloc
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice, pairwise
from typing import Any, ParamSpec

import numpy as np
import numpy.typing as npt

from trainer.nn.architecture import Architecture, build_network
from trainer.nn.batches import MiniBatches
from trainer.nn.layers import Linear
from trainer.nn.loss import SoftmaxCrossEntropy, targets_of
from trainer.nn.optimizers import Adam
from trainer.nn.step import NumpyStep
from trainer.training.fit import build_step

# Takes that many steps and returns the loss of the last, or nan where it cannot be compared.
Run = Callable[[int], float]
P = ParamSpec("P")

# What the libraries read when they are imported.
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
ENVIRONMENT = dict.fromkeys(THREADS, "1") | {
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "TORCHINDUCTOR_COMPILE_THREADS": "1",
    "KERAS_BACKEND": "jax",
}
SEED = 0
LEARNING_RATE, BETA1, BETA2, ADAM_EPSILON = 1e-3, 0.9, 0.999, 1e-8
EWMA_DECAY, EPSILON = 0.9, 1e-5
BATCHES = 40
CHECKED_STEPS, TOLERANCE = 3, 1e-4

# The units of the layers, the rows of a batch, the steps that are timed in one go.
SHAPES = (
    ((54, 100, 100, 7), 64, 40),
    ((64, 128, 64, 10), 64, 40),
    ((64, 256, 256, 10), 256, 20),
    ((784, 512, 512, 10), 256, 8),
)


class Task:
    """What everyone gets: `inputs` (n, width), `labels` (n,), and each layer's first weights W (inputs, outputs)."""

    def __init__(self, widths: tuple[int, ...], batch: int, steps: int) -> None:
        self.widths, self.batch, self.steps = widths, batch, steps
        rng = np.random.default_rng(SEED)
        self.inputs = rng.standard_normal((BATCHES * batch, widths[0]), np.float32)
        self.labels = rng.integers(0, widths[-1], BATCHES * batch)
        shapes = pairwise(widths)
        self.weights = [rng.standard_normal(shape, np.float32) / np.float32(math.sqrt(shape[0])) for shape in shapes]

    def __str__(self) -> str:
        return f"{'-'.join(map(str, self.widths))}, batch {self.batch}"

    def batches(self) -> Iterator[npt.NDArray[np.int64]]:
        """The rows of each step, in a new order each epoch: what our MiniBatches draws from the same seed."""
        rng = np.random.default_rng(SEED)
        while True:
            yield from rng.permutation(len(self.inputs)).reshape(BATCHES, self.batch)


def one_by_one(train: Callable[P, Iterator[Any]]) -> Callable[P, Run]:
    """Turn training without an end, which yields the loss of each step, into a run of so many steps at a time."""

    def start(*args: P.args, **kwargs: P.kwargs) -> Run:
        losses = train(*args, **kwargs)
        return lambda steps: float(deque(islice(losses, steps), maxlen=1).pop())

    return start


@one_by_one
def matrix_products(task: Task) -> Iterator[Any]:
    """The floor: a W forward, aᵀ dz for the weights, and dz Wᵀ, which the first layer does not need."""
    activations = [np.ones((task.batch, width), np.float32) for width in task.widths]
    grads = [np.ones_like(values) for values in activations]
    weight_grads = [np.ones_like(weight) for weight in task.weights]
    layers = list(zip(task.weights, weight_grads, pairwise(activations), pairwise(grads), strict=True))
    while True:
        for weight, _, (inputs, outputs), _ in layers:
            np.dot(inputs, weight, out=outputs)
        for weight, weight_grad, (inputs, _), (input_grad, grad) in reversed(layers):
            np.dot(inputs.T, grad, out=weight_grad)
            if inputs is not activations[0]:
                np.dot(grad, weight.T, out=input_grad)
        yield math.nan


@one_by_one
def ours(task: Task, *, compiled: bool = False) -> Iterator[Any]:
    inputs, *hidden, classes = task.widths
    architecture = Architecture(inputs, tuple(hidden), classes, epsilon=EPSILON, ewma_decay=EWMA_DECAY)
    network = build_network(architecture, np.random.default_rng(SEED))
    linears = [layer for layer in network.layers if isinstance(layer, Linear)]
    for linear, weight in zip(linears, task.weights, strict=True):
        linear.weight.value[:] = weight
    optimizer = Adam(network.values, network.grads, beta1=BETA1, beta2=BETA2, epsilon=ADAM_EPSILON)
    step = build_step(network, SoftmaxCrossEntropy(), optimizer, compiled=compiled)
    if compiled and type(step) is NumpyStep:
        raise ImportError("build_step has only the numpy step to give")
    mini_batches = MiniBatches(task.inputs, task.labels, None, task.batch, targets_of(classes))
    rng = np.random.default_rng(SEED)
    while True:
        for rows, targets, weights in mini_batches.shuffled(rng):
            yield step(rows, targets, weights, LEARNING_RATE)


@one_by_one
def pytorch(task: Task, *, compiled: bool = False) -> Iterator[Any]:
    import torch
    from torch import nn

    torch.set_num_threads(1)
    modules: list[Any] = []
    for weight in task.weights:
        linear = nn.Linear(*weight.shape, bias=weight is task.weights[-1])
        linear.weight.data.copy_(torch.from_numpy(weight.T))
        modules += [linear, nn.BatchNorm1d(weight.shape[1], EPSILON, 1.0 - EWMA_DECAY), nn.ReLU()]
    model = nn.Sequential(*modules[:-2])
    nn.init.zeros_(model[-1].bias)
    optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE, (BETA1, BETA2), ADAM_EPSILON, fused=True)
    inputs, labels = torch.from_numpy(task.inputs), torch.from_numpy(task.labels)

    def loss_of(inputs: Any, labels: Any) -> Any:
        return nn.functional.cross_entropy(model(inputs), labels)

    torch.compiler.reset()
    differentiable = torch.compile(loss_of, dynamic=False) if compiled else loss_of
    for batch in task.batches():
        rows = torch.from_numpy(batch)
        optimizer.zero_grad()
        loss = differentiable(inputs.index_select(0, rows), labels.index_select(0, rows))
        loss.backward()
        optimizer.step()
        yield loss.item()


@one_by_one
def jax_jit(task: Task) -> Iterator[Any]:
    import jax
    import jax.numpy as jnp

    def loss_of(parameters: Any, inputs: Any, labels: Any) -> Any:
        moments = []
        *hidden, (weight, bias) = parameters
        for hidden_weight, gamma, beta in hidden:
            z = inputs @ hidden_weight
            mean, variance = z.mean(axis=0), z.var(axis=0)
            moments.append(jnp.stack((mean, variance * (len(z) / (len(z) - 1)))))
            inputs = jax.nn.relu((z - mean) * (gamma * jax.lax.rsqrt(variance + EPSILON)) + beta)
        log_probabilities = jax.nn.log_softmax(inputs @ weight + bias)
        targets = jax.nn.one_hot(labels, len(bias))
        return -(targets * log_probabilities).sum() / len(labels), moments

    def step(state: Any, inputs: Any, labels: Any, rows: Any) -> Any:
        steps, parameters, means, squares, running = state
        batch = jnp.take(inputs, rows, axis=0, mode="clip"), jnp.take(labels, rows, mode="clip")
        (loss, moments), grads = jax.value_and_grad(loss_of, has_aux=True)(parameters, *batch)
        steps += 1.0
        rate = LEARNING_RATE * jnp.sqrt(1.0 - BETA2**steps) / (1.0 - BETA1**steps)
        means = jax.tree.map(lambda m, g: BETA1 * m + (1.0 - BETA1) * g, means, grads)
        squares = jax.tree.map(lambda v, g: BETA2 * v + (1.0 - BETA2) * g * g, squares, grads)
        moves = jax.tree.map(lambda m, v: rate * m / (jnp.sqrt(v) + ADAM_EPSILON), means, squares)
        parameters = jax.tree.map(jnp.subtract, parameters, moves)
        running = jax.tree.map(lambda old, new: EWMA_DECAY * old + (1.0 - EWMA_DECAY) * new, running, moments)
        return (steps, parameters, means, squares, running), loss

    *hidden, last = task.weights
    parameters: list[Any] = [(jnp.array(w), jnp.ones(w.shape[1]), jnp.zeros(w.shape[1])) for w in hidden]
    parameters.append((jnp.array(last), jnp.zeros(last.shape[1])))
    means, squares = (jax.tree.map(jnp.zeros_like, parameters) for _ in range(2))
    state = (jnp.zeros(()), parameters, means, squares, [jnp.zeros((2, w.shape[1])) for w in hidden])
    inputs, labels = jnp.array(task.inputs), jnp.array(task.labels)
    compiled = jax.jit(step, donate_argnums=0)
    for rows in task.batches():
        state, loss = compiled(state, inputs, labels, rows)
        yield loss


def keras_fit(task: Task) -> Run:
    """A slice is one fit and one execution: train_on_batch is slower, on small shapes by far."""
    import keras

    layers: list[Any] = []
    for weight in task.weights:
        dense = keras.layers.Dense(weight.shape[1], use_bias=weight is task.weights[-1])
        dense.build((None, weight.shape[0]))
        dense.kernel.assign(weight)
        norm = keras.layers.BatchNormalization(momentum=EWMA_DECAY, epsilon=EPSILON)
        layers += [dense, norm, keras.layers.ReLU()]
    model = keras.Sequential(layers[:-2])
    adam = keras.optimizers.Adam(LEARNING_RATE, BETA1, BETA2, ADAM_EPSILON)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(adam, loss, steps_per_execution=task.steps, jit_compile=True)
    batches = task.batches()

    def run(steps: int) -> float:
        rows = np.concatenate(list(islice(batches, steps)))
        inputs, labels = task.inputs[rows], task.labels[rows]
        history = model.fit(inputs, labels, batch_size=task.batch, shuffle=False, verbose=0)
        return float(history.history["loss"][-1])

    return run


def scikit_learn(task: Task) -> Run:
    """A slice is one epoch of fit: partial_fit for each mini-batch is slower, on small shapes by far."""
    from sklearn.neural_network import MLPClassifier

    settings = {"learning_rate_init": LEARNING_RATE, "alpha": 0.0, "max_iter": 1, "warm_start": True}
    model = MLPClassifier(task.widths[1:-1], batch_size=task.batch, **settings)

    def run(steps: int) -> float:
        rows = slice(steps * task.batch)
        with warnings.catch_warnings(action="ignore"):
            model.fit(task.inputs[rows], task.labels[rows])
        return math.nan

    return run


FLOOR, OURS, COMPILED, PYTORCH = "floor: matrix products alone", "ours, numpy", "ours, compiled", "PyTorch, eager"
CONTESTANTS: dict[str, Callable[[Task], Run]] = {
    FLOOR: matrix_products,
    OURS: ours,
    COMPILED: partial(ours, compiled=True),
    PYTORCH: pytorch,
    "PyTorch, torch.compile": partial(pytorch, compiled=True),
    "JAX, jit": jax_jit,
    "Keras on JAX, fit": keras_fit,
    "scikit-learn, fit (no batch norm)": scikit_learn,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--ours", action="store_true", help=argparse.SUPPRESS)  # what --threads starts
    options = parser.parse_args()
    if options.ours:
        print(json.dumps([time_ours(Task(*shape), options.rounds) for shape in SHAPES]))
    elif options.threads:
        compare_threads(options.threads, options.rounds)
    else:
        keep_to_one_core()
        measure = measure_memory if options.memory else partial(compare, rounds=options.rounds)
        for task in (Task(*shape) for shape in SHAPES):
            print(f"\n{task}")
            measure(task)


def keep_to_one_core() -> None:
    if any(os.environ.get(name) != value for name, value in ENVIRONMENT.items()):
        # numpy is here already and has read its environment: begin again with the right one.
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | ENVIRONMENT)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def compare(task: Task, rounds: int) -> None:
    runs = enter(task, CONTESTANTS)
    times: dict[str, list[float]] = {name: [] for name in runs}
    shuffler = random.Random(SEED)
    for _ in range(rounds):
        for name in shuffler.sample(list(runs), len(runs)):
            times[name].append(microseconds(runs[name], task.steps))
    print(f"{'':36}{'µs a step':>12}{'x PyTorch':>12}{'of floor':>12}")
    for name, own in times.items():
        faster, share = (np.median(np.divide(times.get(peer, math.nan), own)) for peer in (PYTORCH, FLOOR))
        print(f"{name:36}{np.median(own):12.1f}{faster:12.2f}{share:12.2f}")


def enter(task: Task, names: Iterable[str]) -> dict[str, Run]:
    """Whoever can be had, compiled and in agreement with us, who come first, about the first losses."""
    runs: dict[str, Run] = {}
    expected: list[float] = []
    for name in names:
        try:
            run = CONTESTANTS[name](task)
            losses = [run(1) for _ in range(CHECKED_STEPS)]
        except (ImportError, RuntimeError) as error:
            print(f"left out: {name}: {error!r:.200}")
            continue
        if not math.isnan(losses[0]):
            expected = expected or losses
            assert np.allclose(losses, expected, rtol=0.0, atol=TOLERANCE), f"{name}: {losses}, not {expected}"
        runs[name] = run
    return runs


def microseconds(run: Run, steps: int) -> float:
    """One step's share of a slice, after a step that brings its data back into the cache."""
    run(1)
    started = time.perf_counter()
    run(steps)
    return (time.perf_counter() - started) / steps * 1e6


def measure_memory(task: Task) -> None:
    """What a step allocates beside what it holds; memory that compiled code takes for itself is not seen."""
    for name, run in enter(task, (OURS, COMPILED)).items():
        tracemalloc.start()
        run(1)
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        run(1)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        print(f"{name:36}{(peak - held) / 1024:12.1f} KiB")


def compare_threads(threads: int, rounds: int) -> None:
    """Start us with one and with many threads in turn: what BLAS reads at its import holds for the whole process."""
    command = [sys.executable, __file__, "--ours", "--rounds", str(rounds)]
    times: dict[int, list[list[float]]] = {1: [], threads: []}
    for number in [1, threads] * 5:
        environment = os.environ | dict.fromkeys(THREADS, str(number))
        times[number].append(json.loads(subprocess.check_output(command, env=environment)))
    ratios = np.median(np.divide(times[1], times[threads]), axis=0)
    for shape, alone, faster in zip(SHAPES, np.median(times[1], axis=0), ratios, strict=True):
        print(f"{Task(*shape)!s:36}{alone:12.1f} µs a step with 1 thread, {faster:.2f} x with {threads}")


def time_ours(task: Task, rounds: int) -> float:
    run = ours(task)
    return float(np.median([microseconds(run, task.steps) for _ in range(rounds)]))


if __name__ == "__main__":
    main()
