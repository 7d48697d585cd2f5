import numpy as np
import pytest

from trainer.nn.architecture import Architecture, build_network
from trainer.nn.batch_norm import BatchNorm
from trainer.nn.batches import BatchWeights
from trainer.nn.network import population_moments, running_moments

UNITS = 4


def test_inference_does_not_depend_on_the_other_rows(rng: np.random.Generator) -> None:
    """A row alone and the same row in a batch get the same prediction."""
    network = build_network(Architecture(UNITS, (8, 8), 2), rng)
    inputs = rng.normal(size=(64, UNITS)).astype(np.float32)
    weights = BatchWeights.equal(64)
    network.forward(inputs, weights)
    network.track(weights)
    network.freeze(running_moments(network))

    # Products of different shapes may add in another order: float32 rounding over three layers.
    np.testing.assert_allclose(network.predict(inputs)[:1], network.predict(inputs[:1]), rtol=1e-5)


def test_many_rows_are_predicted_piece_by_piece(rng: np.random.Generator) -> None:
    """However many there are, each gets its own answer, in order."""
    network = build_network(Architecture(UNITS, (8,), 2, batch_norm="none"), rng)
    network.values += rng.normal(size=network.values.shape).astype(np.float32)
    inputs = rng.normal(size=(2500, UNITS)).astype(np.float32)

    np.testing.assert_allclose(network.predict(inputs)[2047:2050], network.predict(inputs[2047:2050]), rtol=1e-5)


def test_the_first_prediction_is_the_share_of_each_class(rng: np.random.Generator) -> None:
    """Whatever the inputs: the last layer starts at zero, with the log of the shares as its bias."""
    network = build_network(Architecture(UNITS, (), 2), rng, class_shares=np.array([0.25, 0.75]))

    np.testing.assert_allclose(network.predict(np.ones((2, UNITS), np.float32)), [[0.25, 0.75]] * 2, rtol=1e-6)


def test_parameters_live_in_one_flat_vector(rng: np.random.Generator) -> None:
    """A step over the vector is a step of every layer; what weight decay pulls comes first, and is W alone."""
    network = build_network(Architecture(UNITS, (3,), 2), rng)
    network.values[:] = 7
    network.values[: network.decayed] = 5

    for layer in network.layers:
        for parameter in layer.parameters:
            assert (parameter.value == (5 if parameter.value.ndim == 2 else 7)).all()
    assert len(network.values) == UNITS * 3 + 3 + 3 + 3 * 2 + 2
    assert network.decayed == UNITS * 3 + 3 * 2


def test_a_state_brings_everything_back(rng: np.random.Generator) -> None:
    """Values and running statistics, to the bit."""
    network = build_network(Architecture(UNITS, (3,), 2), rng)
    inputs, weights = rng.normal(size=(9, UNITS)).astype(np.float32), BatchWeights.equal(9)
    network.forward(inputs, weights)
    network.track(weights)
    state, before = network.state(), network.forward(inputs, weights).copy()
    network.values += 1
    network.track(weights)
    network.restore(state)

    np.testing.assert_array_equal(network.forward(inputs, weights), before)
    assert network.running.batches == 1


def test_the_population_of_the_first_layer_is_exact(rng: np.random.Generator) -> None:
    """Its z depends on no statistics, so one pass finds the true mean and variance of all rows."""
    network = build_network(Architecture(5, (4, 3), 2), rng)
    inputs = rng.normal(size=(103, 5)).astype(np.float32)
    z = inputs @ network.layers[0].parameters[0].value
    first, second = network.by_layer(population_moments(network, inputs, batch_size=17))

    np.testing.assert_allclose(first.mean, z.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(first.variance, z.var(axis=0, ddof=1), rtol=1e-5)
    assert second.mean.shape == (3,)


def test_the_population_pass_leaves_dropout_out(rng: np.random.Generator) -> None:
    """As test time will: the second layer's statistics are those of a network without dropout."""
    with_dropout = build_network(Architecture(5, (4, 3), 2, dropout=0.5), rng)
    without = build_network(Architecture(5, (4, 3), 2), rng)
    without.values[:] = with_dropout.values
    inputs = rng.normal(size=(100, 5)).astype(np.float32)

    for measured, expected in zip(
        *(population_moments(one, inputs, 25) for one in (with_dropout, without)), strict=True
    ):
        np.testing.assert_array_equal(measured, expected)


def test_weights_weigh_the_population(rng: np.random.Generator) -> None:
    """A row of weight 2 is that row twice."""
    network = build_network(Architecture(5, (4,), 2), rng)
    inputs, counts = rng.normal(size=(40, 5)).astype(np.float32), rng.integers(1, 4, 40)
    weighted = population_moments(network, inputs, 64, counts.astype(np.float32))
    repeated = population_moments(network, np.repeat(inputs, counts, axis=0), 1000)

    np.testing.assert_allclose(weighted.mean, repeated.mean, atol=1e-5)
    np.testing.assert_allclose(weighted.variance, repeated.variance, rtol=1e-4)


@pytest.mark.parametrize(("place", "kinds"), [("before", "LBRLBRL"), ("after", "LRBLRBL"), ("none", "LRLRL")])
def test_batch_norm_stands_where_it_was_asked_to(place: str, kinds: str, rng: np.random.Generator) -> None:
    """And the linear layer has no bias exactly where batch norm would take it away again."""
    network = build_network(Architecture(UNITS, (3, 3), 2, batch_norm=place), rng)  # type: ignore[arg-type]

    assert "".join(type(layer).__name__[0] for layer in network.layers) == kinds
    biases = [len(layer.parameters) == 2 for layer in network.layers if type(layer).__name__ == "Linear"]
    assert biases == [place != "before"] * 2 + [True]
    assert len(network.batch_norms) == sum(isinstance(layer, BatchNorm) for layer in network.layers)
