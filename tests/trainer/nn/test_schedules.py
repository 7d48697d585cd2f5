import numpy as np
import pytest

from trainer.nn.architecture import Architecture, build_network
from trainer.nn.schedules import SCHEDULES, learning_rates

# The factor at the start, after an eighth, a quarter, half and three quarters of the way, and at its end.
WORKED = {
    "constant": [1, 1, 1, 1, 1, 1],
    "step": [1, 1, 1, 0.1, 0.01, 0.01],
    "cosine": [1, 0.9619, 0.8536, 0.5, 0.1464, 0],
    # log2(1 + 15 t) is 0, 1.524, 2.248, 3.087, 3.615, 4; a wave is (1 - cos 2πx) / 2, whatever whole number x is past.
    "coslog4": [0, 0.9945, 0.4935, 0.0736, 0.8757, 0],
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_by_hand(name: str) -> None:
    """The learning rate is multiplied with this."""
    factors = [SCHEDULES[name](progress) for progress in (0, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 1)]

    assert factors == pytest.approx(WORKED[name], abs=1e-3)


def test_the_waves_of_coslog4_end_at_zero() -> None:
    """Four of them, each twice as long as the one before."""
    ends = [(2**wave - 1) / 15 for wave in range(5)]

    assert [SCHEDULES["coslog4"](end) for end in ends] == pytest.approx([0] * 5, abs=1e-12)


def test_warm_up_climbs_to_the_rate() -> None:
    """In a tenth of 50 steps: a fifth of the rate at first, all of it from the fifth step on."""
    rate_of = learning_rates(2.0, "constant", steps=50, warm_up=0.1)

    assert [rate_of(number) for number in range(6)] == pytest.approx([0.4, 0.8, 1.2, 1.6, 2.0, 2.0])


@pytest.mark.parametrize(("activation", "gain"), [("relu", 2.0), ("selu", 1.0), ("tanh", 1.0), ("sigmoid", 1.0)])
def test_first_weights_have_the_variance_that_their_activation_wants(
    activation: str, gain: float, rng: np.random.Generator
) -> None:
    """gain / inputs (He et al. 2015; LeCun et al. 1998)."""
    weight = build_network(Architecture(400, (100,), 2, activation), rng).layers[0].parameters[0].value

    assert weight.var() == pytest.approx(gain / 400, rel=0.05)
