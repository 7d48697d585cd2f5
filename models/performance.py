"""How good a model is of late: what its own probabilities let expect, what labels say, and whether the two agree.

Without labels, a calibrated probability is itself an estimate: of rows that are answered with 0.9, nine in ten are
right. The mean probability of the answers is the expected accuracy of the rows, whatever they are (confidence-based
performance estimation, CBPE). It follows the rows where they move, and knows nothing of a rule that has changed.

With labels, the two are held against each other. Were the probabilities right, the number of right answers would be a
sum of independent trials, each with a probability of its own; its lower tail is not above that of the binomial
distribution with the same mean (Hoeffding 1956, On the distribution of the number of successes in independent trials,
theorem 4). So the test is exact, but for what is not known of the calibration, which was measured on test rows.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import ceil, exp, lgamma, log, log1p, sqrt
from statistics import NormalDist
from typing import Literal, NamedTuple

from models.card import ModelCard
from models.evaluation import Z95, wilson
from models.shift import FALSE_ALARMS

Status = Literal["too_few_labels", "as_expected", "worse"]
# The later, the worse.
STATUSES: tuple[Status, ...] = ("too_few_labels", "as_expected", "worse")

# Of accuracy: a loss of so much is to be seen before it is said that there is none.
LOSS = 0.1
FEWEST_LABELS = 30
# Bins of confidence, of equal width, as those of the calibration error in the card.
CONFIDENCE_BINS = 15


class Estimate(NamedTuple):
    """A mean over rows, and its 95 % interval: which rows there are is chance."""

    value: float
    low: float
    high: float


class Sums(NamedTuple):
    """Of rows that were answered, the sum and the sum of squares of two numbers: the probability of the class that the
    answer names, and the entropy of all probabilities, in nats, which is the expected log-loss of the row.
    """

    accuracy: float
    accuracy_squares: float
    log_loss: float
    log_loss_squares: float


class Expected(NamedTuple):
    """What so many rows let expect before there are labels. There are at least two."""

    rows: int
    accuracy: Estimate
    log_loss: Estimate


class Measured(NamedTuple):
    """What the card says of the test rows: the accuracy of the answers, by the threshold where there is one, with
    Wilson's 95 % interval; log-loss; and the expected calibration error, None where nothing was calibrated.
    """

    rows: int
    accuracy: float
    interval: tuple[float, float]
    log_loss: float
    calibration_error: float | None


class Verdict(NamedTuple):
    """What labels say of the answers. `expected` is the accuracy that these answers promise, `chance` the lowest one
    that chance and the calibration error explain.
    """

    status: Status
    labels: int
    labels_needed: int
    accuracy: float
    expected: float
    chance: float


def expect(rows: int, sums: Sums) -> Expected | None:
    """The expected accuracy and log-loss of so many rows; None of fewer than two.

    An interval is mean ± 1.96 s / √rows, s being the standard deviation over the rows.
    """
    if rows < 2:
        return None
    accuracy = _estimate(rows, sums.accuracy, sums.accuracy_squares)
    log_loss = _estimate(rows, sums.log_loss, sums.log_loss_squares)
    return Expected(rows, accuracy._replace(high=min(accuracy.high, 1.0)), log_loss)


def measured(card: ModelCard) -> Measured | None:
    """What the card says of the test rows; None where it has none."""
    metrics = card.metrics.get("test")
    if metrics is None:
        return None
    accuracy, evaluation = metrics.accuracy, card.evaluation
    interval = wilson(accuracy, metrics.rows) if evaluation is None else evaluation.accuracy_interval
    at, positive = evaluation and evaluation.at_threshold, card.positive
    if evaluation and at and card.threshold is not None:
        rows = sum(one.rows for one in evaluation.classes)
        looked_for = sum(one.rows for one in evaluation.classes if one.label == positive)
        found = (at.precision or 0.0) * at.predicted
        accuracy = 1 - (at.predicted - found + looked_for - found) / rows
        interval = wilson(accuracy, metrics.rows)
    error = card.calibration.after.ece if card.calibration else None
    return Measured(metrics.rows, accuracy, interval, metrics.log_loss, error)


def judge(
    labels: int, right: int, expected: float, known: Measured | None, false_alarms: float = FALSE_ALARMS
) -> Verdict:
    """Hold the accuracy of so many labelled answers, of which so many were `right`, against what they promised.

    `expected` is the mean probability of these answers. By how much it was off on the test rows, their calibration
    error, is let pass; and since those were so many rows only, n labels count as 1 / (1 / n + 1 / rows). Where nothing
    was calibrated, the lower end of the test accuracy is expected instead. With `false_alarms` probability at most,
    chance alone makes the status worse.
    """
    least = expected if known is None else expected - (known.calibration_error or 0.0)
    if known is not None and known.calibration_error is None:
        expected, least = known.accuracy, known.interval[0]
    least = min(max(least, 0.0), 1.0)
    needed = labels_needed(least, false_alarms)
    status: Status = "too_few_labels" if labels < needed else "as_expected"
    if not labels:
        return Verdict(status, 0, needed, 0.0, expected, 0.0)
    count = labels if known is None else max(round(labels * known.rows / (labels + known.rows)), 1)
    if binomial_tail(ceil(right * count / labels), count, least) < false_alarms:
        status = "worse"
    chance = _least(count, least, false_alarms) / count
    return Verdict(status, labels, needed, right / labels, expected, chance)


def worst_of(statuses: Sequence[Status]) -> Status:
    """The status of a whole whose parts have these."""
    return max(statuses, key=STATUSES.index)


@lru_cache(1024)
def labels_needed(expected: float, false_alarms: float) -> int:
    """How many labels it takes to tell that accuracy is not by `LOSS` below what is expected."""
    deviations = NormalDist().inv_cdf(1 - false_alarms)
    needed = max(ceil((deviations / LOSS) ** 2 * expected * (1 - expected)), FEWEST_LABELS)
    # The exact tail takes a few more.
    while _least(needed, expected, false_alarms) < needed * (expected - LOSS):
        needed += 1
    return needed


def binomial_tail(successes: int, trials: int, probability: float) -> float:
    """The probability of so many successes or fewer, by summing the terms from the largest on down."""
    if successes >= trials or probability <= 0:
        return 1.0
    if probability >= 1 or successes < 0:
        return 0.0
    odds = (1 - probability) / probability
    # Below the mean each term is smaller than the one above it, by a factor that falls.
    if successes > trials * probability:
        return 1 - binomial_tail(trials - successes - 1, trials, 1 - probability)
    term = exp(
        lgamma(trials + 1)
        - lgamma(successes + 1)
        - lgamma(trials - successes + 1)
        + successes * log(probability)
        + (trials - successes) * log1p(-probability)
    )
    total = 0.0
    for count in range(successes, -1, -1):
        total += term
        if term <= 1e-17 * total:
            break
        term *= odds * count / (trials - count + 1)
    return total


@lru_cache(1024)
def _least(trials: int, probability: float, level: float) -> int:
    """The smallest number of successes whose tail is not below a level."""
    low, high = 0, trials
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if binomial_tail(middle, trials, probability) < level else (low, middle)
    return low


def _estimate(rows: int, total: float, squares: float) -> Estimate:
    mean = total / rows
    half = Z95 * sqrt(max(squares - total * mean, 0.0) / (rows - 1) / rows)
    return Estimate(mean, max(mean - half, 0.0), mean + half)
