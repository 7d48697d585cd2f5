"""Learning rates against PyTorch's schedulers; where it has none, against numbers worked out by hand."""

from typing import Any

import numpy as np
import pytest

from tests.trainer.peers.twin import torch
from trainer.nn.schedules import SCHEDULES, learning_rates

STEPS, WARM = 40, 8


def scheduler_of(schedule: str, optimizer: Any) -> Any:
    schedulers = torch.optim.lr_scheduler
    return {
        "constant": lambda: schedulers.ConstantLR(optimizer, factor=1.0),
        "step": lambda: schedulers.MultiStepLR(optimizer, [STEPS // 2, 3 * STEPS // 4], gamma=0.1),
        "cosine": lambda: schedulers.CosineAnnealingLR(optimizer, T_max=STEPS),
    }[schedule]()


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("schedule", ["constant", "step", "cosine"])
def test_learning_rates(schedule: str, warm: bool) -> None:
    """The rate of every step, alone and with a linear climb multiplied in; torch works it out from the one before."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    schedulers = [scheduler_of(schedule, optimizer)]
    if warm:
        schedulers.append(torch.optim.lr_scheduler.LinearLR(optimizer, 1 / WARM, total_iters=WARM - 1))
    rate_of = learning_rates(0.3, schedule, steps=STEPS, warm_up=WARM / STEPS if warm else 0.0)
    for number in range(STEPS):
        # Forty products of rounded numbers; the last cosines are small, and their error is absolute.
        np.testing.assert_allclose(rate_of(number), optimizer.param_groups[0]["lr"], rtol=1e-12, atol=1e-14)
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()


def test_the_ends_of_the_schedules() -> None:
    """At the end of the last epoch: all of it, a hundredth, nothing, and the foot of the last wave."""
    ends = [SCHEDULES[name](1.0) for name in ("constant", "step", "cosine", "coslog4")]

    np.testing.assert_allclose(ends, [1.0, 0.01, 0.0, 0.0], atol=1e-15)


@pytest.mark.parametrize("wave", range(4))
def test_coslog4(wave: int) -> None:
    """Wave k runs from (2^k - 1) / 15 to (2^(k+1) - 1) / 15: 0 at its start, 1/2, 1 at its crest, 1/2, 0 at its end."""
    factors = [SCHEDULES["coslog4"]((2 ** (wave + part) - 1) / 15) for part in (0, 0.25, 0.5, 0.75, 1)]

    np.testing.assert_allclose(factors, [0.0, 0.5, 1.0, 0.5, 0.0], atol=1e-13)


def test_a_climb_that_ends_between_two_steps() -> None:
    """A quarter of ten steps is two and a half: 1 / 2.5, 2 / 2.5, then all of the rate."""
    rate_of = learning_rates(5.0, "constant", steps=10, warm_up=0.25)

    np.testing.assert_allclose([rate_of(number) for number in range(4)], [2.0, 4.0, 5.0, 5.0], rtol=1e-12)
