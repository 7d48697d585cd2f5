import numpy as np
import pytest

from trainer.arrays import Array
from trainer.nn.batch_norm import BatchNorm
from trainer.nn.layers import Layer, Linear, Relu
from trainer.nn.loss import cross_entropy, cross_entropy_grad, softmax
from trainer.nn.network import Network, build_network

ROWS, UNITS = 7, 4


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def network_of(*layers: Layer) -> Network:
    return Network(layers, dtype=np.float64)


def difference_quotient(network: Network, inputs: Array, cotangent: Array, step: float = 1e-6) -> Array:
    """Central differences of Σ cotangent · outputs by every parameter, in float64."""
    quotients = np.empty_like(network.values)
    for index, value in enumerate(network.values.copy()):
        ends = []
        for moved in (value + step, value - step):
            network.values[index] = moved
            ends.append(float((cotangent * network.forward(inputs, training=True)).sum()))
        network.values[index] = value
        quotients[index] = (ends[0] - ends[1]) / (2 * step)
    return quotients


@pytest.mark.parametrize("kind", ["linear", "batch norm", "both and relu"])
def test_gradients_agree_with_differences(kind: str, rng: np.random.Generator) -> None:
    """Analytic and central-difference gradients of every parameter, in float64, within 1e-6."""
    layers: dict[str, list[Layer]] = {
        "linear": [Linear(UNITS, 3, rng, bias=rng.normal(size=3))],
        "batch norm": [BatchNorm(UNITS)],
        "both and relu": [Linear(UNITS, 5, rng), BatchNorm(5), Relu(), Linear(5, 3, rng, bias=np.zeros(3))],
    }
    network = network_of(*layers[kind])
    network.values += 0.1 * rng.normal(size=network.values.shape)
    inputs = rng.normal(size=(ROWS, UNITS))
    cotangent = rng.normal(size=network.forward(inputs, training=True).shape)
    network.backward(cotangent)

    np.testing.assert_allclose(network.grads, difference_quotient(network, inputs, cotangent), rtol=1e-6, atol=1e-8)


def test_batch_norm_passes_the_gradient_through_its_statistics(rng: np.random.Generator) -> None:
    """The gradient by the inputs, where each row moves the mean and the variance of all."""
    layer = BatchNorm(UNITS)
    network_of(layer)
    inputs, cotangent = rng.normal(size=(2, ROWS, UNITS))
    layer.forward(inputs, training=True)
    analytic = layer.backward(cotangent)
    numeric = np.empty_like(inputs)
    for place in np.ndindex(inputs.shape):
        moved = np.zeros_like(inputs)
        moved[place] = 1e-6
        ends = [(cotangent * layer.forward(inputs + sign * moved, training=True)).sum() for sign in (1, -1)]
        numeric[place] = (ends[0] - ends[1]) / 2e-6

    np.testing.assert_allclose(analytic, numeric, rtol=1e-6, atol=1e-8)


def test_the_gradient_of_the_loss_agrees_with_differences(rng: np.random.Generator) -> None:
    """Softmax cross-entropy by the logits: (p - onehot) / n."""
    logits, labels = rng.normal(size=(ROWS, 3)), rng.integers(3, size=ROWS)
    numeric = np.empty_like(logits)
    for place in np.ndindex(logits.shape):
        moved = np.zeros_like(logits)
        moved[place] = 1e-6
        ends = [cross_entropy(softmax(logits + sign * moved), labels) for sign in (1, -1)]
        numeric[place] = (ends[0] - ends[1]) / 2e-6

    np.testing.assert_allclose(cross_entropy_grad(softmax(logits), labels), numeric, rtol=1e-6, atol=1e-9)


def test_softmax_of_the_course() -> None:
    """exp(5, 2, -1, 3) is (148.4, 7.4, 0.4, 20.1), their sum 176.3: shares 0.842, 0.042, 0.002, 0.114."""
    assert softmax(np.array([[5.0, 2.0, -1.0, 3.0]])).round(3).tolist() == [[0.842, 0.042, 0.002, 0.114]]


def test_softmax_takes_any_logits() -> None:
    """Large ones do not overflow, and each row sums to one."""
    probabilities = softmax(np.array([[1e4, 0.0, -1e4], [3.0, 3.0, 3.0]], np.float32))

    np.testing.assert_allclose(probabilities, np.array([[1, 0, 0], [1 / 3, 1 / 3, 1 / 3]]), rtol=1e-6)


def test_batch_norm_by_hand() -> None:
    """Of z = 1, 3: mean 2, population variance 1, so ẑ = ∓1; with gamma 2 and beta 5 that is 3 and 7."""
    layer = BatchNorm(1, epsilon=0.0)
    layer.gamma.value[:], layer.beta.value[:] = 2, 5

    assert layer.forward(np.array([[1.0], [3.0]]), training=True).ravel().tolist() == [3, 7]


def test_a_constant_added_to_z_changes_nothing(rng: np.random.Generator) -> None:
    """Which is why the linear layer before has no bias: beta replaces it."""
    inputs = rng.normal(size=(ROWS, UNITS))
    layer = BatchNorm(UNITS)

    shifted = layer.forward(inputs + 100.0, training=True)
    np.testing.assert_allclose(shifted, layer.forward(inputs, training=True), atol=1e-12)


def test_gamma_and_beta_can_undo_the_normalisation(rng: np.random.Generator) -> None:
    """With gamma = sqrt(variance + epsilon) and beta = mean, batch norm is the identity."""
    inputs = rng.normal(3.0, 2.0, size=(ROWS, UNITS))
    layer = BatchNorm(UNITS)
    layer.gamma.value = np.sqrt(inputs.var(axis=0) + layer.epsilon)
    layer.beta.value = inputs.mean(axis=0)

    np.testing.assert_allclose(layer.forward(inputs, training=True), inputs, rtol=1e-12)


def test_training_and_inference_differ_until_the_statistics_are_the_same(rng: np.random.Generator) -> None:
    """The batch's own statistics are not the frozen ones, and nothing but them makes the difference."""
    inputs = rng.normal(size=(ROWS, UNITS))
    layer = BatchNorm(UNITS, ewma_decay=0.0)
    training = layer.forward(rng.normal(size=(ROWS, UNITS)), training=True)
    layer.track()
    assert not np.allclose(layer.forward(inputs, training=False), training)

    training = layer.forward(inputs, training=True)
    layer.track()
    unbiased = np.sqrt(
        (layer.batch_variance + layer.epsilon) / (layer.batch_variance * ROWS / (ROWS - 1) + layer.epsilon)
    )
    np.testing.assert_allclose(layer.forward(inputs, training=False), training * unbiased, rtol=1e-12)


def test_inference_does_not_depend_on_the_other_rows(rng: np.random.Generator) -> None:
    """A row alone and the same row in a batch get the same prediction."""
    network = build_network(UNITS, (8, 8), np.array([3, 4]), epsilon=1e-5, ewma_decay=0.9, rng=rng)
    inputs = rng.normal(size=(64, UNITS)).astype(np.float32)
    network.forward(inputs, training=True)
    network.track()

    # Products of different shapes may add in another order: float32 rounding over three layers.
    np.testing.assert_allclose(network.predict(inputs)[:1], network.predict(inputs[:1]), rtol=1e-5)


def test_the_first_prediction_is_the_share_of_each_class(rng: np.random.Generator) -> None:
    """Whatever the inputs: the last layer starts at zero, with the log of the shares as its bias."""
    network = build_network(UNITS, (), np.array([1, 3]), epsilon=1e-5, ewma_decay=0.9, rng=rng)

    np.testing.assert_allclose(network.predict(np.ones((2, UNITS), np.float32)), [[0.25, 0.75]] * 2, rtol=1e-6)


def test_parameters_live_in_one_flat_vector(rng: np.random.Generator) -> None:
    """A step over the vector is a step of every layer."""
    network = build_network(UNITS, (3,), np.array([1, 1]), epsilon=1e-5, ewma_decay=0.9, rng=rng)
    network.values[:] = 7

    assert all((parameter.value == 7).all() for layer in network.layers for parameter in layer.parameters)
    assert len(network.values) == UNITS * 3 + 3 + 3 + 3 * 2 + 2
