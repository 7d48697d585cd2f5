"""Tables that do not fit in `--memory`: the same rows as in memory, a split that stays, and what is refused."""

import gzip
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from models.repository import ModelRepository
from tests.conftest import ROOT
from tests.trainer.fits import arguments, fitting
from trainer.arrays import Picked
from trainer.command_line import main
from trainer.config import TrainingConfig
from trainer.data import long, sample, size, split
from trainer.data import texts as data_texts
from trainer.data import written as data_written
from trainer.data.columns import TextCells
from trainer.data.hashing import drawn
from trainer.data.long import read_long_table
from trainer.data.rows import RARE, Examples
from trainer.data.schema import FileSchema
from trainer.data.stream import Stream
from trainer.data.table import Table, read_table, settled_schema
from trainer.errors import InvalidTable
from trainer.job import prepare
from trainer.nn import batches
from trainer.nn.batches import MiniBatches
from trainer.parallel import ONE_THREAD

# So little that even the penguins do not fit.
TINY = ("--memory", "20k")
# What the rows take of the table below, which is not enough for its cells.
FITS = ("--memory", "1700k")
SHORT = ("--epochs", "3", "--members", "2", "--jobs", "1")
ROWS = 40_000


def lines(rows: int = ROWS) -> list[str]:
    """More than one block of CSV, of Parquet too: a number with gaps, texts of which some are rare, and a weight."""
    rng = np.random.default_rng(0)
    numbers, texts, classes = rng.normal(size=rows), rng.integers(0, 1500, rows) ** 2 // 1500, rng.integers(0, 3, rows)
    return [
        f"{'' if at % 7 == 0 else f'{number:.6f}'},{'yes' if number > 0 else 'no'},text {text} of a column,"
        f"{at % 3},{'abc'[label] if at % 11 else ''}\n"
        for at, (number, text, label) in enumerate(zip(numbers, texts, classes, strict=True))
    ]


HEADER = "x,b,k,w,y\n"


@pytest.fixture(scope="module")
def content() -> str:
    return HEADER + "".join(lines())


def written(form: str, content: str, folder: Path) -> Path:
    """The table in a file or a folder of files."""
    path, data = folder / f"table.{form}", content.encode()
    if form == "parquet":
        parquet.write_table(arrow_csv.read_csv(pa.BufferReader(data)), path, row_group_size=9000)
    elif form == "folder":
        path.mkdir()
        header, *rows = content.splitlines(keepends=True)
        for part in range(3):
            (path / f"{part}.csv").write_text(header + "".join(rows[part * 15_000 : (part + 1) * 15_000]))
    else:
        pack: dict[str, Callable[[bytes], bytes]] = {
            "csv": bytes,
            "gz": gzip.compress,
            "zst": lambda data: pa.compress(data, "zstd", asbytes=True),
        }
        path.write_bytes(pack[form](data))
    return path


def texts(examples: Examples, most: int = 5000) -> list[list[str]]:
    cells: list[list[str]] = examples.take(np.arange(most)).rows.texts().tolist()
    return cells


def without_note(table: Table) -> dict[str, object]:
    decisions = table.schema.decisions()
    assert decisions["notes"][0].startswith("rows that do not fit in --memory")
    return decisions | {"notes": decisions["notes"][1:]}


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


def test_a_long_table_is_published_and_says_that_it_was_long(penguins: Path, tmp_path: Path) -> None:
    """The card names the sample; the model answers its own golden rows; several processes give the same bytes."""
    assert main(arguments(penguins, tmp_path / "one", *SHORT, *TINY)) == 0
    assert main(arguments(penguins, tmp_path / "two", *SHORT[:-1], "2", *TINY)) == 0

    one, two = (ModelRepository(tmp_path / store).read("m", 1) for store in ("one", "two"))
    notes = one.card.provenance.table_schema["notes"]
    assert notes[0].endswith("columns judged by a sample: 344 of 344, in blocks")
    assert one.onnx == two.onnx
    assert one.card.metrics["test"].accuracy > 0.8


def test_memory_changes_nothing_where_a_table_fits(penguins: Path, tmp_path: Path) -> None:
    assert main(arguments(penguins, tmp_path / "one", *SHORT)) == 0
    assert main(arguments(penguins, tmp_path / "two", *SHORT, "--memory", "1.5g")) == 0

    one, two = (ModelRepository(tmp_path / store).read("m", 1) for store in ("one", "two"))
    assert one.onnx == two.onnx


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_on_a_long_table_that_is_killed_is_taken_up_to_the_same_bytes(
    jobs: int, penguins: Path, tmp_path: Path
) -> None:
    """Its files without a name are gone with it, and are written again from the table."""
    flags = ("--members", "2", "--epochs", "60", "--patience", "60", "--verbose", *TINY)
    assert main(arguments(penguins, tmp_path / "alone", *flags, "--jobs", "1")) == 0
    with fitting(penguins, tmp_path / "killed", *flags, "--jobs", str(jobs)) as fit:
        fit.wait_for_epoch(5, 1)
        fit.kill()
    assert list((tmp_path / "killed" / ".checkpoints").glob("*.npz"))

    with fitting(penguins, tmp_path / "killed", *flags, "--jobs", str(jobs), "--resume") as fit:
        assert fit.end() == 0
        assert "epoch    1 " not in "".join(line for line in fit.said().splitlines(True) if "member 1" in line)

    one, two = (ModelRepository(tmp_path / store).read("m", 1) for store in ("alone", "killed"))
    assert one.onnx == two.onnx
    assert not list((tmp_path / "killed" / ".checkpoints").glob("*.npz"))


@pytest.mark.parametrize("form", ["csv", "parquet", "folder"])
def test_a_later_row_that_breaks_a_stated_schema_is_refused_with_its_place(
    form: str, content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A word that is no boolean's, in one row that the sample does not hold; nothing is left behind."""
    monkeypatch.setattr(sample, "MOST_ROWS", 500)
    schema = tmp_path / "schema.toml"
    kinds = {"x": "numeric", "b": "boolean", "k": "categorical", "w": "ignored"}
    schema.write_text('target = "y"\n' + "".join(f'[columns.{name}]\nkind = "{kinds[name]}"\n' for name in kinds))
    path = written(form, with_third_text(content), tmp_path)

    assert main(arguments(path, tmp_path / "store", *FITS, "--schema", str(schema), target="y")) == 65

    place = {"csv": "table.csv, line 35002", "parquet": "table.parquet, row 35001", "folder": "2.csv, line 5002"}[form]
    said = capsys.readouterr().err
    assert f"{place}, column 'b': 'maybe' is a third text in a boolean column" in said
    assert not (tmp_path / "store").exists()


def with_third_text(content: str) -> str:
    """The table with a word in a late row of the column of two texts."""
    header, *rows = content.splitlines(keepends=True)
    rows[35_000] = rows[35_000].replace(",yes,", ",maybe,").replace(",no,", ",maybe,")
    return header + "".join(rows)


def test_what_a_sample_takes_for_a_boolean_may_turn_out_to_be_none(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A third text makes it a category, and a third number a number, as in memory."""
    monkeypatch.setattr(sample, "MOST_ROWS", 500)
    header, *rows = with_third_text(content).replace(" column,2,", " column,1,").splitlines(keepends=True)
    rows[35_000] = rows[35_000].replace(" column,1,", " column,7,")
    path = written("csv", header + "".join(rows), tmp_path)

    one, other = read_table(path, "y"), read_long_table(path, "y")

    assert [one.schema.columns[name].kind for name in "bw"] == ["categorical", "numeric"]
    assert other.examples.rows.columns == one.examples.rows.columns
    np.testing.assert_array_equal(other.examples.rows.numeric, one.examples.rows.numeric)
    assert other.examples.rows.vocabularies == one.examples.rows.vocabularies
    assert {name: one.kind for name, one in other.schema.columns.items()} == {
        name: one.kind for name, one in one.schema.columns.items()
    }


@pytest.mark.parametrize("form", ["csv", "folder"])
def test_a_later_cell_that_is_no_number_is_refused_with_its_place(
    form: str, content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "MOST_ROWS", 500)
    header, *rows = content.splitlines(keepends=True)
    rows[35_000] = "seven" + rows[35_000][rows[35_000].index(",") :]
    path = written(form, header + "".join(rows), tmp_path)

    place = {"csv": "table.csv, line 35002", "folder": "2.csv, line 5002"}[form]
    with pytest.raises(InvalidTable, match=rf"{place}, column 'x': 'seven' is no number; the schema can list it"):
        read_long_table(path, "y")


def rewritten(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"1,no,text,1,a\n")


def touched(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def gone(path: Path) -> None:
    path.unlink()


def joined(path: Path) -> None:
    (path.parent / "z.csv").write_bytes(path.read_bytes())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (rewritten, "2.csv was written to while the table was read; try again when it is whole"),
        (touched, "2.csv was written to while the table was read; try again when it is whole"),
        (gone, "2.csv is gone; try again when the table is whole"),
        (joined, "table.folder has other files than before; try again when it is whole"),
    ],
)
def test_a_table_that_changes_between_the_two_readings_is_refused(
    change: Callable[[Path], None],
    sentence: str,
    content: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = written("folder", content, tmp_path)

    def between(*arguments: object) -> object:
        change(path / "2.csv")
        return settled_schema(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(long, "settled_schema", between)

    assert main(arguments(path, tmp_path / "store", *FITS, target="y")) == 75

    assert sentence in capsys.readouterr().err


def test_a_disk_without_room_is_named_before_anything_is_written(
    penguins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    full = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: full)

    assert main(arguments(penguins, tmp_path / "store", *TINY)) == 74

    said = capsys.readouterr().err
    assert "the 344 rows of" in said
    assert "GB left; TMPDIR=FOLDER before the command takes a folder of a larger" in said


@pytest.mark.parametrize(
    ("flags", "code", "sentence"),
    [
        (("--memory", "lots"), 64, "--memory should be bytes, or such as 512m, 2g or 1.5g, not 'lots'"),
        (("--memory", "0"), 64, "--memory"),
        (("--time", "year", *TINY), 64, "--time orders all rows at once; say --split-by with a column that names"),
        (("--memory", "2k"), 64, "344 rows, for which training itself takes"),
    ],
)
def test_what_cannot_be_is_refused(
    flags: tuple[str, ...],
    code: int,
    sentence: str,
    penguins: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(arguments(penguins, tmp_path / "store", *flags)) == code

    assert sentence in capsys.readouterr().err


def test_a_second_version_is_compared_on_the_same_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where the first one knows texts that the longer table calls rare: it is read again for them."""
    short, whole = tmp_path / "short.csv", tmp_path / "table.csv"
    short.write_text(HEADER + "".join(lines(900)))
    whole.write_text(HEADER + "".join(lines(6000)))
    flags = ("--epochs", "1", "--members", "1", "--memory", "200k", "--promote", "if-better")
    assert main(arguments(short, tmp_path / "store", *flags[:-2], target="y")) == 0

    assert main(arguments(whole, tmp_path / "store", *flags, target="y")) == 0

    assert re.search(r"log-loss [\d.]+ of the new\s+version against", capsys.readouterr().out)


PEAK = """
import sys, threading, time
from pathlib import Path
from trainer.config import TrainingConfig
from trainer.job import prepare

peak = 0
def look():
    global peak
    while True:
        peak = max(peak, int(Path("/proc/self/status").read_text().split("RssAnon:")[1].split()[0]))
        time.sleep(0.005)

threading.Thread(target=look, daemon=True).start()
table, start = prepare(TrainingConfig.of(table=sys.argv[1], target="y", name="m", memory=sys.argv[2]))
assert start.inputs.shape == (len(table.examples), 12)
print(peak / 1024)
"""


@pytest.mark.thorough
def test_memory_does_not_grow_with_the_cells_of_a_long_table(tmp_path: Path) -> None:
    """900 000 rows more have 41 MiB of numbers and as many encoded; what grows with them is less than one of these."""
    rng, peaks = np.random.default_rng(0), []
    for rows in (300_000, 1_200_000):
        path = tmp_path / f"{rows}.parquet"
        columns = {f"x{number}": rng.normal(size=rows).astype(np.float32) for number in range(12)}
        parquet.write_table(pa.table(columns | {"y": rng.integers(0, 2, rows)}), path, row_group_size=50_000)
        command = [sys.executable, "-c", PEAK, str(path), "40m"]
        peaks.append(float(subprocess.check_output(command, cwd=ROOT, env=os.environ | ONE_THREAD)))

    assert peaks[1] - peaks[0] < 40


@pytest.mark.parametrize(
    ("text", "size_"), [("2g", 2 << 30), ("1.5G", 3 << 29), ("512MiB", 512 << 20), ("4096", 4096), ("1kb", 1024)]
)
def test_memory_is_said_in_bytes_or_with_a_unit(text: str, size_: int) -> None:
    assert size.memory_of(text) == size_


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
