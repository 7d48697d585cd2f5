import numpy as np
import pytest

from trainer.nn.optimizers import Adam


def test_adam_by_hand() -> None:
    """The first step is the learning rate, whatever the gradient's size; the second is worked out in full."""
    values, grads = np.array([1.0]), np.array([0.5])
    adam = Adam(values, grads, beta1=0.9, beta2=0.999, epsilon=0.0)
    adam.step(0.1)
    assert values == pytest.approx([0.9])

    # m̂ = (0.9 * 0.05 + 0.1 * 0.25) / 0.19, v̂ = (0.999 * 0.00025 + 0.001 * 0.0625) / 0.001999
    grads[:] = 0.25
    adam.step(0.1)
    expected = 0.9 - 0.1 * ((0.045 + 0.025) / 0.19) / np.sqrt((0.999 * 0.00025 + 0.001 * 0.0625) / 0.001999)
    assert values == pytest.approx([expected])


def test_epsilon_is_added_to_the_corrected_root() -> None:
    """As in Algorithm 1: with a gradient of 1 and epsilon 1 the first step is half the learning rate."""
    values = np.array([0.0])
    Adam(values, np.array([1.0]), epsilon=1.0).step(0.1)

    assert values == pytest.approx([-0.05])


def test_adam_finds_the_minimum_of_the_course() -> None:
    """w² - 10 w + 25 is least at w = 5."""
    values, grads = np.array([0.0]), np.array([0.0])
    adam = Adam(values, grads)
    for _ in range(2000):
        grads[:] = 2 * values - 10
        adam.step(0.05)

    assert values == pytest.approx([5], abs=1e-4)
