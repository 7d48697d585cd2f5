"""Tables that do not fit in `--memory`: the same rows as in memory, and a split that stays."""

from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from tests.trainer.long_tables import ROWS, texts, without_note, written
from trainer.arrays import Picked
from trainer.data import sample, split
from trainer.data import texts as data_texts
from trainer.data import written as data_written
from trainer.data.columns import TextCells
from trainer.data.hashing import drawn
from trainer.data.long import read_long_table
from trainer.data.rows import RARE
from trainer.data.schema import FileSchema
from trainer.data.stream import Stream
from trainer.data.table import read_table
from trainer.errors import InvalidTable
from trainer.job.job import prepare
from trainer.nn import batches
from trainer.nn.batches import MiniBatches
from trainer.settings.config import TrainingConfig


@pytest.mark.parametrize("form", ["csv", "gz", "zst", "parquet", "folder"])
def test_a_long_table_has_the_rows_that_it_has_in_memory(form: str, content: str, tmp_path: Path) -> None:
    """Whatever it is packed by: numbers, texts, classes, weights, and how the columns are read."""
    path = written(form, content, tmp_path)

    in_memory, in_blocks = read_table(path, "y", weight="w"), read_long_table(path, "y", weight="w")

    one, other = in_memory.examples, in_blocks.examples
    np.testing.assert_array_equal(other.rows.numeric, one.rows.numeric)
    np.testing.assert_array_equal(other.labels, one.labels)
    np.testing.assert_array_equal(other.weights, one.weights)
    assert texts(other) == texts(one)
    assert (other.classes, other.rows.columns) == (one.classes, one.rows.columns)
    assert other.rows.vocabularies == one.rows.vocabularies
    assert RARE in one.rows.vocabularies[1]
    assert len(one.rows.vocabularies[1]) == 1001
    assert (in_blocks.rows_without_target, in_blocks.sha256) == (in_memory.rows_without_target, in_memory.sha256)
    assert without_note(in_blocks) == {"notes": []} | in_memory.schema.decisions()
    assert (other.long, one.long) == (True, False)


def test_the_rows_are_mapped_and_not_held(content: str, tmp_path: Path) -> None:
    """Nobody can write to them, and they are no memory of the process's own."""
    rows = read_long_table(written("csv", content, tmp_path), "y").examples.rows

    for cells in (rows.numeric, rows.codes):
        base = cells
        while isinstance(base.base, np.ndarray):
            base = base.base
        assert not cells.flags.writeable
        assert type(base.base).__name__ == "mmap"


def test_columns_are_judged_by_a_sample_that_is_uniform(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows from everywhere, always the same ones, and never more than wanted."""
    monkeypatch.setattr(sample, "MOST_ROWS", 3000)
    stream = Stream.of(written("folder", content, tmp_path), FileSchema())

    decoded, rows = sample.decode_sample(stream)
    again, _ = sample.decode_sample(stream)

    assert rows == ROWS
    assert 1500 < decoded.rows <= 3000
    places = [int(decoded.line(row).split("line ")[1]) for row in (0, decoded.rows // 2, decoded.rows - 1)]
    assert decoded.line(0).startswith("0.csv, line ")
    assert decoded.line(decoded.rows - 1).startswith("2.csv, line ")
    assert places[0] < 100
    assert places[2] > 9900
    one, other = (each.cells("x") for each in (decoded, again))
    assert isinstance(one, TextCells)
    assert isinstance(other, TextCells)
    assert one.spelled(np.arange(9)) == other.spelled(np.arange(9))


def test_the_split_has_its_shares_and_no_later_row_changes_it(content: str, tmp_path: Path) -> None:
    """By a hash of each row's number: a table to which rows were added has the earlier ones where they were."""
    header, *rows = content.splitlines(keepends=True)
    (tmp_path / "half.csv").write_text(header + "".join(rows[: ROWS // 2]))
    half, whole = (read_long_table(path, "y") for path in (tmp_path / "half.csv", written("csv", content, tmp_path)))

    one, other = (table.split(0.2, 0.1, np.random.default_rng(5), 3) for table in (half, whole))

    count = len(half.examples)
    np.testing.assert_array_equal(one.test, other.test[other.test < count])
    assert abs(len(other.test) / len(whole.examples) - 0.1) < 0.01
    for early, late in zip(one.folds, other.folds, strict=True):
        np.testing.assert_array_equal(early.validation, late.validation[late.validation < count])
        assert abs(len(late.validation) / len(whole.examples) - 0.2) < 0.01
        parts = np.concatenate([late.train, late.validation, other.test])
        np.testing.assert_array_equal(np.sort(parts), np.arange(len(whole.examples)))
    assert not np.intersect1d(other.folds[0].validation, other.folds[1].validation).size
    another = whole.split(0.2, 0.1, np.random.default_rng(6), 3)
    assert not np.array_equal(another.test, other.test)


def test_no_more_rows_are_held_out_than_memory_takes(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is beyond them trains."""
    monkeypatch.setattr(split, "MOST_HELD", 1000)
    table = read_long_table(written("csv", content, tmp_path), "y")

    chosen = table.split(0.2, 0.3, np.random.default_rng(0))

    (fold,) = chosen.folds
    assert 850 < len(chosen.test) < 1150
    assert 850 < len(fold.validation) < 1150
    assert len(fold.train) == len(table.examples) - len(chosen.test) - len(fold.validation)


def test_texts_are_counted_up_to_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that come later count as rare ones; classes that are so many are no classes."""
    monkeypatch.setattr(data_texts, "MOST_TEXTS", 40)
    monkeypatch.setattr(data_written, "MOST_TEXTS", 40)
    path = tmp_path / "table.csv"
    path.write_text("k,y\n" + "".join(f"k{row % 90},{'ab'[row % 2]}\n" for row in range(900)))

    rows = read_long_table(path, "y").examples.rows

    assert rows.vocabularies == (tuple(sorted({*(f"k{number}" for number in range(40)), RARE})),)
    assert np.count_nonzero(rows.codes == rows.vocabularies[0].index(RARE)) == 500
    with pytest.raises(InvalidTable, match="the target 'k' has 40 or more different values"):
        read_long_table(path, "k")


def test_a_class_of_one_row_is_a_class_of_training(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("x,y\n" + "".join(f"{row},{'ab'[row % 2]}\n" for row in range(400)) + "1,rare\n2,once\n")

    for seed in range(20):
        table = read_long_table(path, "y")
        chosen = table.split(0.4, 0.4, np.random.default_rng(seed), 2)
        assert all(set(table.examples.labels[fold.train]) == {0, 1, 2, 3} for fold in chosen.folds)


def test_groups_stay_together(content: str, tmp_path: Path) -> None:
    table = read_long_table(written("csv", content, tmp_path), "y", divide=("group", "k"))
    (fold,), test = (chosen := table.split(0.2, 0.2, np.random.default_rng(0))).folds, chosen.test

    assert table.division is not None
    groups = [set(table.division.values[part]) for part in (fold.train, fold.validation, test)]
    assert all(groups)
    assert not groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]


def test_a_column_may_name_the_parts(content: str, tmp_path: Path) -> None:
    named = content.replace(",0,", ",train,").replace(",1,", ",test,").replace(",2,", ",validation,")
    table = read_long_table(written("csv", named, tmp_path), "y", divide=("part", "w"))
    in_memory = read_table(tmp_path / "table.csv", "y", divide=("part", "w"))

    one, other = (each.split(0.2, 0.2, np.random.default_rng(0)) for each in (table, in_memory))

    np.testing.assert_array_equal(one.test, other.test)
    np.testing.assert_array_equal(one.folds[0].validation, other.folds[0].validation)


def test_rows_for_the_test_may_come_from_another_long_table(content: str, tmp_path: Path) -> None:
    header, *rows = content.splitlines(keepends=True)
    (tmp_path / "learn.csv").write_text(header + "".join(rows[: ROWS // 2]))
    (tmp_path / "test.csv").write_text(header + "".join(rows[ROWS // 2 :]))

    one, other = (
        read(tmp_path / "learn.csv", "y", test=tmp_path / "test.csv") for read in (read_table, read_long_table)
    )

    np.testing.assert_array_equal(other.examples.rows.numeric, one.examples.rows.numeric)
    np.testing.assert_array_equal(other.examples.labels, one.examples.labels)
    assert (other.learning, other.test_sha256, other.sha256) == (one.learning, one.test_sha256, one.sha256)
    assert len(other.split(0.2, 0.2, np.random.default_rng(0)).test) == len(one.examples) - one.learning
    (tmp_path / "test.csv").write_text(header + rows[1] + "1,no,text,1,z\n")
    with pytest.raises(InvalidTable, match=r"'z' is no class of .*learn.csv"):
        read_long_table(tmp_path / "learn.csv", "y", test=tmp_path / "test.csv")


def test_the_encoder_is_that_of_the_same_rows_in_memory(penguins: Path) -> None:
    """Where the sample holds all of them."""
    config = TrainingConfig.of(table=penguins, target="species", name="m", members=1, memory="20k")
    _, start = prepare(config)

    in_memory = start.examples.take(np.arange(len(start.examples)))
    again = type(start).on(config, in_memory, start.split)

    np.testing.assert_array_equal(start.inputs, again.inputs)
    assert not start.inputs.flags.writeable
    assert again.inputs.flags.writeable


@pytest.mark.parametrize(("rows", "length"), [(1, 8), (33, 8), (100, 8), (4096, 7), (4097, 64), (5000, 1)])
def test_rows_of_a_disk_are_shuffled_near_each_other_into_the_same_batches(
    rows: int, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every row once, in batches as long as those of rows that are shuffled all together."""
    monkeypatch.setattr(batches, "NEAR_ROWS", 16)
    monkeypatch.setattr(batches, "SHUFFLED_ROWS", 32)
    table, targets = np.arange(rows, dtype=np.float32)[:, np.newaxis], np.eye(1, dtype=np.float32)
    labels = np.zeros(rows, np.int64)

    def drawn_rows(seed: int, *, on_disk: bool) -> list[list[float]]:
        source = MiniBatches(Picked(table, np.arange(rows), on_disk), labels, None, length, targets)
        return [inputs[:, 0].tolist() for inputs, _, _ in source.shuffled(np.random.default_rng(seed))]

    for seed in range(9):
        near, everywhere = (drawn_rows(seed, on_disk=on_disk) for on_disk in (True, False))
        assert [len(batch) for batch in near] == [len(batch) for batch in everywhere]
        order = list(chain.from_iterable(near))
        assert sorted(order) == list(range(rows))
        assert rows < 1000 or np.ptp(order[:256]) > 1000  # Of runs from everywhere.


def test_places_that_are_drawn_are_in_order_and_from_everywhere() -> None:
    places = drawn(1_000_000, 1000)

    assert 990 < len(places) <= 1000
    assert (np.diff(places) > 0).all()
    assert abs(places.mean() - 500_000) < 50_000
    np.testing.assert_array_equal(drawn(10, 10), np.arange(10))
