"""Whether rows of late are spread as training's were: PSI beside what chance alone makes, and one status for a model.

Of rows from one distribution, PSI is about (1 / trained + 1 / counted) times a chi-square variable with as many degrees
of freedom as there are bins less one (Yurdakul 2018). The band of a feature is the quantile of that which all features
and the predicted classes together pass by chance with the probability `false_alarms` (Bonferroni): above its band, a
feature has moved. Whether that matters says PSI itself, by the customary limits (Siddiqi 2006).
"""

from collections.abc import Sequence
from functools import lru_cache
from math import ceil, erfc, exp, pi, sqrt
from typing import Literal, NamedTuple

from models.drift import Bins, DriftBaseline, psi

Status = Literal["too_few_rows", "steady", "moving", "shifted"]
# The later, the worse.
STATUSES: tuple[Status, ...] = ("too_few_rows", "steady", "moving", "shifted")

# From here on the distribution moves, and from here on it is time to train again.
MOVING, SHIFTED = 0.1, 0.25
# How often at most rows that have not shifted are said to have, of the whole model.
FALSE_ALARMS = 0.01


class Shift(NamedTuple):
    """How far one feature has moved, and how far chance alone would move it."""

    psi: float
    band: float
    status: Status


class Verdict(NamedTuple):
    """What is said of a model over one window; `shifts` are of its features, and then of the predicted classes."""

    status: Status
    rows: int
    rows_needed: int
    shifts: list[Shift]


def judge(baseline: DriftBaseline, counts: Sequence[Sequence[int]], false_alarms: float = FALSE_ALARMS) -> Verdict:
    """Hold counted rows against training's.

    `counts` has the bins of each feature of the baseline, and then those of the predicted classes; each list sums to
    the number of rows. With `false_alarms` probability at most, chance alone makes the status moving or shifted.
    """
    parts = (*baseline.features, baseline.predictions)
    level, rows = false_alarms / len(parts), sum(counts[-1])
    needed = max(_rows_needed(part, level) for part in parts)
    rest: Status = "too_few_rows" if rows < needed else "steady"
    shifts = [_shift(part, baseline.rows, seen, level, rest) for part, seen in zip(parts, counts, strict=True)]
    return Verdict(worst_of([shift.status for shift in shifts]), rows, needed, shifts)


def worst_of(statuses: Sequence[Status]) -> Status:
    """The status of a whole whose parts have these."""
    return max(statuses, key=STATUSES.index)


def band(bins: int, trained: int, counted: int, level: float) -> float:
    """What PSI over so many bins passes with the probability `level` by chance alone.

    `trained` and `counted` are numbers of rows, at least 1.
    """
    return critical(level, bins - 1) * (1 / trained + 1 / counted)


def _shift(part: Bins, trained: int, seen: Sequence[int], level: float, rest: Status) -> Shift:
    """`rest` is the status of what has not moved."""
    counted = sum(seen)
    if not counted:
        return Shift(0.0, 0.0, rest)
    index = psi(part.shares, trained, seen)
    # A bin that is empty on both sides cannot differ by chance either.
    chance = band(sum(map(bool, map(max, part.shares, seen))), trained, counted, level)
    if index <= chance or index < MOVING:
        return Shift(index, chance, rest)
    return Shift(index, chance, "moving" if index < SHIFTED else "shifted")


def _rows_needed(part: Bins, level: float) -> int:
    """So many that their share of the band is at most half of `SHIFTED`: with fewer, a shift looks like chance."""
    return ceil(2 * critical(level, sum(map(bool, part.shares)) - 1) / SHIFTED)


@lru_cache(1024)
def critical(level: float, freedom: int) -> float:
    """What a chi-square variable with so many degrees of freedom passes with the probability `level`."""
    if freedom < 1:
        return 0.0
    low, high = 0.0, 1000.0 + 2 * freedom
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _beyond(middle, freedom) > level else (low, middle)
    return high


def _beyond(value: float, freedom: int) -> float:
    """The probability that a chi-square variable is beyond a value, by the recurrence of the incomplete gamma function
    (Abramowitz & Stegun 26.4.4, 26.4.5).
    """
    half = value / 2
    odd = freedom % 2
    term = exp(-half) * (2 * sqrt(half / pi) if odd else 1.0)
    total = erfc(sqrt(half)) if odd else 0.0
    for step in range(freedom // 2):
        total += term
        term *= half / (step + (1.5 if odd else 1.0))
    return total
