"""Scaling of numbers: constants fitted on the training rows in float64, applied in float32.

Whatever the number, what comes out is finite: a value far beyond the training rows counts as one at the edge. A column
that is constant in training says nothing, and comes out as 0.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from trainer.arrays import Array

Kind = Literal["robust", "standard", "quantile"]

# Beyond so many deviations a value counts as one at the edge.
FARTHEST = 1e4
SOFTNESS = 3.0
KNOTS = 33
LARGEST = float(np.finfo(np.float32).max)


class Scaling(Protocol):
    """Fitted constants of p columns."""

    def apply(self, numbers: Array) -> Array:
        """Scale numbers (n, p), none missing, to about -3 to 3."""
        ...


@dataclass(frozen=True, eq=False)
class Robust:
    """s = (x - centre) · scale, clipped smoothly to s / √(1 + (s / 3)²), between -3 and 3 (Holzmüller et al. 2024).

    `centre` (p,) and `third` (p,), a third of the scale. In that form, 3 sin(arctan(s / 3)), an infinite s is 3.
    """

    centre: Array
    third: Array

    def apply(self, numbers: Array) -> Array:
        with np.errstate(over="ignore"):
            angle = numbers - self.centre
            angle *= self.third
        np.arctan(angle, out=angle)
        np.sin(angle, out=angle)
        angle *= np.float32(SOFTNESS)
        return angle


@dataclass(frozen=True, eq=False)
class Standard:
    """s = (x - centre) · scale for x between `lower` and `upper`; all four have shape (p,)."""

    lower: Array
    upper: Array
    centre: Array
    scale: Array

    def apply(self, numbers: Array) -> Array:
        scaled = np.clip(numbers, self.lower, self.upper)
        scaled -= self.centre
        scaled *= self.scale
        return scaled


@dataclass(frozen=True, eq=False)
class Quantiles:
    """Values of each column become those of a normal distribution, by straight lines between quantiles.

    `knots` (p, k) are the quantiles, `widths` (p, k - 1) the distances between them, `slopes` (p, k - 1) those of the
    lines, and `lowest` (p,) is what the first knot becomes.
    """

    knots: Array
    widths: Array
    slopes: Array
    lowest: Array

    def apply(self, numbers: Array) -> Array:
        inside = np.clip(numbers, self.knots[:, 0], self.knots[:, -1])
        # A column at a time: all distances to all knots would be 32 times the table.
        for column, (knots, widths, slopes) in enumerate(zip(self.knots, self.widths, self.slopes, strict=True)):
            climbed = np.clip(inside[:, [column]] - knots[:-1], 0, widths)
            climbed *= slopes
            inside[:, column] = climbed.sum(axis=1)
        return np.asarray(inside + self.lowest)


def fit_scaling(kind: Kind, columns: Iterable[npt.NDArray[np.float64]]) -> Scaling:
    """Fit on the values of each column that are not missing."""
    if kind == "quantile":
        return _fit_quantiles(columns)
    return _fit_robust(columns) if kind == "robust" else _fit_standard(columns)


def _fit_robust(columns: Iterable[npt.NDArray[np.float64]]) -> Robust:
    centre, scale = _inverted([_robust(values) for values in columns])
    return Robust(centre.astype(np.float32), np.minimum(scale / SOFTNESS, LARGEST).astype(np.float32))


def _fit_standard(columns: Iterable[npt.NDArray[np.float64]]) -> Standard:
    moments = [_standard(values) for values in columns]
    deviation = np.array([spread for _, spread in moments])
    centre, scale = _inverted(moments)
    reach = np.minimum(FARTHEST * deviation, LARGEST / 2)  # No difference to the centre overflows.
    lower, upper = np.clip([centre - reach, centre + reach], -LARGEST, LARGEST)
    constants = (lower, upper, centre, np.minimum(scale, LARGEST))
    return Standard(*(constant.astype(np.float32) for constant in constants))


def _inverted(
    fitted: list[tuple[float, float]],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Centres and one over the deviations; both are 0 where there is no deviation."""
    centre, deviation = np.array(fitted, np.float64).reshape(-1, 2).T
    varies = deviation > 0
    return np.where(varies, centre, 0.0), np.divide(1.0, deviation, out=np.zeros_like(deviation), where=varies)


def _robust(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Centre and deviation: the median, and the distance between the quartiles, which no outlier moves.

    It is half the range where the quartiles coincide. A column of two values is standardised.
    """
    if not len(values):
        return 0.0, 0.0
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
    if len(np.unique(values)) == 2:
        return _standard(values)
    return median, high - low or (values.max() - values.min()) / 2


def _standard(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Mean and population standard deviation."""
    return (values.mean(), values.std()) if len(np.unique(values)) > 1 else (0.0, 0.0)


def _fit_quantiles(columns: Iterable[npt.NDArray[np.float64]]) -> Quantiles:
    levels = np.linspace(0, 1, KNOTS)
    # The extremes are those of a sample of as many values as there are knots, not infinity.
    heights = np.array([NormalDist().inv_cdf(level) for level in np.clip(levels, 0.5 / KNOTS, 1 - 0.5 / KNOTS)])
    fitted = [_lines(values, levels, heights) for values in columns]
    knots, widths, slopes = (np.array([part[index] for part in fitted], np.float32) for index in range(3))
    return Quantiles(
        knots.reshape(-1, KNOTS),
        widths.reshape(-1, KNOTS - 1),
        slopes.reshape(-1, KNOTS - 1),
        np.array([part[3] for part in fitted], np.float32),
    )


def _lines(
    values: npt.NDArray[np.float64], levels: npt.NDArray[np.float64], heights: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64], float]:
    """Knots, widths and slopes of one column; a value that fills several quantiles stands at the middle of them."""
    flat = np.zeros(KNOTS - 1)
    if not len(values) or values.min() == values.max():
        return np.zeros(KNOTS), flat, flat, 0.0
    quantiles = np.clip(np.quantile(values, levels), -LARGEST / 2, LARGEST / 2)  # No difference of two overflows.
    distinct, places = np.unique(quantiles.astype(np.float32), return_inverse=True)
    middles = np.bincount(places, heights) / np.bincount(places)
    widths, rises = np.diff(distinct.astype(np.float64)), np.diff(middles)
    spare = KNOTS - len(distinct)
    return (
        np.pad(distinct, (0, spare), mode="edge").astype(np.float64),
        np.pad(widths, (0, spare)),
        np.pad(np.minimum(rises / widths, LARGEST), (0, spare)),
        float(middles[0]),
    )
