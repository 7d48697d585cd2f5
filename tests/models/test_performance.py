"""What is expected of answers, what labels say of them, and how often it is said wrongly that a rule has changed."""

from fractions import Fraction
from math import comb, isclose
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from models.card import Metrics
from models.evaluation import AtThreshold, ClassScore, Confusion, Evaluation, wilson
from models.performance import Measured, Sums, binomial_tail, expect, judge, labels_needed, measured
from models.repository import ModelRepository
from models.shift import FALSE_ALARMS

PUBLISHED = Path(__file__).parents[1] / "service/published"
Vector = npt.NDArray[np.float64]


@pytest.mark.parametrize(
    ("successes", "trials", "probability"), [(0, 1, 0.5), (3, 10, 0.9), (70, 90, 0.9), (85, 90, 0.9)]
)
def test_the_binomial_tail_is_exact(successes: int, trials: int, probability: float) -> None:
    """As fractions have it."""
    p = Fraction(probability)
    exact = sum(comb(trials, count) * p**count * (1 - p) ** (trials - count) for count in range(successes + 1))

    assert isclose(binomial_tail(successes, trials, probability), float(exact), rel_tol=1e-9)


def test_the_binomial_tail_of_a_million_is_that_of_the_normal() -> None:
    """To the deviation of one trial; and at its ends it is certain."""
    assert isclose(binomial_tail(899_400 - 1, 1_000_000, 0.9), 0.0228, abs_tol=2e-4)
    assert [binomial_tail(*ends) for ends in ((5, 5, 0.5), (-1, 5, 0.5), (4, 5, 1.0), (0, 5, 0.0))] == [1, 0, 0, 1]


def sums(accuracy: Vector, log_loss: Vector) -> Sums:
    return Sums(*(float(total) for one in (accuracy, log_loss) for total in (one.sum(), (one**2).sum())))


def test_what_is_expected_comes_true(everything: bool) -> None:
    """Of rows drawn from one distribution, 95 % of the intervals have the mean of all; two rows are the fewest."""
    rng, trials = np.random.default_rng(1), 4000 if everything else 1000
    means, inside = (0.75, 0.25), np.zeros(2)
    for _ in range(trials):
        rows = rng.uniform(0.5, 1.0, 200)
        found = expect(200, sums(rows, 1 - rows))
        assert found is not None
        estimates = (found.accuracy, found.log_loss)
        inside += [one.low <= mean <= one.high for one, mean in zip(estimates, means, strict=True)]

    assert abs(inside / trials - 0.95).max() < 4 * (0.95 * 0.05 / trials) ** 0.5
    assert expect(1, Sums(0.9, 0.81, 0.3, 0.09)) is None


def answers(rng: np.random.Generator, rows: int, sharpness: float) -> tuple[Vector, Vector]:
    """Probabilities of the class that is answered, of two, and how likely it really is: with a sharpness of 1 the same,
    with a higher one the answers promise more.
    """
    logits = np.abs(rng.normal(0, 2.5, rows))
    return 1 / (1 + np.exp(-sharpness * logits)), 1 / (1 + np.exp(-logits))


def calibration_error(confidence: Vector, right: Vector) -> float:
    places = np.minimum((confidence * 15).astype(int), 14)
    return float(np.abs(np.bincount(places, confidence - right)).sum() / len(right))


def card(rng: np.random.Generator, rows: int, sharpness: float) -> Measured:
    """What so many test rows say of such a model."""
    promised, true = answers(rng, rows, sharpness)
    right = (rng.random(rows) < true).astype(float)
    return Measured(rows, right.mean(), (0.0, 1.0), 0.3, calibration_error(promised, right))


@pytest.mark.parametrize("labels", [30, 300, 10_000])
@pytest.mark.parametrize(("tests", "sharpness"), [(100, 1.0), (1000, 1.15), (10_000, 1.3)])
def test_a_rule_that_stays_raises_no_alarm(tests: int, sharpness: float, labels: int, everything: bool) -> None:
    """Windows of labels, each of a model with test rows of its own, also of models that promise too much as far as
    their test rows show: not more alarms than a rate of 1 in 100 would give in one of a thousand runs.
    """
    rng, windows, alarms = np.random.default_rng(tests + labels), 3000 if everything else 200, 0
    for _ in range(windows):
        known = card(rng, tests, sharpness)
        promised, true = answers(rng, labels, sharpness)
        verdict = judge(labels, int((rng.random(labels) < true).sum()), float(promised.mean()), known)
        alarms += verdict.status == "worse"
    print(f"{tests} test rows, promises {sharpness:g} times as sharp, {labels} labels: {alarms} alarms of {windows}")

    expected = FALSE_ALARMS * windows
    assert alarms <= expected + 3.1 * expected**0.5


@pytest.mark.parametrize(("labels", "flipped", "found"), [(100, 0.3, 0.8), (300, 0.2, 0.7), (2000, 0.15, 0.95)])
def test_a_rule_that_changed_is_found(labels: int, flipped: float, found: float) -> None:
    """Where a share of the labels is the other class, the alarm comes in so many of the windows, at least."""
    rng, windows, alarms = np.random.default_rng(labels), 200, 0
    for _ in range(windows):
        known = card(rng, 1000, 1.0)
        promised, true = answers(rng, labels, 1.0)
        right = (rng.random(labels) < true) != (rng.random(labels) < flipped)
        alarms += judge(labels, int(right.sum()), float(promised.mean()), known).status == "worse"
    print(f"{flipped:.0%} of {labels} labels flipped: {alarms} alarms of {windows}")

    assert alarms / windows >= found


def test_few_labels_are_too_few_unless_chance_cannot_be_it() -> None:
    """As many are needed as tell a loss of ten points; a dozen answers that are all wrong are enough."""
    known = Measured(10**9, 0.9, (0.88, 0.92), 0.3, 0.01)
    needed = labels_needed(0.9 - 0.01, FALSE_ALARMS)

    assert [judge(one, round(0.9 * one), 0.9, known).status for one in (0, needed - 1, needed)] == [
        "too_few_labels",
        "too_few_labels",
        "as_expected",
    ]
    assert judge(12, 0, 0.9, known).status == "worse"
    lost = judge(needed, int(0.79 * needed), 0.9, known)
    assert (lost.status, lost.labels_needed) == ("worse", needed)
    assert lost.accuracy < lost.chance < lost.expected == 0.9


def test_without_calibration_the_test_rows_say_what_to_expect() -> None:
    """A network's own word is no expectation."""
    known = Measured(1000, 0.9, (0.88, 0.92), 0.3, None)

    assert judge(1000, 885, 0.999, known).status == "as_expected"
    assert judge(1000, 800, 0.999, known).expected == 0.9
    assert judge(1000, 800, 0.999, known).status == "worse"


def test_the_test_figures_are_those_of_the_answers() -> None:
    """By the threshold where there is one: of 40 positive and 60 other rows 50 are called positive, 30 of them
    rightly, so that 70 of 100 answers are right. A card of before evaluations has an interval too.
    """
    old = ModelRepository(PUBLISHED).card("penguins", 1).model_copy(update={"evaluation": None})
    counts = {"precision": None, "recall": None, "f1": None, "predicted": 0}
    evaluation = Evaluation(
        rows=100,
        log_loss=0.5,
        accuracy=0.8,
        accuracy_interval=(0.71, 0.87),
        auc=None,
        macro_f1=0.8,
        classes=tuple(ClassScore(label=label, rows=rows, **counts) for label, rows in (("yes", 40), ("no", 60))),
        confusion=Confusion(labels=("yes", "no"), counts=((0, 0), (0, 0))),
        at_threshold=AtThreshold(predicted=50, precision=0.6, recall=0.75, f1=0.66),
    )
    changes = {"classes": ("no", "yes"), "positive": "yes", "evaluation": evaluation}
    changes["metrics"] = {"test": Metrics(rows=100, log_loss=0.5, accuracy=0.8)}
    likeliest, decided, before = (
        measured(old.model_copy(update=one)) for one in (changes, changes | {"threshold": 0.3}, {})
    )
    assert likeliest is not None
    assert decided is not None
    assert before is not None

    assert likeliest[:3] == (100, 0.8, (0.71, 0.87))
    assert decided.accuracy == pytest.approx(0.7)
    assert decided.interval == wilson(decided.accuracy, 100)
    assert before.interval[0] < before.accuracy <= before.interval[1]
    assert measured(old.model_copy(update={"metrics": {}})) is None
