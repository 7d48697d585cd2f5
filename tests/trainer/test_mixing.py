"""Mixed rows, and the batches that a student learns from."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trainer.arrays import Array, Picked
from trainer.data.encoder import fit_encoder
from trainer.data.table import read_table
from trainer.nn import batches as nn_batches
from trainer.training import mixing
from trainer.training.mixing import Ahead, MixedBatches, Mixer, draw_shares
from trainer.training.records import Encoded

ROWS, SIZE = 300, 32


def part(weights: Array | None = None) -> Encoded:
    """Two numbers, the second ten times the first, and a marker that is the row's number."""
    number = np.arange(ROWS, dtype=np.float32)
    return Encoded(np.stack([number, 10 * number, number], axis=1), np.zeros(ROWS, np.int64), weights)


def batches(weights: Array | None = None, times: int = 1, *, on_disk: bool = False) -> MixedBatches:
    """Real rows have the target (1, 0), mixed ones (0, 1)."""

    def teach(inputs: Array) -> Array:
        return np.tile(np.array([0, 1], np.float32), (len(inputs), 1))

    targets = np.tile(np.array([1, 0], np.float32), (ROWS, 1))
    rows = part(weights)
    assert isinstance(rows.inputs, np.ndarray)
    rows = replace(rows, inputs=Picked(rows.inputs, np.arange(ROWS), on_disk))
    return MixedBatches(rows, targets, teach, Mixer(2, np.array([2])), SIZE, times)


def test_numbers_lie_between_and_everything_else_is_one_rows() -> None:
    """A share of .75 is three quarters of the first row; a column's markers all come from the same row."""
    rng = np.random.default_rng(0)
    rows = np.tile(np.array([4.0, 8.0, 1, 1, 1], np.float32), (4000, 1))
    others = np.tile(np.array([0.0, 4.0, 0, 0, 0], np.float32), (4000, 1))
    mixed = Mixer(2, np.array([5, 5, 7])).mix(rows, others, np.full(4000, 0.75, np.float32), rng)

    assert (mixed[:, :2] == [3.0, 7.0]).all()
    assert set(np.unique(mixed[:, 2:])) == {0, 1}
    assert (mixed[:, 2] == mixed[:, 3]).all()
    assert (mixed[:, 2] != mixed[:, 4]).any()
    assert mixed[:, 2].mean() == pytest.approx(0.75, abs=0.03)


def test_a_share_is_at_least_a_half() -> None:
    """The first row is the one that a mixed row lies near; most lie very near."""
    shares = draw_shares(10_000, np.random.default_rng(0))

    assert 0.5 <= shares.min() < 0.52
    assert shares.max() <= 1
    assert (shares > 0.9).mean() > 0.5


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("most", [ROWS, 100, 7])
def test_an_epoch_has_every_row_once_and_so_many_mixed_ones(
    most: int, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one block or in several, and in as many batches as it says."""
    monkeypatch.setattr(mixing, "MOST_ROWS", most)
    source = batches(times=times)
    epoch = [(inputs.copy(), targets.copy()) for inputs, targets, _ in source.shuffled(np.random.default_rng(0))]
    inputs, targets = (np.concatenate(arrays) for arrays in zip(*epoch, strict=True))
    real = targets[:, 0] == 1

    assert len(epoch) == len(source)
    assert sorted(inputs[real, 0].tolist()) == list(range(ROWS))
    assert (~real).sum() == times * ROWS
    # A number near zero is what is left of two that are hundreds.
    np.testing.assert_allclose(inputs[~real, 1], 10 * inputs[~real, 0], rtol=1e-5, atol=1e-3)
    assert len(set(inputs[~real, 0].tolist())) > 0.9 * ROWS


@pytest.mark.parametrize("times", [1, 3])
def test_rows_of_a_disk_are_mixed_with_rows_near_them(times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row once, in the batches that there are of rows in memory, and none is looked for all over the disk."""
    monkeypatch.setattr(mixing, "MOST_ROWS", 64)
    monkeypatch.setattr(nn_batches, "NEAR_ROWS", 16)
    monkeypatch.setattr(nn_batches, "SHUFFLED_ROWS", 128)
    source = batches(times=times, on_disk=True)
    pairs = list(source._drawn(np.random.default_rng(0)))
    epoch = list(source.shuffled(np.random.default_rng(0)))

    assert sorted(np.concatenate([block for block, _ in pairs]).tolist()) == list(range(ROWS))
    assert [len(block) for block, _ in pairs] == [64, 64, 64, 64, 44]
    assert len(epoch) == len(source)
    # Of 300 rows no more than 128, and the two or more that a block leaves over, are looked at together.
    shuffled = [set(np.concatenate(pair).tolist()) for pair in pairs]
    assert max(map(len, shuffled)) <= 192


def test_every_epoch_mixes_other_rows() -> None:
    """And the same generator the same ones."""

    def mixed(seed: int) -> list[float]:
        epoch = [(one.copy(), target.copy()) for one, target, _ in batches().shuffled(np.random.default_rng(seed))]
        return sorted(value for inputs, targets in epoch for value in inputs[targets[:, 1] == 1, 0].tolist())

    assert mixed(0) == mixed(0)
    assert mixed(0) != mixed(1)


def test_a_mixed_row_weighs_as_much_as_its_two() -> None:
    """Weights follow the first number here, so a mixed row's must follow its own."""
    weights = np.arange(1, ROWS + 1, dtype=np.float32)
    for inputs, _, counted in batches(weights).shuffled(np.random.default_rng(0)):
        np.testing.assert_allclose(counted.shares * counted.total, inputs[:, 0] + 1, rtol=1e-4)


def test_every_input_but_the_numbers_has_its_column(tmp_path: Path) -> None:
    """A one-hot, a marker of a gap or of a common value, a wave and a weekday, a code: each follows its raw column."""
    rng = np.random.default_rng(0)
    lines = ["gap,atom,day,few,many,y"]
    for row in range(2000):
        atom = 40 if row % 2 else row // 2 % 60
        day = f"2024-{1 + row % 12:02}-{1 + row % 28:02}"
        lines.append(f"{'' if row % 7 == 0 else row},{atom},{day},{'ab'[row % 2]},t{row % 20},{rng.integers(2)}")
    table = tmp_path / "table.csv"
    table.write_text("\n".join(lines))
    rows = read_table(table, "y").examples.rows
    encoder = fit_encoder(rows)
    numbers = len(encoder.median)
    before = encoder.encode(rows.take(np.array([0])))

    assert encoder.dates
    assert encoder.atoms
    assert encoder.gaps
    assert encoder.coded
    assert encoder.marked
    assert len(encoder.owners) == encoder.width - numbers
    names = [column.name for column in rows.numbers] + [one.name for one in rows.columns if one.kind == "categorical"]
    for place, name in enumerate(names):
        changed: set[int] = set()
        for row in range(1, 60):
            other = encoder.encode(_with(rows, place, row))
            changed |= set(np.flatnonzero(other[0] != before[0]).tolist())
        behind = {number - numbers for number in changed if number >= numbers}
        assert behind <= set(np.flatnonzero(encoder.owners == place).tolist()), name


def _with(rows, place: int, row: int):  # type: ignore[no-untyped-def]
    """The first row, with one of its cells taken from another row."""
    first = rows.take(np.array([0]))
    numeric, codes = first.numeric.copy(), first.codes.copy()
    if place < numeric.shape[1]:
        numeric[0, place] = rows.numeric[row, place]
    else:
        codes[0, place - numeric.shape[1]] = rows.codes[row, place - numeric.shape[1]]
    return type(rows)(rows.columns, numeric, codes, rows.vocabularies)


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize("most", [ROWS, 100])
def test_what_is_made_ready_ahead_is_what_would_have_come(
    most: int, on_disk: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batch for batch, to the last bit; and between two epochs the generator stands where it would have stood, so that
    a run can be saved and taken up there.
    """
    monkeypatch.setattr(mixing, "MOST_ROWS", most)
    weights = np.linspace(1, 2, ROWS, dtype=np.float32)
    plain, drawn = np.random.default_rng(0), np.random.default_rng(0)
    with ThreadPoolExecutor(1) as pool:
        ahead = Ahead(batches(weights, on_disk=on_disk), pool)
        for epoch in range(3):
            if epoch == 2:  # A run is given up in the middle of an epoch, and taken up from its beginning.
                state = drawn.bit_generator.state
                next(ahead.shuffled(drawn))
                drawn.bit_generator.state = state
            for one, other in zip(
                batches(weights, on_disk=on_disk).shuffled(plain), ahead.shuffled(drawn), strict=True
            ):
                for expected, found in zip(one[:2], other[:2], strict=True):
                    np.testing.assert_array_equal(expected, found)
                np.testing.assert_array_equal(one[2].shares, other[2].shares)
            assert plain.bit_generator.state == drawn.bit_generator.state


def test_what_goes_wrong_ahead_is_told_in_its_place() -> None:
    """The thread hides nothing."""

    def broken(_: Array) -> Array:
        raise MemoryError

    source = MixedBatches(part(), np.zeros((ROWS, 2), np.float32), broken, Mixer(2, np.array([2])), SIZE)
    with ThreadPoolExecutor(1) as pool, pytest.raises(MemoryError):
        list(Ahead(source, pool).shuffled(np.random.default_rng(0)))
