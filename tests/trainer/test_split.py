import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from trainer.data.rows import Column, Examples, Rows
from trainer.data.split import split
from trainer.errors import InvalidTable


def examples_of(counts: list[int]) -> Examples:
    labels = np.repeat(np.arange(len(counts)), counts)
    numeric = np.arange(len(labels), dtype=np.float32)[:, np.newaxis]
    rows = Rows((Column("x", "numeric", nullable=False),), numeric, np.empty((len(labels), 0), np.int32), ())
    return Examples(rows, labels, tuple(map(str, range(len(counts)))))


@given(
    st.lists(st.integers(1, 40), min_size=2, max_size=6),
    st.floats(0.01, 0.49),
    st.floats(0.01, 0.49),
    st.integers(0, 9),
)
@example(counts=[1, 20], validation=0.1, test=0.6, seed=0)
def test_every_row_is_in_one_part_and_every_class_in_training(
    counts: list[int], validation: float, test: float, seed: int
) -> None:
    """Whatever the sizes of the classes, one row or forty, and of the parts."""
    examples = examples_of(counts)
    try:
        parts = split(examples, validation, test, np.random.default_rng(seed), members=3)
    except InvalidTable:
        assume(False)

    for fold in parts.folds:
        assert sorted(np.concatenate([fold.train, fold.validation, parts.test])) == list(range(len(examples)))
        assert set(examples.labels[fold.train]) == set(range(len(counts)))


def test_every_part_keeps_the_shares_of_the_classes() -> None:
    """Stratified: a class of a tenth is a tenth of each part."""
    examples = examples_of([450, 50])
    parts = split(examples, 0.2, 0.2, np.random.default_rng(0), members=2)

    for fold in parts.folds:
        assert [np.bincount(examples.labels[part]).tolist() for part in (fold.train, fold.validation, parts.test)] == [
            [270, 30],
            [90, 10],
            [90, 10],
        ]


def test_the_members_validate_on_every_row_once() -> None:
    """Four members with a fifth of the table each, a fifth for the test: every other row is validation exactly once."""
    parts = split(examples_of([45, 55]), 0.2, 0.2, np.random.default_rng(0), members=4)

    validated = np.concatenate([fold.validation for fold in parts.folds])
    assert sorted(np.concatenate([validated, parts.test])) == list(range(100))
    assert sorted(parts.train) == sorted(validated)


def test_the_seed_decides() -> None:
    """The same seed gives the same parts, another one others."""
    first, again, other = (split(examples_of([30, 30]), 0.2, 0.2, np.random.default_rng(seed)) for seed in (1, 1, 2))

    assert np.array_equal(first.test, again.test)
    assert not np.array_equal(first.test, other.test)


@pytest.mark.parametrize("counts", [[5, 4], [1] * 12])
def test_too_few_rows_are_refused(counts: list[int]) -> None:
    """Three parts need rows for each of them."""
    with pytest.raises(InvalidTable, match=r"too few rows|at least 10 are needed"):
        split(examples_of(counts), 0.2, 0.2, np.random.default_rng(0))
