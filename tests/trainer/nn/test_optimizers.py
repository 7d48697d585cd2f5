import numpy as np
import pytest

from trainer.nn.optimizers import (
    BLOCK,
    OPTIMIZERS,
    Adam,
    AdamW,
    GradientDescent,
    Momentum,
    Nesterov,
    Optimizer,
    RMSprop,
)


def two_steps(kind: type[Optimizer], **settings: float) -> list[float]:
    """From w = 1, two steps of size 0.1 with the gradients 0.5 and 0.25."""
    values, grads = np.array([1.0]), np.array([0.0])
    optimizer = kind(values, grads, epsilon=0.0, **settings)  # type: ignore[arg-type]
    seen = []
    for gradient in (0.5, 0.25):
        grads[:] = gradient
        optimizer.step(0.1)
        seen.append(float(values[0]))
    return seen


def test_gradient_descent_by_hand() -> None:
    """1 - 0.05, then - 0.025."""
    assert two_steps(GradientDescent) == pytest.approx([0.95, 0.925])


def test_momentum_by_hand() -> None:
    """Velocities 0.5 and 0.9 · 0.5 + 0.25 = 0.7."""
    assert two_steps(Momentum) == pytest.approx([0.95, 0.88])


def test_nesterov_by_hand() -> None:
    """Steps 0.5 + 0.9 · 0.5 = 0.95, then 0.25 + 0.9 · 0.7 = 0.88."""
    assert two_steps(Nesterov) == pytest.approx([0.905, 0.817])


def test_rmsprop_by_hand() -> None:
    """s = 0.1 · 0.25 = 0.025, then 0.9 · 0.025 + 0.1 · 0.0625 = 0.02875, with beta2 = 0.9."""
    first = 1 - 0.1 * 0.5 / np.sqrt(0.025)
    assert two_steps(RMSprop, beta2=0.9) == pytest.approx([first, first - 0.1 * 0.25 / np.sqrt(0.02875)])


def test_adam_by_hand() -> None:
    """The first step is the learning rate, whatever the gradient's size; the second is worked out in full.

    m̂ = (0.9 · 0.05 + 0.1 · 0.25) / 0.19, v̂ = (0.999 · 0.00025 + 0.001 · 0.0625) / 0.001999.
    """
    step = 0.1 * ((0.045 + 0.025) / 0.19) / np.sqrt((0.999 * 0.00025 + 0.001 * 0.0625) / 0.001999)
    assert two_steps(Adam) == pytest.approx([0.9, 0.9 - step])


def test_adamw_by_hand() -> None:
    """The value shrinks by rate · decay before Adam's step, which does not see the decay."""
    first = 1 * (1 - 0.1 * 0.01) - 0.1
    assert two_steps(AdamW, weight_decay=0.01)[0] == pytest.approx(first)


def test_epsilon_is_added_to_the_corrected_root() -> None:
    """As in Algorithm 1: with a gradient of 1 and epsilon 1 the first step is half the learning rate."""
    values = np.array([0.0])
    Adam(values, np.array([1.0]), epsilon=1.0).step(0.1)

    assert values == pytest.approx([-0.05])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_finds_the_minimum_of_the_course(name: str) -> None:
    """w² - 10 w + 25 is least at w = 5."""
    values, grads = np.array([0.0]), np.array([0.0])
    optimizer = OPTIMIZERS[name](values, grads)
    for number in range(3000):
        grads[:] = 2 * values - 10
        optimizer.step(0.05 * 0.997**number)

    assert values == pytest.approx([5], abs=1e-3)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weight_decay_leaves_gamma_and_beta_alone(name: str) -> None:
    """With no gradient, what is decayed shrinks and everything behind it stays."""
    values = np.ones(4)
    optimizer = OPTIMIZERS[name](values, np.zeros(4), weight_decay=0.1, decayed=2)
    optimizer.step(0.01)

    assert (values[:2] < 1).all()
    assert (values[2:] == 1).all()


def test_a_vector_longer_than_the_cache_is_updated_whole() -> None:
    """Block by block, to the end."""
    values = np.zeros(2 * BLOCK + 3)
    Adam(values, np.ones_like(values)).step(0.1)

    np.testing.assert_allclose(values, -0.1, rtol=1e-6)
