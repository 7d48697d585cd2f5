"""A folder of files is one table: what is read from it, and what is refused."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from tests.trainer.tables import ROWS, fit
from trainer.data.table import read_table
from trainer.errors import InvalidTable

HEADER = "x,k,y\n"
LINES = [f"{x},{k},{y}\n" for x, k, y in ROWS]
FIRST, SECOND = HEADER + "".join(LINES[:25]), HEADER + "".join(LINES[25:])

Folder = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Write the files of a folder, each by its name."""

    def write(**files: str | bytes) -> Path:
        (tmp_path / "rows").mkdir()
        for name, content in files.items():
            path = tmp_path / "rows" / name.replace("_", ".", 1)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path / "rows"

    return write


def parquet_of(text: str, tmp_path: Path) -> bytes:
    parquet.write_table(arrow_csv.read_csv(pa.BufferReader(text.encode())), tmp_path / "part")
    return (tmp_path / "part").read_bytes()


@pytest.mark.parametrize("packing", ["csv", "gzip", "zstd", "parquet"])
def test_a_folder_is_read_as_the_one_table_that_its_files_are(packing: str, folder: Folder, tmp_path: Path) -> None:
    """In the order of their names, whatever they are packed by."""
    pack: dict[str, Callable[[bytes], bytes]] = {
        "csv": bytes,
        "gzip": gzip.compress,
        "zstd": lambda data: pa.compress(data, "zstd", asbytes=True),
        "parquet": lambda data: parquet_of(data.decode(), tmp_path),
    }
    files = {name: pack[packing](text.encode()) for name, text in (("b_x", SECOND), ("a_x", FIRST))}
    (tmp_path / "one.csv").write_bytes(pack[packing]((HEADER + "".join(LINES)).encode()))

    one, parts = read_table(tmp_path / "one.csv", "y"), read_table(folder(**files, _success=b""), "y")

    np.testing.assert_array_equal(parts.examples.rows.numeric, one.examples.rows.numeric)
    np.testing.assert_array_equal(parts.examples.rows.codes, one.examples.rows.codes)
    np.testing.assert_array_equal(parts.examples.labels, one.examples.labels)
    assert (parts.schema, parts.examples.classes) == (one.schema, one.examples.classes)
    assert parts.sha256 != one.sha256


def test_columns_of_a_later_file_may_stand_in_another_order(folder: Folder) -> None:
    turned = "y,x,k\n" + "".join(f"{y},{x},{k}\n" for x, k, y in ROWS[25:])

    read = read_table(folder(a_csv=FIRST, b_csv=turned), "y")

    assert read.examples.rows.numeric[:, 0].tolist() == [np.float32(x) for x, _, _ in ROWS]


@pytest.mark.parametrize(
    ("later", "sentence"),
    [
        ("x,y\n1,no\n", "b.csv, line 1: no column 'k', which {a} has"),
        ("x,k,y,z\n1,a,no,3\n", "b.csv, line 1: a column 'z', which {a} lacks"),
        ("x,k,y\n1,a,no\n2,b\n", "b.csv, line 3: expected 3 cells, got 2"),
        ("", "b.csv is empty"),
    ],
)
def test_a_file_that_is_no_part_of_the_table_is_refused_by_its_name(
    later: str, sentence: str, folder: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = folder(a_csv=FIRST, b_csv=later)

    assert fit(where, tmp_path / "store") == 65

    assert sentence.format(a=where / "a.csv") in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


def test_a_column_that_files_declare_to_hold_different_things_is_refused(folder: Folder, tmp_path: Path) -> None:
    text = parquet.read_table(pa.BufferReader(parquet_of(SECOND, tmp_path)))
    text = text.set_column(0, "x", pc.cast(text["x"], pa.string()))
    parquet.write_table(text, tmp_path / "b")
    files = {"a_parquet": parquet_of(FIRST, tmp_path), "b_parquet": (tmp_path / "b").read_bytes()}

    with pytest.raises(InvalidTable, match=r"b.parquet: column 'x' holds texts, and in .* numbers"):
        read_table(folder(**files), "y")


def test_a_cell_that_no_schema_allows_is_refused_with_its_file_and_line(folder: Folder, tmp_path: Path) -> None:
    schema = tmp_path / "schema.toml"
    schema.write_text('target = "y"\n[columns.x]\nkind = "numeric"\n[columns.k]\nkind = "categorical"\n')
    where = folder(a_csv=FIRST, b_csv=SECOND + "seven,a,no\n")

    with pytest.raises(InvalidTable, match=r"rows, b.csv, line 37, column 'x': 'seven' is no number"):
        read_table(where, "y", schema=schema)


@pytest.mark.parametrize(("inside", "code"), [(None, 66), ("deeper", 65)])
def test_a_folder_without_files_or_with_folders_is_refused(inside: str | None, code: int, tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    if inside:
        (tmp_path / "rows" / inside).mkdir()

    assert fit(tmp_path / "rows", tmp_path / "store") == code
