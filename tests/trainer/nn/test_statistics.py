import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.errors import NoStatistics
from trainer.nn.batches import batches
from trainer.nn.statistics import PopulationMoments, RunningMoments


def test_running_moments_by_hand() -> None:
    """Means 10 then 20 with decay 0.9: (0.9 * 1 + 2) / (1 - 0.81) = 15.26; without correction it would be 2.9."""
    running = RunningMoments(1, decay=0.9)
    running.update(np.array([[10.0], [3.0]]), bessel=4 / 3)
    assert running.moments().mean == pytest.approx([10])

    running.update(np.array([[20.0], [3.0]]), bessel=4 / 3)
    assert running.moments().mean == pytest.approx([2.9 / 0.19])
    assert running.moments().variance == pytest.approx([4])


def test_the_decay_weighs_the_old_value() -> None:
    """A decay of 0 follows the last batch alone, as ONNX's momentum would and PyTorch's would not."""
    running = RunningMoments(1, decay=0.0)
    for value in (1.0, 2.0, 3.0):
        running.update(np.array([[value], [1.0]]), bessel=1.0)

    assert running.moments().mean.tolist() == [3]


@given(st.lists(st.integers(2, 9), min_size=1, max_size=6), st.floats(-1e6, 1e6), st.integers(0, 2**32))
def test_merged_batches_are_the_whole(sizes: list[int], offset: float, seed: int) -> None:
    """However the rows are cut, and however far from zero they lie."""
    rows = offset + np.random.default_rng(seed).normal(size=(sum(sizes), 3))
    population = PopulationMoments(3)
    for batch in np.split(rows, np.cumsum(sizes)[:-1]):
        population.merge(len(batch), batch.mean(axis=0), batch.var(axis=0))

    np.testing.assert_allclose(population.moments().mean, rows.mean(axis=0), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(population.moments().variance, rows.var(axis=0, ddof=1), rtol=1e-6)


def test_no_batch_means_no_statistics() -> None:
    """A network that saw nothing cannot be frozen or exported."""
    with pytest.raises(NoStatistics):
        RunningMoments(2, 0.9).moments()
    with pytest.raises(NoStatistics):
        PopulationMoments(2).moments()


@given(st.integers(2, 500), st.integers(2, 64))
def test_batches_cover_every_row_and_none_is_of_one(rows: int, size: int) -> None:
    """A single row left over joins the batch before it: it has no variance of its own."""
    cut = [range(rows)[batch] for batch in batches(rows, size)]

    assert [row for batch in cut for row in batch] == list(range(rows))
    assert all(2 <= len(batch) <= size + 1 for batch in cut)
