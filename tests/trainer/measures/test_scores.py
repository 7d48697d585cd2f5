from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.evaluation import MOST_CLASSES, MOST_CONFUSED, wilson
from trainer.measures.scores import auc, effective_rows, gain_over, measure

LABELS = np.array([0, 0, 0, 1, 1, 2])
ANSWERS = np.array(
    [[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.3, 0.6, 0.1], [0.5, 0.4, 0.1], [0.1, 0.8, 0.1]], np.float32
)


def test_a_case_worked_out_by_hand() -> None:
    """Three of six right; class c is never predicted."""
    found = measure(ANSWERS, LABELS, ("a", "b", "c"))

    assert found.accuracy == 0.5
    assert found.log_loss == pytest.approx(-np.log([0.8, 0.6, 0.2, 0.6, 0.4, 0.1]).mean(), abs=1e-6)
    assert found.confusion.counts == ((2, 1, 0), (1, 1, 0), (0, 1, 0))
    # a: 2 of 3 taken for it, 2 of its 3 found; b: 1 of 3, 1 of 2; c: taken never, 0 of 1.
    assert [(one.precision, one.recall) for one in found.classes] == [
        (pytest.approx(2 / 3, abs=1e-6), pytest.approx(2 / 3, abs=1e-6)),
        (pytest.approx(1 / 3, abs=1e-6), 0.5),
        (None, 0.0),
    ]
    assert found.macro_f1 == pytest.approx((2 / 3 + 0.4 + 0) / 3, abs=1e-6)


@pytest.mark.parametrize(
    ("right", "rows", "low", "high"), [(10, 10, 0.7225, 1.0), (0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634)]
)
def test_wilsons_interval_is_that_of_the_tables(right: int, rows: int, low: float, high: float) -> None:
    """As in Newcombe 1998, method 3, and every calculator since."""
    assert np.allclose(wilson(right / rows, rows), (low, high), rtol=0, atol=1e-4)


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.5, 0.9]), st.booleans(), st.integers(1, 3)), min_size=2))
@settings(deadline=None, max_examples=200)
def test_the_area_is_the_share_of_pairs_in_order(rows: list[tuple[float, bool, int]]) -> None:
    """Counted pair by pair, as its definition says; a row of weight 3 is three rows."""
    scores, positive, weights = (np.array(column) for column in zip(*rows, strict=True))
    whole = [(score, kind) for score, kind, times in rows for _ in range(times)]
    pairs = list(product([score for score, kind in whole if kind], [score for score, kind in whole if not kind]))
    area = auc(scores, positive, weights.astype(np.float64))

    if not pairs:
        assert area is None
    else:
        assert area == pytest.approx(np.mean([(one > other) + 0.5 * (one == other) for one, other in pairs]))


def test_a_weight_is_that_many_rows() -> None:
    """All measures but the number of rows are those of the table with the rows written out."""
    times = np.array([1, 3, 2, 1, 2, 4])
    whole = np.repeat(np.arange(6), times)
    weighed = measure(ANSWERS, LABELS, ("a", "b", "c"), times.astype(np.float32))
    written = measure(ANSWERS[whole], LABELS[whole], ("a", "b", "c"))

    one, other = (each.model_dump(exclude={"rows", "accuracy_interval", "log_loss"}) for each in (weighed, written))
    assert one == other
    assert weighed.log_loss == pytest.approx(written.log_loss)
    assert effective_rows(np.full(7, 3.0)) == pytest.approx(7)


def test_many_classes_stay_a_small_card() -> None:
    """Of a thousand classes those are kept that are mistaken most; no row is lost from the sum."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 1000, 5000)
    answers = rng.random((5000, 1000), np.float32)
    mistaken = labels == 7
    answers[np.arange(5000), labels] += np.where(mistaken, 0, 2)
    found = measure(answers / answers.sum(axis=1, keepdims=True), labels, tuple(f"class {n}" for n in range(1000)))

    assert len(found.classes) == MOST_CLASSES
    assert len(found.confusion.labels) == MOST_CONFUSED
    assert found.confusion.others == 1000 - MOST_CONFUSED
    assert "class 7" in found.confusion.labels
    assert sum(map(sum, found.confusion.counts)) == 5000
    assert len(found.model_dump_json()) < 20_000


def test_a_gain_that_every_row_shows_is_beyond_noise() -> None:
    """And one that half of the rows show, with the other half against it, is not."""
    losses = np.full(100, 0.3)
    sure, unsure = losses + 0.1, losses + np.tile([0.5, -0.45], 50)
    ones = np.ones(100)

    assert gain_over(losses, sure, ones)[1][0] > 0
    low, high = gain_over(losses, unsure, ones)[1]
    assert low < 0 < high
