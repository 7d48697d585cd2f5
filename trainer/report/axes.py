"""Axes: where a value lies between two ends, and where and how an axis is marked."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Scaled = Literal["uniform", "log", "one_minus_log"]
# A place, from 0 to 1, and what stands there.
Tick = tuple[float, str]
WANTED_TICKS = 5


@dataclass(frozen=True)
class Axis:
    """Values between two ends on a scale: as they are, by their logarithm, or by that of 1 - value."""

    scale: Scaled
    low: float
    high: float
    whole: bool = False

    def place(self, value: float | str) -> float:
        """Where a value lies between the ends, from 0 to 1 on the scale."""
        start, end = self._on_scale(self.low), self._on_scale(self.high)
        return (self._on_scale(float(value)) - start) / (end - start) if end != start else 0.5

    def ticks(self, wanted: int = WANTED_TICKS) -> list[Tick]:
        """About as many places as are `wanted`, at round values."""
        return [(self.place(value), f"{value:g}") for value in self.round_values(wanted)]

    def round_values(self, wanted: int = WANTED_TICKS) -> list[float]:
        """Round values between the ends."""
        if self.low == self.high:
            return [self.low]
        match self.scale:
            case "uniform":
                return even(self.low, self.high, wanted, whole=self.whole)
            case "log":
                return _decades(self.low, self.high, wanted)
            case "one_minus_log":
                return [round(1 - value, 12) for value in _decades(1 - self.high, 1 - self.low, wanted)]

    def _on_scale(self, value: float) -> float:
        match self.scale:
            case "uniform":
                return value
            case "log":
                return math.log(value)
            case "one_minus_log":
                return -math.log(1 - value)


def even(low: float, high: float, wanted: int = WANTED_TICKS, *, whole: bool = False) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten between two ends."""
    step = round_step((high - low) / wanted)
    if whole:
        step = max(1.0, round(step))
    first = math.ceil(low / step - 1e-9)
    return [float(f"{step * number:.10g}") for number in range(first, math.floor(high / step + 1e-9) + 1)]


def round_step(rough: float) -> float:
    """The least of 1, 2 or 5 times a power of ten that is no smaller."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-12))


def _decades(low: float, high: float, wanted: int) -> list[float]:
    """Powers of ten between two ends; 2 and 5 times them too where there are few, even steps where there are none."""
    if high / low < 5:
        return even(low, high, wanted)
    low, high = low * (1 - 1e-9), high * (1 + 1e-9)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors: Sequence[int] = (1,) if math.log10(high / low) >= 2 else (1, 2, 5)
    step = max(1, len(powers) // 8)
    values = [factor * 10.0**power for power in powers if power % step == 0 for factor in factors]
    return [value for value in values if low <= value <= high]
