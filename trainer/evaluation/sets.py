"""Prediction sets: their threshold, chosen by split-conformal prediction, and what coverage that promises.

The score of a class is the probability that all likelier classes have together (Romano et al. 2020, "Classification
with valid and adaptive coverage", without the class's own probability and without chance): 0 for the likeliest. Of the
rows that are asked alike, the share whose true class has a score of at most the k-th smallest of n scores follows
Beta(k, n + 1 - k) (Vovk 2012), where scores do not repeat. Many do: every row whose likeliest class is right has a
score of 0.
"""

from collections.abc import Callable
from math import ceil

import numpy as np

from models.sets import PARTS, ROUNDING, PredictionSets, TestedSets, fewest_rows
from trainer.arrays import Array, Labels
from trainer.data.wording import refusal
from trainer.evaluation.answers import Answers
from trainer.export.sets import Whole, members_of, whole_parts
from trainer.measures.scores import effective_rows

# Of a probability, in parts: more than a graph may differ from its network, so that a row like the one that the
# threshold was chosen on is not on one side of it here and on the other there.
TOLERANCE = 1 << 10
# A half of what a 95 % interval leaves out.
TAIL = 0.025
# Each step halves the interval: as many as a float has digits.
HALVINGS = 52
DIGITS = 6


def scores_of(probabilities: Array, labels: Labels) -> Whole:
    """The scores (n,) of the true classes, in parts."""
    whole = whole_parts(probabilities)
    own = np.take_along_axis(whole, labels[:, np.newaxis], axis=1)
    return np.asarray(np.where(whole > own, whole, 0).sum(axis=1))


def check_enough(level: float, weights: Array | None, rows: int, *, share: float | None, of: int) -> None:
    """Check that there are enough rows to choose a threshold on, before anything is trained.

    :param share: what --coverage-rows asked for, of so many; None where it cannot give it more.
    :raises InvalidTable: there are not; the sentence says how many it takes.
    """
    found, fewest = int(_effective(weights, rows) + ROUNDING), fewest_rows(level)
    if found >= fewest:
        return
    counted = "are there" if found == rows else f"count, of {rows} that differ in weight"
    way = "give it more, or "
    if share is not None:
        # Of the rows that were asked for some may have gone to training, as the only ones of their class do.
        lost = max(share * of - rows, 0)
        enough = ceil(1000 * (fewest * rows / max(found, 1) + lost) / of - ROUNDING) / 1000
        if enough < 1:
            way = f"say --coverage-rows {enough:g}, or "
    raise refusal(
        "few_for_sets", level=level, fewest=fewest, rows=found, counted=counted, way=f"{way}a lower --coverage"
    )


def choose(level: float, kept: Answers, test: Answers | None = None) -> PredictionSets:
    """Choose the threshold on rows `kept` for that; of `test` rows it is only measured what comes of it.

    Weighted rows are held to be as many as would tell as much without weights (Kish 1965).
    """
    scores, counts = scores_of(kept.probabilities, kept.labels), kept.counts
    rows = _effective(kept.weights, len(kept))
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    upto = np.cumsum(counts[order]) * (rows / counts.sum())
    place = min(int(np.searchsorted(upto, level * (rows + 1) - ROUNDING)), len(ranked) - 1)
    covered = int(np.searchsorted(ranked, ranked[place], side="right"))
    repeated = covered - int(np.searchsorted(ranked, ranked[place], side="left")) > 1
    room = (ranked[covered] - ranked[place]) // 2 if covered < len(ranked) else PARTS - ranked[place]
    whole = int(rows + ROUNDING)
    inside = min(int(upto[covered - 1] + ROUNDING), whole)
    sets = PredictionSets(
        level=level,
        rows=len(kept),
        threshold=min(int(ranked[place]) + min(int(room), TOLERANCE), PARTS) / PARTS,
        coverage=round(inside / (whole + 1), DIGITS),
        interval=coverage_interval(inside, whole, repeated=repeated),
    )
    return sets if test is None else sets.model_copy(update={"test": tested(sets, test)})


def tested(sets: PredictionSets, test: Answers) -> TestedSets:
    """What the sets of the test rows are."""
    members = members_of(test.probabilities, sets)
    hit = members[np.arange(len(test)), test.labels]
    return TestedSets(
        rows=len(test),
        coverage=round(float(np.average(hit, weights=test.counts)), DIGITS),
        mean_size=round(float(np.average(members.sum(axis=1), weights=test.counts)), DIGITS),
    )


def coverage_interval(inside: int, rows: int, *, repeated: bool) -> tuple[float, float]:
    """The 95 % interval of the coverage where `inside` of the rows have a score up to the threshold.

    It is that of Beta(inside, rows + 1 - inside), whose upper end is Beta(inside + 1, rows - inside)'s where the score
    at the threshold is `repeated`: with both it is the exact interval of a share (Clopper & Pearson 1934).
    """
    most = inside + repeated
    low = _quantile(TAIL, inside, rows)
    high = 1.0 if most > rows else _quantile(1 - TAIL, most, rows)
    return round(low, DIGITS), round(high, DIGITS)


def _quantile(share: float, place: int, rows: int) -> float:
    """The quantile of Beta(place, rows + 1 - place): that of the `place`-th smallest of so many uniform numbers.

    As many as `place` of them lie below x with the probability that a binomial gives.
    """
    chance = _at_least(place, rows)
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if chance(middle) < share else (low, middle)
    return (low + high) / 2


def _at_least(place: int, rows: int) -> Callable[[float], float]:
    """How likely `place` or more of so many rows are, each by itself with a chance."""
    counts = np.arange(rows + 1)
    ways = np.concatenate([[0.0], np.cumsum(np.log((rows - counts[:-1]) / counts[1:]))])

    def chance(each: float) -> float:
        terms = ways + counts * np.log(each) + (rows - counts) * np.log1p(-each)
        return float(np.exp(terms[place:]).sum())

    return chance


def _effective(weights: Array | None, rows: int) -> float:
    return float(rows) if weights is None else effective_rows(weights.astype(np.float64))
