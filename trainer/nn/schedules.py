"""Schedules: what the learning rate is multiplied with as training goes on.

`progress` runs from 0, the first step, to 1, the end of the last epoch that is allowed.
"""

import math
from collections.abc import Callable


def constant(_: float) -> float:
    """The rate that was set, throughout."""
    return 1.0


def step(progress: float) -> float:
    """A tenth after half of the way, a hundredth after three quarters (He et al. 2016)."""
    return 0.1 ** ((progress >= 0.5) + (progress >= 0.75))


def cosine(progress: float) -> float:
    """Half a cosine from 1 down to 0 (Loshchilov & Hutter 2017)."""
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def coslog4(progress: float) -> float:
    """Four cosine waves, each twice as long as the one before (Holzmüller et al. 2024)."""
    return 0.5 * (1.0 - math.cos(2.0 * math.pi * math.log2(1.0 + 15.0 * progress)))


SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": constant,
    "step": step,
    "cosine": cosine,
    "coslog4": coslog4,
}


def learning_rates(rate: float, schedule: str, *, steps: int, warm_up: float) -> Callable[[int], float]:
    """The learning rate of each of `steps` steps, counted from 0; the first `warm_up` share of them climbs to it."""
    factor = SCHEDULES[schedule]
    rising = warm_up * steps

    def learning_rate(number: int) -> float:
        climb = min(1.0, (number + 1) / rising) if rising else 1.0
        return rate * factor(number / steps) * climb

    return learning_rate
