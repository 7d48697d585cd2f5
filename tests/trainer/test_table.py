import gzip
import io
import os
import re
from collections import Counter
from collections.abc import Callable
from csv import DictReader
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from trainer.data.columns import TextCells
from trainer.data.decoded import decode
from trainer.data.rows import Column
from trainer.data.schema import FileSchema
from trainer.data.table import read_table
from trainer.errors import InvalidTable, TableChanged

Write = Callable[[str | bytes], Path]


def test_the_example_is_read_as_it_is(penguins: Path) -> None:
    """Kinds, missing cells and classes of the Palmer penguins."""
    table = read_table(penguins, "species")
    rows = table.examples.rows

    assert len(rows) == 344
    assert table.rows_without_target == 0
    assert table.examples.classes == ("Adelie", "Chinstrap", "Gentoo")
    assert np.bincount(table.examples.labels).tolist() == [152, 68, 124]
    assert rows.columns[0] == Column("island", "categorical")
    assert rows.columns[1] == Column("bill_length_mm", "numeric")
    assert int(np.isnan(rows.numeric).sum()) + int((rows.texts() == "").sum()) == 19
    assert rows.records()[3] == {
        "island": "Torgersen",
        "bill_length_mm": None,
        "bill_depth_mm": None,
        "flipper_length_mm": None,
        "body_mass_g": None,
        "sex": None,
        "year": 2007.0,
    }


@pytest.mark.parametrize(
    "spelling", ["TRUE", "1", "-1", "0.50", "<=50K", "2020-01-01", "a,b", "a\nb", 'say ""hi""', "🐧", " x "]
)
def test_a_label_keeps_its_spelling(table: Write, spelling: str) -> None:
    """Whatever else it could be read as, it comes back byte-equal."""
    path = table(f'x,y\n1,"{spelling}"\n2,other\n')

    assert spelling.replace('""', '"') in read_table(path, "y").examples.classes


@pytest.mark.parametrize(
    "content",
    [
        "x,k,y\n1,a,p\n2,b,q\n,a,p\n",
        "\ufeffx,k,y\n1,a,p\n2,b,q\n,a,p\n",
        "x,k,y\r\n1,a,p\r\n2,b,q\r\n,a,p\r\n",
        "x,k,y\r1,a,p\r2,b,q\r,a,p\r",
        "x,k,y\n1,a,p\n\n2,b,q\n,a,p",
        'x,k,y\n1,"a",p\n2,b,"q"\nNA,a,p\n',
    ],
    ids=["plain", "byte-order mark", "CRLF", "CR", "blank line and no last newline", "quotes"],
)
def test_the_same_table_in_other_bytes_is_the_same(table: Write, content: str) -> None:
    """Line ends, a byte-order mark, quotes and blank lines change nothing."""
    examples = read_table(table(content), "y").examples

    assert examples.rows.records() == [{"x": 1.0, "k": "a"}, {"x": 2.0, "k": "b"}, {"x": None, "k": "a"}]
    assert examples.labels.tolist() == [0, 1, 0]


def test_rows_without_a_target_are_left_out_and_counted(table: Write) -> None:
    """They cannot teach anything."""
    read = read_table(table("x,y\n1,a\n2,\n3,b\n4,NA\n"), "y")

    assert read.rows_without_target == 2
    assert read.examples.rows.numeric.ravel().tolist() == [1.0, 3.0]


def test_a_column_can_be_dropped(table: Write) -> None:
    """An identifier is no feature."""
    path = table("id,x,y\nq7,1,a\nr9,2,b\n")

    assert [column.name for column in read_table(path, "y", drop=["id", "id"]).examples.rows.columns] == ["x"]
    with pytest.raises(InvalidTable, match="'y' is the target and cannot be dropped"):
        read_table(path, "y", drop=["y"])
    with pytest.raises(InvalidTable, match="no column 'z'"):
        read_table(path, "y", drop=["z"])


def test_a_line_break_within_quotes_is_a_character(table: Write) -> None:
    """Also in a file of many blocks, wherever a block happens to end."""
    lines = "".join(f'{n},"two\nlines {n % 7}",{n % 2}\n' for n in range(120_000))
    examples = read_table(table(f"x,note,y\n{lines}"), "y").examples

    assert examples.rows.numeric.ravel().tolist() == list(range(120_000))
    assert len(examples.rows.vocabularies[0]) == 7


def test_a_quote_within_a_cell_is_a_character(table: Write) -> None:
    """An inch sign opens nothing."""
    examples = read_table(table('pipe,y\n5" steel,a\n7 copper,b\n'), "y").examples

    assert examples.rows.vocabularies == (('5" steel', "7 copper"),)


def test_booleans_stay_the_texts_they_are(table: Write) -> None:
    """`True` and `yes` are categories; the service is asked with the same spelling."""
    examples = read_table(table("flag,y\nTrue,a\nfalse,b\n"), "y").examples

    assert examples.rows.vocabularies == (("True", "false"),)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"x,y\n", "has a header but no rows"),
        (b"x,z\n1,2\n", "has no column 'y'; its columns are x, z"),
        (b"x,y\n1,a\n2,a\n", r"one class only \('a'\)"),
        (b"x,y\n1,\n2,NA\n", "no row has a value in the target column 'y'"),
        (b"x,y\n1,a\n2\n3,b\n", "line 3: expected 2 cells, got 1"),
        (b'x,y\n"1\n1",a\n2,b,c\n', "line 4: expected 2 cells, got 3"),
        (b'x,y\n1,a\n"2,b\n3,a\n', "a quote after line 2 is opened and never closed"),
        (b"x,x,y\n1,2,a\n", "columns 1 and 2 are both named 'x'"),
        (b"x,,y\n1,2,a\n", "column 2 has no name"),
        (b"y\na\nb\n", "no feature column"),
        ("x,y\né,a\nüöä,b".encode() + b"\xe9\n", r"byte 17 \(0xe9\) is not UTF-8, though the file is else"),
        (b"x,y\n\x81,a\n", r"byte 4 \(0x81\) is neither UTF-8 nor Windows-1252; say --encoding"),
        (b"x,y\n1,a\n1e39,b\n", "line 3, column 'x': 1e39 does not fit in a 32-bit float"),
        (b"x,y\n1,a\n-inf,b\n", "line 3, column 'x': -inf does not fit"),
        (
            b"x,y\n" + b"".join(b"id%d,%d\n" % (n, n % 2) for n in range(300)),
            "no feature column beside the target; ignored: x",
        ),
    ],
)
def test_an_unfit_table_is_refused_with_its_reason(table: Write, content: bytes, sentence: str) -> None:
    """One sentence that names the rule and the place."""
    with pytest.raises(InvalidTable, match=sentence) as refusal:
        read_table(table(content), "y")
    assert "\n" not in str(refusal.value)


def test_gzip_and_parquet_are_read_as_the_same_table(penguins: Path, tmp_path: Path) -> None:
    """Whatever the file is called; labels, kinds, numbers and gaps are those of the CSV file."""
    plain = read_table(penguins, "species")
    zipped, columnar = tmp_path / "table.csv", tmp_path / "table.bin"
    zipped.write_bytes(gzip.compress(penguins.read_bytes()))
    options = csv.ConvertOptions(null_values=["", "NA"], strings_can_be_null=True)
    parquet.write_table(csv.read_csv(penguins, convert_options=options), columnar)

    for other in (zipped, columnar):
        table = read_table(other, "species")
        assert table.examples.classes == plain.examples.classes
        assert table.examples.rows.columns == plain.examples.rows.columns
        np.testing.assert_array_equal(table.examples.labels, plain.examples.labels)
        np.testing.assert_array_equal(table.examples.rows.numeric, plain.examples.rows.numeric)
        assert table.examples.rows.records() == plain.examples.rows.records()
        assert table.sha256 != plain.sha256


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    """Dictionaries are texts, decimals numbers, whole numbers and truths as classes are spelled out."""
    path = tmp_path / "table.parquet"
    columns = {
        "kind": pa.array(["a", "b", None, "a"]).dictionary_encode(),
        "price": pa.array([Decimal("1.50"), None, Decimal("2.25"), Decimal("3.00")]),
        "small": pa.array([1, 2, 3, None], pa.int8()),
        "day": pa.array([date(2026, 1, number) for number in (1, 2, 3, 4)]),
        "y": pa.array([True, False, True, False]),
    }
    parquet.write_table(pa.table(columns), path)
    table = read_table(path, "y")

    assert table.examples.classes == ("false", "true")
    assert [(column.name, column.kind) for column in table.examples.rows.columns] == [
        ("kind", "categorical"),
        ("price", "numeric"),
        ("small", "numeric"),
        ("day", "date"),
    ]
    assert table.examples.rows.records()[0] == {"kind": "a", "price": 1.5, "small": 1.0, "day": "2026-01-01"}


def test_parquet_may_hold_nan(tmp_path: Path) -> None:
    """It is a missing number like any other, and the feature may be missing."""
    path = tmp_path / "table.parquet"
    parquet.write_table(pa.table({"x": [1.0, float("nan"), 2.0], "y": ["a", "b", "a"]}), path)

    assert read_table(path, "y").examples.rows.columns == (Column("x", "numeric"),)


def test_parquet_columns_need_names_of_their_own(tmp_path: Path) -> None:
    """As those of a CSV file do."""
    path = tmp_path / "table.parquet"
    parquet.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2]), pa.array(["a"])], ["x", "x", "y"]), path)

    with pytest.raises(InvalidTable, match="columns 1 and 2 are both named 'x'"):
        read_table(path, "y")


def test_a_dropped_column_may_hold_anything(tmp_path: Path) -> None:
    """Lists, say, which no feature can be made of."""
    path = tmp_path / "table.parquet"
    parquet.write_table(pa.table({"x": [1.0, 2.0], "list": [[1], [2]], "y": ["a", "b"]}), path)

    assert [column.name for column in read_table(path, "y", ["list"]).examples.rows.columns] == ["x"]


def damaged_gzip(penguins: Path) -> bytes:
    return gzip.compress(penguins.read_bytes())[:-50]


def damaged_parquet(_: Path) -> bytes:
    return b"PAR1" + b"\0" * 50


def nested_parquet(_: Path) -> bytes:
    sink = io.BytesIO()
    parquet.write_table(pa.table({"x": [[1], [2]], "species": ["a", "b"]}), sink)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (damaged_gzip, "is a damaged gzip file"),
        (damaged_parquet, "is a damaged Parquet file"),
        (nested_parquet, "column 'x' holds list<element: int64>; leave it out with --drop 'x'"),
    ],
)
def test_a_damaged_file_is_refused(
    penguins: Path, tmp_path: Path, make: Callable[[Path], bytes], sentence: str
) -> None:
    """By name, with the reason."""
    path = tmp_path / "table"
    path.write_bytes(make(penguins))

    with pytest.raises(InvalidTable, match=re.escape(sentence)):
        read_table(path, "species")


@pytest.mark.parametrize("shift", [-1, 0, 1])
def test_a_line_break_in_a_cell_stays_whole_wherever_it_stands(table: Write, shift: int) -> None:
    """CR and LF of a quoted cell on either side of byte 2^20, where pyarrow's reader cuts its blocks and would lose the
    LF (apache/arrow#51368); the csv module is the measure.
    """
    head, filler, cell = b"note,x,y\r\n", b'"white\r\nwine",1,no\r\n', b'"red\r\nwine",1,yes\r\n'
    before = (1 << 20) - 1 + shift - len(b'"red')
    rows, rest = divmod(before - len(head), len(filler))
    longer = b'"white\r\nwine",1.' + b"0" * (rest + 19) + b",no\r\n"
    content = head + filler * (rows - 2) + longer + cell * 50
    assert content[before : before + 6] == b'"red\r\n'

    read = decode(table(content), FileSchema()).cells("note")

    assert isinstance(read, TextCells)
    counts = dict(zip(read.texts.to_pylist(), read.counts().tolist(), strict=False))
    assert counts == Counter(row["note"] for row in DictReader(io.StringIO(content.decode(), newline="")))


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_bad_cell_on_a_pipe_is_named_by_its_line(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    """What has been read from a pipe cannot be read again."""
    schema = tmp_path / "schema.toml"
    schema.write_text('target = "y"\n[columns.x]\nkind = "numeric"\n')
    reader, writer = os.pipe()
    os.write(writer, compress(b"x,y\n" + b"1,a\n2,b\n" * 10 + b"three,a\n"))
    os.close(writer)

    with pytest.raises(InvalidTable, match=f"/dev/fd/{reader}, line 22, column 'x': 'three' is no number"):
        read_table(Path(f"/dev/fd/{reader}"), "y", schema=schema)
    os.close(reader)


def test_a_table_that_changed_before_a_bad_cell_was_named_is_told(table: Write) -> None:
    """Its lines are no longer those that were read."""
    path = table("x,y\n1,a\n2,b\n")
    file = decode(path, FileSchema())
    path.write_text("x,y\n")

    with pytest.raises(TableChanged, match=r"table\.csv was written to while it was read"):
        file.place(1)
