"""Every backward pass against central differences in float64."""

from collections.abc import Callable

import numpy as np
import pytest

from trainer.arrays import Array
from trainer.nn.activations import ACTIVATIONS
from trainer.nn.architecture import Architecture, build_network
from trainer.nn.batch_norm import BatchNorm
from trainer.nn.batches import BatchWeights
from trainer.nn.embeddings import Periodic
from trainer.nn.layers import Dropout, Layer, Linear
from trainer.nn.loss import SoftmaxCrossEntropy, targets_of
from trainer.nn.network import Network

ROWS, UNITS, CLASSES = 7, 4, 3
TOLERANCE = 1e-6  # relative to the largest part of the gradient


def differences(of: Callable[[], float], values: Array, step: float = 1e-6) -> Array:
    """Central differences of a number by each of `values`, which it depends on in place."""
    quotients = np.empty_like(values)
    for place in np.ndindex(values.shape):
        value = values[place]
        ends = []
        for moved in (value + step, value - step):
            values[place] = moved
            ends.append(of())
        values[place] = value
        quotients[place] = (ends[0] - ends[1]) / (2 * step)
    return quotients


def assert_same(analytic: Array, numeric: Array) -> None:
    assert np.abs(analytic - numeric).max() <= TOLERANCE * np.abs(numeric).max()


def some_weights(rng: np.random.Generator) -> BatchWeights:
    return BatchWeights.of(rng.uniform(0.1, 3.0, ROWS))


WEIGHTS = {"equal": lambda rng: BatchWeights.equal(ROWS, np.float64), "weighted": some_weights}
LAYERS: dict[str, Callable[[np.random.Generator], Layer]] = {
    "linear": lambda rng: Linear(UNITS, 5, rng),
    "linear with bias": lambda rng: Linear(UNITS, 5, rng, bias=rng.normal(size=5)),
    "batch norm": lambda rng: BatchNorm(UNITS),
    "batch norm after": lambda rng: BatchNorm(UNITS, in_place=False),
    "periodic": lambda rng: Periodic([0, 2], rng, deviation=0.3, frequencies=3, outputs=2),
    **{name: lambda rng, kind=kind: kind() for name, kind in ACTIVATIONS.items()},  # type: ignore[misc]
}


@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_a_layer_by_its_inputs_and_by_its_parameters(
    layer: Callable[[np.random.Generator], Layer],
    weights: Callable[[np.random.Generator], BatchWeights],
    rng: np.random.Generator,
) -> None:
    """Batch norm's each row moves the mean and the variance of all, by its weight."""
    tested, counted = layer(rng), weights(rng)
    for parameter in tested.parameters:
        parameter.value += 0.3 * rng.normal(size=parameter.value.shape)
    inputs = rng.normal(size=(ROWS, UNITS))
    cotangent = rng.normal(size=tested.forward(inputs.copy(), counted).shape)

    def value() -> float:
        return float((cotangent * tested.forward(inputs.copy(), counted)).sum())

    by_inputs = differences(value, inputs)
    by_parameters = [differences(value, parameter.value) for parameter in tested.parameters]
    value()
    assert_same(tested.backward(cotangent.copy()), by_inputs)
    for parameter, numeric in zip(tested.parameters, by_parameters, strict=True):
        assert_same(parameter.grad, numeric)


@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_by_the_logits(
    smoothing: float, weights: Callable[[np.random.Generator], BatchWeights], rng: np.random.Generator
) -> None:
    """Softmax cross-entropy, smoothed or not, weighted or not: share (p - target)."""
    logits, labels, counted = rng.normal(size=(ROWS, CLASSES)), rng.integers(CLASSES, size=ROWS), weights(rng)
    loss, targets = SoftmaxCrossEntropy(), targets_of(CLASSES, smoothing, np.float64)[labels]
    numeric = differences(lambda: loss.forward(logits, targets, counted), logits)
    loss.forward(logits, targets, counted)

    assert_same(loss.backward(), numeric)


@pytest.mark.parametrize("hidden", [(), (4,), (5, 4, 3)], ids=str)
@pytest.mark.parametrize("place", ["before", "after", "none"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_whole_network(activation: str, place: str, hidden: tuple[int, ...], rng: np.random.Generator) -> None:
    """Any activation, batch norm before, after or nowhere, any depth: the loss by every parameter."""
    network = build_network(Architecture(UNITS, hidden, CLASSES, activation, place), rng, dtype=np.float64)  # type: ignore[arg-type]
    network.values += 0.3 * rng.normal(size=network.values.shape)
    assert_gradient(network, rng)


def assert_gradient(network: Network, rng: np.random.Generator) -> None:
    loss = SoftmaxCrossEntropy()
    inputs, labels = rng.normal(size=(ROWS, UNITS)), rng.integers(CLASSES, size=ROWS)
    targets = targets_of(CLASSES, 0.1, np.float64)[labels]
    weights = some_weights(rng)

    def value() -> float:
        return loss.forward(network.forward(inputs, weights), targets, weights)

    numeric = differences(value, network.values)
    value()
    network.backward(loss.backward())
    assert_same(network.grads, numeric)


def test_dropout_lets_the_gradient_through_where_it_let_the_values_through(rng: np.random.Generator) -> None:
    """What is left grows by 1 / (1 - rate), so that the mean stays; at test time nothing happens."""
    layer = Dropout(0.25, rng)
    ones = np.ones((400, 50))
    out = layer.forward(ones, BatchWeights.equal(400, np.float64)).copy()

    assert set(np.unique(out)) == {0.0, 1 / 0.75}
    assert out.mean() == pytest.approx(1.0, abs=0.02)
    np.testing.assert_array_equal(layer.backward(np.ones_like(ones)), out)
    assert layer.infer(ones) is ones
