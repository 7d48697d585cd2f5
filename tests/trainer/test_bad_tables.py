"""Every bad table: what it is refused with, and that the repository keeps every byte."""

import gzip
import os
import time
from pathlib import Path

import pyarrow as pa
import pytest

from tests.trainer.tables import PLAIN, contents, fit, of, table_of


def written(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()


def line(number: int, text: str, base: str = PLAIN) -> bytes:
    """The plain table with another text in one line."""
    lines = base.splitlines()
    lines[number - 1] = text
    return written(lines)


REFUSED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty; a table needs a header line and rows"),
    "blank": (b"\n  \n", "is empty"),
    "byte order mark only": (b"\xef\xbb\xbf", "is empty"),
    "a name without an end": (b"a" * 200_000, "has a header but no rows"),
    "a last cell without an end": (b"x,y\n1,p\n" + b"9" * 200_000, "line 3: expected 2 cells, got 1"),
    "header only": (b"x,k,y\n", "has a header but no rows"),
    "one row": (b"x,y\n1,a\n", "holds one class only ('a')"),
    "fewer rows than classes would need": (b"x,y\n1,a\n2,b\n3,c\n", "has 3 rows with a target; at least 10 are needed"),
    "nothing but single rows": (
        written(["x,y", *(f"{row},c{row}" for row in range(10))]),
        "every class has too few rows",
    ),
    "a measurement for a target": (
        written(["x,y", *(f"{row},{row / 7}" for row in range(100))]),
        "the target 'y' has 100 different values in 100 rows",
    ),
    "a row too short": (line(31, "1,a"), "line 31: expected 3 cells, got 2"),
    "a row too long": (line(31, "1,a,no,4"), "line 31: expected 3 cells, got 4"),
    "a quote that never closes": (line(31, '1,"a,no'), "a quote after line 30 is opened and never closed"),
    "Latin-1 among UTF-8": (
        line(31, "1,éé,no") + b"1,\xe9,no\n",
        "byte 625 (0xe9) is not UTF-8, though the file is else",
    ),
    "neither UTF-8 nor Windows-1252": (b"x,\x81,y\n1,2,a\n", "byte 2 (0x81) is neither UTF-8 nor Windows-1252"),
    "half of UTF-16": (PLAIN.encode("utf-16")[:-1], "is no UTF-16; leave --encoding out, or name another"),
    "UTF-16 without a mark": (PLAIN.encode("utf-16-le"), "is no text (byte 1 is 0x00)"),
    "a NUL byte": (line(31, "1,\0,no"), "is no text (byte 306 is 0x00)"),
    "two columns of a name": (b"x,k,x,y\n1,2,3,a\n", "columns 1 and 3 are both named 'x'"),
    "two columns of a name but for spaces": (b"x,k, x,y\n1,2,3,a\n", "columns 1 and 3 are both named 'x'"),
    "a column without a name": (b"x,,y\n1,2,a\n", "column 2 has no name"),
    "no such target": (b"x,z\n1,a\n", "has no column 'y'; its columns are x, z"),
    "colons": (b"x:k:y\n1:2:a\n", "has no column 'y'; its columns are x:k:y"),
    "a PDF": (b"%PDF-1.7\n...", "is a PDF document, no table; save the table in it as CSV"),
    "a target without a value": (b"x,y\n1,\n2,NA\n", "no row has a value in the target column 'y'"),
    "one class": (PLAIN.replace("yes", "no").encode(), "holds one class only ('no'); a classifier needs two or more"),
    "no feature": (b"y\na\nb\n", "has no feature column beside the target"),
    "infinity": (line(31, "inf,a,no"), "line 31, column 'x': inf does not fit in a 32-bit float"),
    "minus infinity": (line(31, "-Infinity,a,no"), "line 31, column 'x': -Infinity does not fit"),
    "1e308": (
        line(31, "1.50e308,a,no"),
        '1.50e308 does not fit in a 32-bit float; the schema can list it as missing: missing = ["1.50e308"]',
    ),
    "1e999": (line(31, "-1e999,a,no"), "line 31, column 'x': -1e999 does not fit in a 32-bit float"),
    "a damaged gzip file": (gzip.compress(PLAIN.encode())[:-20], "is a damaged gzip file"),
    "a line after a cell of two lines": (
        line(31, "inf,a,no", PLAIN.replace("a,no", '"a\nb",no', 1)),
        "line 31, column 'x'",
    ),
}


@pytest.mark.parametrize(("content", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_a_bad_table_is_refused(
    published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, sentence: str
) -> None:
    """Exit code 65, one sentence that names the file and the place, and not a byte of the repository changed."""
    before = contents(published)
    table = tmp_path / "bad.csv"
    table.write_bytes(content)

    assert fit(table, published) == 65
    error = capsys.readouterr().err
    assert sentence in error
    assert error.startswith("trainer: ")
    assert error.count("\n") == 1
    assert "bad.csv" in error or "target 'y'" in error or "too few rows" in error or "rows with a target" in error
    assert contents(published) == before


@pytest.mark.parametrize("kind", ["missing", "folder", "loop", "part of a file"])
def test_a_table_that_cannot_be_read(
    published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    """Exit code 66 (EX_NOINPUT), and the repository unchanged."""
    before = contents(published)
    table = tmp_path / "table.csv"
    if kind == "folder":
        table.mkdir()
    elif kind == "loop":
        table.symlink_to(table)
    elif kind == "part of a file":
        table.touch()
        table = table / "inner.csv"

    assert fit(table, published) == 66
    error = capsys.readouterr().err
    assert error.startswith(f"trainer: {table}: ")
    assert error.count("\n") == 1
    assert contents(published) == before


NUMBERS = table_of({"x": of(lambda row: row % 7)})
BAD_PARQUET = {
    "truncated": (NUMBERS[:-30], "is a damaged Parquet file"),
    "cut to its magic": (b"PAR1", "is a damaged Parquet file"),
    "wrong magic": (b"XXXX" + NUMBERS[4:], "is no Parquet file: it does not begin with PAR1"),
    "wrong last magic": (NUMBERS[:-4] + b"XXXX", "is a damaged Parquet file"),
    "flipped": (NUMBERS[:8] + bytes(byte ^ 255 for byte in NUMBERS[8:60]) + NUMBERS[60:], "is a damaged Parquet file"),
    "no row group": (table_of({"x": pa.array([], pa.int64())}), "has columns but no rows"),
    "lists": (
        table_of({"x": of(lambda row: [row])}),
        "column 'x' holds list<element: int64>; leave it out with --drop",
    ),
    "structs": (table_of({"x": of(lambda row: {"a": row})}), "column 'x' holds struct<a: int64>; leave it out"),
    "bytes": (table_of({"x": of(lambda row: b"\xff")}), "column 'x' holds binary; leave it out with --drop 'x'"),
    "NUL in a text": (table_of({"x": of(lambda row: "a\0b")}), "column 'x' holds the byte 0x00; leave it out"),
    "infinity": (
        table_of({"x": of(lambda row: float("inf"))}),
        "row 1, column 'x': inf does not fit in a 32-bit float",
    ),
    "1e308": (table_of({"x": of(lambda row: 1e308 if row == 4 else 1.0)}), "row 5, column 'x': 1e+308 does not fit"),
}


@pytest.mark.parametrize(("content", "sentence"), BAD_PARQUET.values(), ids=BAD_PARQUET.keys())
def test_a_bad_parquet_file_is_refused(
    published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, sentence: str
) -> None:
    """Exit code 65, with the reason; the repository unchanged."""
    before = contents(published)
    table = tmp_path / "bad.parquet"
    table.write_bytes(content)

    assert fit(table, published) == 65
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert contents(published) == before


@pytest.mark.parametrize("change", ["appended to", "written over"])
def test_a_table_that_is_written_to_meanwhile_is_refused(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    """Exit code 75 (EX_TEMPFAIL): a half that was read is never trained on."""
    before = contents(published)
    table = tmp_path / "growing.csv"
    table.write_text(PLAIN)
    look = os.fstat

    def look_and_write(descriptor: int) -> os.stat_result:
        seen = look(descriptor)
        time.sleep(0.02)  # File times go by the ticks of the kernel's clock.
        with table.open("ab" if change == "appended to" else "r+b") as file:
            file.write(b"1,a,no\n")
        return seen

    monkeypatch.setattr("trainer.data.contents.os.fstat", look_and_write)

    assert fit(table, published) == 75
    assert "growing.csv was written to while it was read; try again" in capsys.readouterr().err
    assert contents(published) == before
