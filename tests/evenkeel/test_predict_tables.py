"""The tables that are scored: every form that fit reads too, and what is no table."""

import csv
import gzip
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.evenkeel.conftest import OURS, Command, rows_of


def variants(header: str, rows: list[str], folder: Path) -> dict[str, Path]:
    """One table in every form in which people have it."""
    text = "\n".join([header, *rows]) + "\n"
    cells = [line.split(",") for line in rows]
    columns = dict(zip(header.split(","), map(list, zip(*cells, strict=True)), strict=True))
    forms: dict[str, bytes] = {
        "plain.csv": text.encode(),
        "semicolon.csv": text.replace(",", ";").encode("utf-8-sig"),
        "tab.tsv": text.replace(",", "\t").encode("cp1252"),
        "utf16.csv": text.encode("utf-16"),
        "crlf.csv": text.replace("\n", "\r\n").encode(),
        "mac.csv": text.replace("\n", "\r").encode(),
        "quoted.csv": "\n".join(f'"{line}"' for line in text.replace(",", '","').splitlines()).encode(),
        "packed.csv.gz": gzip.compress(text.encode()),
        "packed.zst": pa.compress(text.encode(), "zstd", asbytes=True),
        "spaced.csv": ("\n" + text.replace("sex", " sex ", 1).replace("\n", "\n\n")).encode(),
        "total.csv": (text + "Total,,,,,,,,\n").encode(),
    }
    for name, data in forms.items():
        (folder / name).write_bytes(data)
    table = pa.table(columns)
    parquet.write_table(table, folder / "table.parquet", row_group_size=50)
    gaps = pa.table({name: [None if cell == "NA" else cell for cell in cells] for name, cells in columns.items()})
    parquet.write_table(gaps, folder / "gaps.parquet")
    buffer = io.BytesIO()
    parquet.write_table(table, buffer)
    (folder / "packed.parquet.gz").write_bytes(gzip.compress(buffer.getvalue()))
    return {path.name: path for path in folder.iterdir()}


def test_every_form_of_a_table_is_read_as_fit_reads_it(predict: Command, penguins: Path, tmp_path: Path) -> None:
    """Delimiters, encodings, line breaks, quotes, compression, Parquet: the same answers to the same rows."""
    header, *rows = penguins.read_text().splitlines()
    rows = [f"{row},Zürich" for row in rows]
    forms = variants(f"{header},place", rows, tmp_path)
    names = [*header.split(","), "place", *OURS]
    expected = rows_of(predict(forms["plain.csv"]).out)

    assert len(expected) == 344
    for name, path in forms.items():
        output = tmp_path / "out.parquet"
        assert predict(path, "-o", output).code == 0, name
        found = parquet.read_table(output)
        assert found.column_names == names, name
        assert [{k: v or "NA" for k, v in row.items()} for row in found.select(names[:9]).to_pylist()] == [
            {k: row[k] or "NA" for k in names[:9]} for row in expected
        ], name
        numbers = np.column_stack([found[column].to_numpy() for column in OURS[1:5]])
        assert numbers.tolist() == [[float(np.float32(row[column])) for column in OURS[1:5]] for row in expected], name


def test_a_column_without_name_and_value_is_left_out(predict: Command, penguins: Path, tmp_path: Path) -> None:
    """As fit leaves it out; one that has a value needs a name, and the index of pandas gets the one that fit says."""
    header, *rows = penguins.read_text().splitlines()
    table = tmp_path / "table.csv"
    table.write_text("\n".join([f"{header},,", *(f"{row}, ," for row in rows), ""]))
    ended = predict(table)

    assert ended.out == predict(penguins).out
    assert ended.err.startswith("note: columns without a name and a value, left out: 2 empty columns; a name in the")
    table.write_text("\n".join([f"{header},", *(f"{row}," for row in rows[:300]), f"{rows[300]},x", ""]))
    refused = predict(table)
    assert (refused.code, refused.err) == (
        65,
        f"evenkeel: {table}: column 9 has no name; write one into the header\n",
    )
    table.write_text("\n".join([f",{header}", *(f"{number},{row}" for number, row in enumerate(rows)), ""]))
    assert list(rows_of(predict(table).out)[0]) == ["Unnamed: 0", *header.split(","), *OURS]


def test_the_first_thing_that_is_wrong_is_named(predict: Command, penguins: Path, tmp_path: Path) -> None:
    """A cell that is no number, far above a quote that never closes: each block is judged in its turn."""
    header, *rows = penguins.read_text().splitlines()
    table = tmp_path / "table.csv"
    bad = rows[0].replace("39.1", "thirty")
    table.write_text("\n".join([header, *rows * 10, bad, *rows * 90, f'"{rows[1]}', ""]))
    ended = predict(table, "-o", tmp_path / "out.csv")

    assert ended.code == 65
    assert f"line {2 + 10 * len(rows)}, feature 'bill_length_mm': 'thirty'" in ended.err


def test_cells_come_back_as_they_were(predict: Command, penguins: Path, tmp_path: Path) -> None:
    """Quotes, delimiters and line breaks in a cell, and texts that only look like numbers."""
    header, first, *_ = penguins.read_text().splitlines()
    odd = ['say "hi"', "a,b", "two\r\nlines", "two\nlines", "007", " blank ", "ü", ""]
    table = tmp_path / "odd.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*header.split(","), "odd"])
        writer.writerows([*first.split(","), cell] for cell in odd)

    assert [row["odd"] for row in rows_of(predict(table).out)] == odd


@pytest.mark.parametrize(
    ("text", "code", "sentence"),
    [
        ("year\n2007\n", 65, "has no column 'island', which penguins was trained on; its columns are year: add it"),
        ("", 65, "is empty; a table needs a header line and rows"),
        ("a,a\n1,2\n", 65, "columns 1 and 2 are both named 'a'; rename one in the header"),
        ("%PDF-1.4", 65, "is a PDF document, no table"),
        (None, 66, "No such file"),
    ],
)
def test_what_is_no_table_is_named(
    predict: Command, tmp_path: Path, text: str | None, code: int, sentence: str
) -> None:
    """One sentence, and nothing is written."""
    table, output = tmp_path / "t.csv", tmp_path / "out.csv"
    if text is not None:
        table.write_text(text)
    ended = predict(table, "-o", output)

    assert ended.code == code
    assert sentence in ended.err
    assert ended.err.count("\n") == 1
    assert not output.exists()


def test_a_table_without_rows_has_no_answers(predict: Command, penguins: Path, tmp_path: Path) -> None:
    """A nightly job on an empty table writes its header."""
    table = tmp_path / "t.csv"
    table.write_text(penguins.read_text().splitlines()[0] + "\n")
    ended = predict(table)

    assert ended.code == 0
    assert ended.out == penguins.read_text().splitlines()[0] + "," + ",".join(OURS) + "\n"
