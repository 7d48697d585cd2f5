import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.arrays import Array
from trainer.errors import NoStatistics
from trainer.nn.batch_norm import BatchNorm
from trainer.nn.batches import BatchWeights
from trainer.nn.statistics import Moments

ROWS, UNITS = 7, 4
SEEDS = st.integers(0, 2**32 - 1)


def normalise(inputs: Array, weights: BatchWeights | None = None, layer: BatchNorm | None = None) -> Array:
    """What a fresh layer makes of a copy of z, in float64."""
    layer = layer or BatchNorm(inputs.shape[1], epsilon=0.0)
    return layer.forward(inputs.copy(), weights or BatchWeights.equal(len(inputs), np.float64)).copy()


def test_by_hand() -> None:
    """Of z = 1, 3: mean 2, population variance 1, so ẑ = ∓1; with gamma 2 and beta 5 that is 3 and 7."""
    layer = BatchNorm(1, epsilon=0.0)
    layer.gamma.value[:], layer.beta.value[:] = 2, 5

    assert normalise(np.array([[1.0], [3.0]]), layer=layer).ravel().tolist() == [3, 7]


def test_by_hand_with_weights() -> None:
    """Of z = 1, 4 with weights 2, 1: mean 2, variance (2 · 1 + 1 · 4) / 3 = 2, so ẑ = -1/√2 and 2/√2."""
    layer = BatchNorm(1, epsilon=0.0)
    out = normalise(np.array([[1.0], [4.0]]), BatchWeights.of(np.array([2.0, 1.0])), layer)

    assert (layer.batch_mean[0], layer.batch_variance[0]) == (pytest.approx(2), pytest.approx(2))
    assert out.ravel() == pytest.approx([-1 / np.sqrt(2), 2 / np.sqrt(2)])


def test_gamma_and_beta_can_undo_the_normalisation(rng: np.random.Generator) -> None:
    """With gamma = √(σ² + ε) and beta = μ, batch norm is the identity."""
    inputs = rng.normal(3.0, 2.0, size=(ROWS, UNITS))
    layer = BatchNorm(UNITS)
    layer.gamma.value = np.sqrt(inputs.var(axis=0) + layer.epsilon)
    layer.beta.value = inputs.mean(axis=0)

    np.testing.assert_allclose(normalise(inputs, layer=layer), inputs, rtol=1e-12)


@given(SEEDS, st.floats(-1e3, 1e3))
def test_a_constant_added_to_z_changes_nothing(seed: int, constant: float) -> None:
    """Which is why the linear layer before has no bias: beta replaces it."""
    inputs = np.random.default_rng(seed).normal(size=(ROWS, UNITS))

    np.testing.assert_allclose(normalise(inputs + constant), normalise(inputs), atol=1e-9)


@given(SEEDS, st.floats(1e-3, 1e3))
def test_the_scale_of_z_changes_nothing(seed: int, scale: float) -> None:
    """BN(aWu) = BN(Wu) (Ioffe & Szegedy 2015, section 3.3), a negative factor but for the sign."""
    inputs = np.random.default_rng(seed).normal(size=(ROWS, UNITS))

    np.testing.assert_allclose(normalise(inputs * scale), normalise(inputs), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(normalise(inputs * -scale), -normalise(inputs), rtol=1e-5, atol=1e-6)


@given(SEEDS)
def test_the_order_of_the_rows_changes_nothing(seed: int) -> None:
    """Each row gets what it would get anywhere in the batch, weighted or not."""
    rng = np.random.default_rng(seed)
    inputs, weights, order = rng.normal(size=(ROWS, UNITS)), rng.uniform(0.1, 2, ROWS), rng.permutation(ROWS)

    np.testing.assert_allclose(normalise(inputs[order]), normalise(inputs)[order], atol=1e-12)
    np.testing.assert_allclose(
        normalise(inputs[order], BatchWeights.of(weights[order])),
        normalise(inputs, BatchWeights.of(weights))[order],
        atol=1e-12,
    )


@given(SEEDS)
def test_a_row_of_weight_two_is_that_row_twice(seed: int) -> None:
    """In the statistics, their unbiased form included."""
    rng = np.random.default_rng(seed)
    inputs, counts = rng.normal(size=(ROWS, UNITS)), rng.integers(1, 4, ROWS)
    repeated, weighted = BatchNorm(UNITS), BatchNorm(UNITS)
    equal, weights = BatchWeights.equal(counts.sum(), np.float64), BatchWeights.of(counts.astype(np.float64))
    normalise(np.repeat(inputs, counts, axis=0), equal, repeated)
    normalise(inputs, weights, weighted)

    np.testing.assert_allclose(weighted.batch_mean, repeated.batch_mean, atol=1e-12)
    np.testing.assert_allclose(
        weighted.batch_variance * weights.bessel, repeated.batch_variance * equal.bessel, atol=1e-12
    )


def test_training_and_inference_differ_until_the_statistics_are_the_same(rng: np.random.Generator) -> None:
    """The batch's own statistics are not the frozen ones, and nothing but them makes the difference."""
    inputs = rng.normal(size=(ROWS, UNITS))
    layer = BatchNorm(UNITS)
    layer.frozen = Moments(np.zeros(UNITS), np.ones(UNITS))
    training = normalise(inputs, layer=layer)
    assert not np.allclose(layer.infer(inputs), training)

    layer.frozen = Moments(layer.batch_mean.astype(np.float64), layer.batch_variance.astype(np.float64))
    np.testing.assert_allclose(layer.infer(inputs), training, rtol=1e-12)


def test_nothing_frozen_means_no_inference() -> None:
    """A layer that saw no batch has nothing to normalise a single row with."""
    with pytest.raises(NoStatistics, match="has seen no batch"):
        BatchNorm(2).infer(np.zeros((1, 2)))


def test_a_unit_that_is_constant_gives_beta() -> None:
    """Its variance is zero; epsilon keeps the division finite."""
    layer = BatchNorm(1)
    layer.beta.value[:] = 0.5

    assert (normalise(np.full((ROWS, 1), 1e8), layer=layer) == 0.5).all()
