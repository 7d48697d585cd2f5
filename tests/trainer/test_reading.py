"""Files as programs write them: what they are is found out, said in one line, and overruled by a flag or a schema."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.trainer.tables import PLAIN
from trainer.command_line import main
from trainer.data.schema import FileSchema
from trainer.data.table import Table, read_table
from trainer.errors import InvalidSetting

Write = Callable[[str | bytes], Path]

ROWS = "x,k,y\n1,ä,no\n2,b,yes\n3,ä,no\n"


def records(table: Table) -> list[dict[str, Any]]:
    return [dict(record) for record in table.examples.rows.records()]


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


@pytest.mark.parametrize(
    ("content", "read_as"),
    [
        (ROWS.encode(), ""),
        (ROWS.replace(",", ";").encode("cp1252"), "';', Windows-1252"),
        (ROWS.replace(",", "\t").encode("utf-16"), "tab, UTF-16"),
        (ROWS.replace(",", "|").encode("utf-8-sig"), "'|'"),
        (zstd(ROWS.encode()), ""),
        (ROWS.replace("\n", ",\n").encode(), "left out: 1 empty column"),
        (ROWS.replace("\n", ",,\n").encode(), "left out: 2 empty columns"),
        (("," + ROWS.replace("\n", "\n7,")).removesuffix("7,").encode(), "left out: the index 'Unnamed: 0'"),
        ((ROWS + "Total,,\n").encode(), "left out: 'Total' in line 5"),
        ((ROWS + "\n\nSumme:,6,\n\n").encode(), "left out: 'Summe:' in line 7"),
        (b"x,k,y\n1,\xc3\xa4,no\n2,b,yes\n3,\xc3\xa4,no\n,,\n,,\n", ""),
    ],
)
def test_the_same_table_however_it_was_written(table: Write, content: bytes, read_as: str) -> None:
    """Delimiter, encoding, compression, empty columns, an index, a total: one line says what was found."""
    read = read_table(table(content), "y")

    assert records(read) == [{"x": 1.0, "k": "ä"}, {"x": 2.0, "k": "b"}, {"x": 3.0, "k": "ä"}]
    assert read.schema.read_as == read_as


@pytest.mark.parametrize(
    ("content", "given", "x"),
    [
        ("x;k,y\n1;2,no\n3;4,yes\n", {"delimiter": ","}, "x;k"),
        ("x,k,y\n1,é,no\n2,é,yes\n", {"encoding": "cp1252"}, "x"),
    ],
)
def test_a_person_overrules_what_was_found(table: Write, content: str, given: dict[str, Any], x: str) -> None:
    """By a flag, or by the same words in a schema."""
    path = table(content)
    by_flag = read_table(path, "y", file=FileSchema(**given))
    schema = path.with_suffix(".toml")
    stated = ", ".join(f'{key} = "{value}"' for key, value in given.items())
    sections = (f"[columns.{column.name!r}]\nkind = '{column.kind}'" for column in by_flag.examples.rows.columns)
    schema.write_text("\n".join([f'target = "y"\nfile = {{ {stated} }}', *sections]))
    assert by_flag.examples.rows.columns[0].name == x
    assert records(by_flag) == records(read_table(path, "y", schema=schema))
    assert records(by_flag) != records(read_table(path, "y")) or x != "x"


def test_a_total_is_a_row_where_a_person_says_so(table: Write) -> None:
    """A table of shops, one of which is called Total."""
    path = table("shop,k,y\n" + "Esso,1,no\nBP,2,yes\n" * 15 + "Total,,yes\n")

    assert len(read_table(path, "y").examples) == 30
    assert len(read_table(path, "y", file=FileSchema(total="row")).examples) == 31


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--delimiter", ":"], "--delimiter should be ',', ';', "),
        (["--encoding", "klingon"], "no encoding is called 'klingon'; say --encoding utf-8 or windows-1252"),
        (["--decimal", "'"], "--decimal should be '.' or ','"),
    ],
)
def test_a_flag_that_says_what_none_may_is_refused(
    table: Write, capsys: pytest.CaptureFixture[str], flags: list[str], sentence: str
) -> None:
    """Exit code 64, and the words that would do."""
    path = table("x,k,y\n1,\u00e9,no\n2,b,yes\n".encode())

    assert main(["inspect", str(path), "--target", "y", "--output", str(path) + ".toml", *flags]) == 64
    assert sentence in capsys.readouterr().err
    assert not path.with_suffix(".csv.toml").exists()


def test_decimal_marks_are_decided_by_the_other_columns(table: Write) -> None:
    """1.234 alone is a number; beside 0,5 it is a thousand; a flag says otherwise, and a note names both."""
    ambiguous = "x;z;y\n1.234;0{0}5;no\n2.345;1{0}75;yes\n"
    comma, dot = (read_table(table(ambiguous.format(mark)), "y") for mark in ",.")
    forced = read_table(table(ambiguous.format("")), "y", file=FileSchema(decimal="."))

    assert [record["x"] for record in records(comma)] == [1234, 2345]
    assert [record["x"] for record in records(dot)] == [1.234, 2.345]
    assert [record["x"] for record in records(forced)] == [1.234, 2.345]
    assert comma.schema.columns["x"].notes[0] == "numbers of which two readings fit: '1.234' is 1234, or 1.234"


def test_two_delimiters_that_fit_are_named(table: Write) -> None:
    """The one that makes more columns is taken."""
    read = read_table(table("a;b,c;y\n1;2,3;no\n4;5,6;yes\n"), "y")

    assert read.schema.notes == ("two delimiters fit: ';' and ','",)


@pytest.mark.parametrize("bad", ["n.a.", "k.A.", "#DIV/0!", "??"])
def test_one_bad_cell_does_not_take_a_column_away(table: Write, bad: str) -> None:
    """It is missing, the note has its line, and the schema that inspect would write lists it."""
    lines = [f"{row},{row % 2}" for row in range(40)]
    lines[7] = f"{bad},1"
    read = read_table(table("\n".join(["x,y", *lines])), "y")
    column = read.schema.columns["x"]

    assert (column.kind, column.missing) == ("numeric", (bad,))
    assert column.notes[0] == f"texts among numbers, read as missing: '{bad}' 1 (line 9)"
    assert np.flatnonzero(np.isnan(read.examples.rows.numeric[:, 0])).tolist() == [7]


def test_spellings_of_a_class_can_be_merged(table: Write) -> None:
    """Without the flag they are named."""
    path = table("x,y\n" + "1,Yes\n2,No\n3,yes \n4,No\n5,Yes\n" * 4)
    apart, merged = read_table(path, "y"), read_table(path, "y", merge_spellings=True)

    assert apart.examples.classes == ("No", "Yes", "yes ")
    assert apart.schema.notes == ("classes that differ by case or blanks only: 'Yes' 8 and 'yes ' 4",)
    assert merged.examples.classes == ("No", "Yes")
    assert merged.schema.notes == ()


def test_a_parquet_file_of_pandas_has_no_index_and_dates(tmp_path: Path) -> None:
    """What the file declares is taken: an index is none of its columns, and instants are dates."""
    days = pa.array([datetime(2024, 1, 31, 12), datetime(2024, 2, 1)], pa.timestamp("ns"))  # noqa: DTZ001
    frame = pa.table({" x ": [1.5, 2.5], "day": days, "y": ["a", "b"], "__index_level_0__": [5, 9]})
    declared = {"pandas": json.dumps({"index_columns": ["__index_level_0__"]})}
    parquet.write_table(frame.replace_schema_metadata(declared), tmp_path / "frame.parquet")
    read = read_table(tmp_path / "frame.parquet", "y")

    assert records(read) == [{"x": 1.5, "day": "2024-01-31T12:00:00"}, {"x": 2.5, "day": "2024-02-01"}]
    assert read.schema.read_as.endswith("left out: the index '__index_level_0__'")


@pytest.mark.parametrize("encoding", ["no such", "rot13", "base64", "zlib", "undefined", "a\0b"])
def test_an_encoding_of_another_name_is_a_setting(table: Write, encoding: str) -> None:
    """And no fault of the table; what makes no text of bytes is none."""
    with pytest.raises(InvalidSetting):
        read_table(table(PLAIN), "y", file=FileSchema(encoding=encoding))
