import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.arrays import Array
from trainer.measures.scores import Vector
from trainer.measures.threshold import Rule, at_threshold, choose

Rows = list[tuple[float, bool, int]]
ROWS = st.lists(
    st.tuples(st.floats(0.015625, 0.984375, width=32), st.booleans(), st.integers(1, 3)), min_size=1, max_size=30
).filter(lambda rows: any(positive for _, positive, _ in rows))


def merits(rows: Rows, threshold: float) -> tuple[float, float, float, float]:
    """F1, precision, recall and the cost with 5 for a missed row and 1 for a false alarm, counted row by row."""
    hit = sum(times for score, positive, times in rows if positive and score >= threshold)
    missed = sum(times for score, positive, times in rows if positive and score < threshold)
    alarms = sum(times for score, positive, times in rows if not positive and score >= threshold)
    precision = hit / (hit + alarms) if hit + alarms else 0.0
    return 2 * hit / (2 * hit + missed + alarms), precision, hit / (hit + missed), 5 * missed + alarms


def arrays(rows: Rows) -> tuple[Array, npt.NDArray[np.bool_], Vector]:
    scores, positive, times = zip(*rows, strict=True)
    return np.array(scores, np.float32), np.array(positive), np.array(times, np.float64)


@given(ROWS)
@settings(deadline=None, max_examples=300)
def test_no_other_threshold_serves_better(rows: Rows) -> None:
    """Held against every threshold there is, for each rule."""
    everywhere = [0.0, 1.0, *(score for score, _, _ in rows)]
    f1, cost, recall = (choose(Rule.parse(rule), *arrays(rows)) for rule in ("f1", "cost=5:1", "recall@precision=0.7"))

    best = max(merits(rows, one)[0] for one in everywhere)
    assert merits(rows, f1.threshold)[0] == pytest.approx(best)
    assert merits(rows, cost.threshold)[3] == min(merits(rows, one)[3] for one in everywhere)
    precise = [merits(rows, one)[2] for one in everywhere if merits(rows, one)[1] >= 0.7]
    if max(precise, default=0.0):
        assert recall.shortfall is None
        assert merits(rows, recall.threshold)[1] >= 0.7
        assert merits(rows, recall.threshold)[2] == pytest.approx(max(precise))
    else:
        most = max(merits(rows, one)[1] for one in everywhere)
        assert recall.shortfall == pytest.approx(most, abs=1e-6)


def test_a_threshold_lies_between_the_rows_and_near_a_half() -> None:
    """So that a row that is a little different falls on the right side."""
    chosen = choose(
        Rule("f1"), np.array([0.9, 0.8, 0.2, 0.1], np.float32), np.array([True, True, False, False]), np.ones(4)
    )

    assert chosen.threshold == pytest.approx(0.5)


def test_what_a_threshold_does_is_measured() -> None:
    """Three rows are called positive, two of them rightly; one is missed."""
    found = at_threshold(0.5, np.array([0.9, 0.6, 0.5, 0.4]), np.array([True, True, False, True]), np.ones(4))

    assert (found.predicted, found.precision, found.recall) == (3, 0.666667, 0.666667)


@pytest.mark.parametrize(
    "text", ["", "f2", "cost=5", "cost=0:1", "cost=-1:1", "recall@precision=0", "recall@precision=1.5", "recall=0.9"]
)
def test_another_rule_is_refused(text: str) -> None:
    """By what the rules look like."""
    with pytest.raises(ValueError, match=r"should be f1, recall@precision=0\.8 or cost=5:1"):
        Rule.parse(text)
