"""A table read a block at a time is the table that is read whole, wherever the blocks end."""

import csv
import gzip
import io
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data import blocks as blocks_module
from trainer.data import opened
from trainer.data.blocks import open_blocks
from trainer.data.layout import end_of_rows, lines_in
from trainer.data.schema import FileSchema
from trainer.errors import InvalidTable, TableChanged

CASES = sorted(Path(os.environ.get("EVENKEEL_CASES", "../shared/cases")).glob("tables/*.csv*"))


def read(path: Path, given: FileSchema = FileSchema()) -> tuple[list[tuple[str, ...]], list[str], int]:  # noqa: B008
    """The rows, the notes, and how many blocks there were."""
    rows: list[tuple[str, ...]] = []
    count = 0
    with open_blocks(path, given) as table:
        for block in table.blocks:
            count += 1
            rows += zip(*block.table.to_pydict().values(), strict=True)
    return rows, table.notes, count


def by_csv(text: str, delimiter: str = ",") -> list[tuple[str, ...]]:
    return [tuple(row) for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row][1:]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Blocks of about so many bytes."""

    def blocks_of(size: int) -> None:
        monkeypatch.setattr(opened, "CHUNK", size)
        monkeypatch.setattr(blocks_module, "CHUNK", size)
        monkeypatch.setattr(blocks_module, "BLOCK_OF_COLUMN", 0)

    return blocks_of


@pytest.mark.skipif(not CASES, reason="no tables; EVENKEEL_CASES names their folder")
@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)
@pytest.mark.parametrize("size", [400, 997])
def test_a_table_in_many_blocks_is_the_table_in_one(path: Path, size: int, short: Any) -> None:
    """Each file as people have them: encodings, quotes, line breaks in cells, a total at the foot."""
    whole, notes, one = read(path)
    short(size)
    cut, again, many = read(path)

    assert one == 1 or path.name.startswith("t_bad")
    assert many > 2
    assert (cut, again) == (whole, notes)


pieces = st.lists(
    st.sampled_from(['"', '""', ",", "a", "é", "\n", "\r\n", ',"x', '"\n', '"a,b"', '"\r\n"', "bc"]), max_size=60
)


@settings(max_examples=500, deadline=None)
@given(pieces)
def test_rows_end_where_they_end(parts: list[str]) -> None:
    """What is cut off at the end of a row is read as in one piece."""
    text = "".join(parts)
    end = end_of_rows(text.encode(), ",")
    first, rest = text.encode()[:end].decode(), text.encode()[end:].decode()
    rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    cut = [row for part in (first, rest) for row in csv.reader(io.StringIO(part, newline="")) if row]

    assert cut == rows
    assert lines_in(text.encode()) == len(io.StringIO(text + "x", newline=None).readlines()) - 1


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "windows-1252"])
def test_a_block_may_end_anywhere(tmp_path: Path, short: Any, end: str, encoding: str) -> None:
    """At each byte of a row once: within a character, a line break, a quoted cell."""
    rows = [f'{number},"grün, ""{number}""{end}zwei",é{"x" * (number % 23)}' for number in range(120)]
    text = end.join(["a,b,c", *rows]) + end
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode(encoding))
    for size in range(40, 80, 3):
        short(size)
        assert read(path)[0] == by_csv(text), size


@pytest.mark.parametrize(
    "data", [b"a,b\n1,x\n2,caf\xe9", b"a,b\n1,x\n2,caf\xe9\n", b"a,b\n\xe9,1\n", b"a,b\n1,caf\xc3\xa9"]
)
def test_the_encoding_is_found_wherever_the_first_odd_byte_is(tmp_path: Path, short: Any, data: bytes) -> None:
    """The last one of the file too, which could as well begin a character of UTF-8."""
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    for size in (5, 7, 9, 11, 1000):
        short(size)
        assert any("é" in cell for row in read(path)[0] for cell in row), size


def test_places_are_those_of_the_file(tmp_path: Path, short: Any) -> None:
    """Lines as an editor counts them, whatever lies in cells and between rows."""
    rows = [
        f'{number},"{"x" * (number % 7)}{chr(10) * (number % 3)}"{chr(10) * (1 + number % 2)}' for number in range(90)
    ]
    text = "\na,b\n" + "".join(rows)
    path = tmp_path / "t.csv"
    path.write_text(text)
    short(60)
    at = 0
    with open_blocks(path, FileSchema()) as table:
        for block in table.blocks:
            for row in range(len(block)):
                assert block.place(row) == f"line {1 + text[: text.index(f'{chr(10)}{at},') + 1].count(chr(10))}"
                at += 1
    assert at == 90


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b'a,b\n1,2\n3,"open\n' + b"4,5\n" * 90, "a quote after line 2 is opened and never closed"),
        (b"a,b\n1,\x00\n", "is no text"),
        (gzip.compress(b"a,b\n" + b"1,2\n" * 9000, mtime=0)[:-12], "is a damaged gzip file"),
        (b"a,b\n\xc3\xa9\xc3\xa9,1\n" + b"1,2\n" * 90 + b"\xff,1\n", "is not UTF-8, though the file is else"),
        (b"a,b\n\x81,1\n", "is neither UTF-8 nor Windows-1252"),
    ],
)
def test_what_is_damaged_is_named(tmp_path: Path, short: Any, data: bytes, sentence: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    short(50)

    with pytest.raises(InvalidTable, match=sentence):
        read(path)


def test_a_table_that_changes_meanwhile_is_refused(tmp_path: Path, short: Any) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "1,2\n" * 500)
    short(50)
    with open_blocks(path, FileSchema()) as table:
        next(table.blocks)
        path.write_text("a,b\n" + "1,2\n" * 600)
        with pytest.raises(TableChanged):
            list(table.blocks)
