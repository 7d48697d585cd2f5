"""Tables that do not fit in `--memory`: what is refused, and where the sentence says that it stands."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from models.repository import ModelRepository
from tests.trainer.fits import arguments
from tests.trainer.long_tables import FITS, TINY, written
from trainer.command_line import main
from trainer.data import long, sample, size, stream
from trainer.data.blocks import Blocks, open_blocks
from trainer.data.long import read_long_table
from trainer.data.schema import FileSchema
from trainer.data.table import read_table, settled_schema
from trainer.errors import InvalidTable, NoRoom, TableChanged
from trainer.fitting.members import Watch, unwatched
from trainer.job.job import run
from trainer.settings.config import TrainingConfig
from trainer.training.records import Epoch


class Killed(Exception):
    """Stands for the end of the process."""


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


@pytest.mark.parametrize("read", [read_table, read_long_table])
def test_rows_that_count_of_one_class_only_are_refused(read: Callable[..., object], tmp_path: Path) -> None:
    """Whatever has no weight: a model of one class would be right in each test row."""
    path = tmp_path / "table.csv"
    path.write_text("x,w,y\n" + "".join(f"{row},{row % 2},{'ab'[row % 2]}\n" for row in range(2000)))
    with pytest.raises(InvalidTable, match=r"column 'w' is not 0 are of one class only \('b'\)"):
        read(path, "y", weight="w")


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


@pytest.mark.parametrize("form", ["csv", "gz", "zst", "folder"])
def test_a_later_cell_that_is_no_number_is_refused_with_its_place(
    form: str, content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "MOST_ROWS", 500)
    header, *rows = content.splitlines(keepends=True)
    rows[35_000] = "seven" + rows[35_000][rows[35_000].index(",") :]
    path = written(form, header + "".join(rows), tmp_path)

    place = "2.csv, line 5002" if form == "folder" else f"table.{form}, line 35002"
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


def broken(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"1,2\n")


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


@pytest.mark.parametrize("form", ["parquet", "gz", "zst", "csv"])
def test_a_row_that_is_refused_because_the_table_changes_is_refused_for_that(
    form: str, content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second reading has begun when somebody writes over the file: what is read of it is no table any more."""
    path = written(form, content * 4 if form == "csv" else content, tmp_path)
    opened: list[Path] = []

    @contextmanager
    def overwritten(file: Path, given: FileSchema) -> Iterator[Blocks]:
        with open_blocks(file, given) as blocks:
            opened.append(file)
            if len(opened) == 2:
                size = file.stat().st_size
                file.write_bytes(b"\xff" * size)
            yield blocks

    monkeypatch.setattr(stream, "open_blocks", overwritten)

    with pytest.raises(TableChanged, match=f"table.{form} was written to while"):
        read_long_table(path, "y")


def full(disk: pytest.MonkeyPatch) -> None:
    """Room for the rows as they are, and none for the encoded ones."""
    usage = shutil.disk_usage("/")
    left = iter([usage])
    disk.setattr(shutil, "disk_usage", lambda folder: next(left, usage._replace(free=1000)))


@pytest.mark.parametrize("happens", [rewritten, broken, None], ids=["rewritten", "broken", "full"])
def test_a_checkpoint_outlives_what_a_run_is_refused_for(
    happens: Callable[[Path], None] | None, penguins: Path, tmp_path: Path
) -> None:
    """A run is killed, and cannot be taken up; once table and disk are as they were, it is, to the same bytes."""
    table = tmp_path / "table.csv"
    table.write_bytes(penguins.read_bytes())
    config = TrainingConfig.of(table=table, target="species", name="m", memory="20k", epochs=3, hidden=(8,), members=2)

    def train(store: str, watch: Watch = unwatched) -> bytes:
        repository = ModelRepository(tmp_path / store)
        run(config, repository, watch, resume=True, with_report=False)
        return repository.read("m", 1).onnx

    def kill(member: int, members: int, epoch: Epoch) -> None:
        if member == members and epoch.number == 2:  # Two epochs of the distilled network.
            raise Killed

    with pytest.raises(Killed):
        train("killed", kill)
    kept = sorted((tmp_path / "killed" / ".checkpoints").iterdir())
    with pytest.MonkeyPatch.context() as disk:
        full(disk) if happens is None else happens(table)
        with pytest.raises(NoRoom if happens is None else InvalidTable):
            train("killed")
    assert sorted((tmp_path / "killed" / ".checkpoints").iterdir()) == kept
    assert len(kept) == 3
    table.write_bytes(penguins.read_bytes())

    assert train("killed") == train("whole")


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


@pytest.mark.parametrize(
    ("text", "size_"), [("2g", 2 << 30), ("1.5G", 3 << 29), ("512MiB", 512 << 20), ("4096", 4096), ("1kb", 1024)]
)
def test_memory_is_said_in_bytes_or_with_a_unit(text: str, size_: int) -> None:
    assert size.memory_of(text) == size_
