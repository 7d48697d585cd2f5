"""How far from the accuracy probabilities that hold may seem to be, because test rows are few."""

from collections.abc import Sequence
from math import exp, floor, lgamma, log, sqrt

from models.figures import Confidence

# Of the normal distribution, one-sided at 5 %.
QUANTILE = 1.645


def chance_error(bins: Sequence[Confidence], rows: int) -> float:
    """The expected calibration error that calibrated probabilities stay below on 19 of 20 sets of so many test rows.

    In each bin the number that is right is binomial, and the error is the sum of the bins' absolute deviations.
    """
    counts = [(max(1, round(one.share * rows)), one.confidence) for one in bins]
    deviations = [_mean_deviation(count, confidence) for count, confidence in counts]
    variance = sum(
        count * confidence * (1 - confidence) - deviation**2
        for (count, confidence), deviation in zip(counts, deviations, strict=True)
    )
    return (sum(deviations) + QUANTILE * sqrt(max(variance, 0.0))) / rows


def _mean_deviation(count: int, share: float) -> float:
    """The mean absolute deviation of a binomial variable from its mean (de Moivre 1730)."""
    if not 0 < share < 1:
        return 0.0
    above = floor(count * share) + 1
    choices = lgamma(count + 1) - lgamma(above + 1) - lgamma(count - above + 1)
    return 2 * above * exp(choices + above * log(share) + (count - above + 1) * log(1 - share))
