"""The layout of a CSV file, before any cell has a meaning: its delimiter, its header, the lines its rows begin at."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

from models.cells import BLANKS
from trainer.data.wording import note, refusal

Delimiter = Literal[",", ";", "\t", "|"]
DELIMITERS: tuple[Delimiter, ...] = (",", ";", "\t", "|")
_SAMPLE, _ROWS = 1 << 20, 100
LONGEST_CELL = (1 << 31) - 1
ALIKE = 0.9
# What a row at the foot that is none begins with.
TOTALS = frozenset({"total", "totals", "grand total", "subtotal", "sum", "summe", "gesamt", "gesamtsumme", "insgesamt"})


@dataclass(frozen=True)
class Header:
    """What the first row says: the `names`, the `delimiter` and `rivals` that fit as well.

    The next row begins with byte `start`, in line `line`.
    """

    delimiter: Delimiter
    rivals: tuple[Delimiter, ...]
    names: tuple[str, ...]
    line: int
    start: int

    @property
    def notes(self) -> list[str]:
        return [note("delimiters", " and ".join(map(repr, (self.delimiter, *self.rivals))))] if self.rivals else []


class Layout(NamedTuple):
    """The header of a CSV file, the byte where its rows `stop`, and the line and the first cell of a total below."""

    header: Header
    stop: int
    total: tuple[int, str] | None


def read_layout(path: Path, data: bytes, delimiter: Delimiter | None, *, keep_total: bool) -> Layout:
    """Find the layout of text in UTF-8.

    :raises InvalidTable: there is no row, or a quote never closes: the rest of the file would be one cell.
    """
    header = read_header(path, data, delimiter)
    check_quotes(path, data, header.delimiter)
    total = None if keep_total else find_total(data, header.delimiter, header.start)
    stop, found = total or (len(data), None)
    if not re.compile(rb"\S").search(data, header.start, stop):
        raise refusal("no_rows", path=path, head="a header")
    return Layout(header, stop, found)


def read_header(path: Path, data: bytes, delimiter: Delimiter | None) -> Header:
    """Read the first row that is not blank of text in UTF-8, or of its beginning.

    :raises InvalidTable: there is none.
    """
    # Python's own limit, of 131072 characters, ends in a csv.Error where a cell is longer; pyarrow has none.
    csv.field_size_limit(LONGEST_CELL)
    rivals: tuple[Delimiter, ...] = ()
    if delimiter is None:
        delimiter, *others = _fitting(data) or [","]
        rivals = tuple(others)
    read = 0

    def lines() -> Iterator[str]:
        nonlocal read
        for line in io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", errors="ignore", newline=""):
            read += len(line.encode())
            yield line

    reader = csv.reader(lines(), delimiter=delimiter)
    first = next((row for row in reader if row), None)
    if first is None:
        raise refusal("empty", path=path)
    return Header(delimiter, rivals, tuple(name.strip() for name in first), reader.line_num + 1, read)


def _fitting(data: bytes) -> list[Delimiter]:
    """The delimiters by which the first rows have as many cells as the header; those first that make most cells."""
    sample = data[:_SAMPLE].decode("utf-8", "ignore")
    widths: dict[Delimiter, int] = {}
    for delimiter in DELIMITERS:
        try:
            rows = [
                row for row in islice(csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter), _ROWS) if row
            ]
        except csv.Error:
            continue
        if len(sample) < len(data) and len(rows) > 2:
            rows.pop()
        width = len(rows[0]) if rows else 0
        if width > 1 and sum(len(row) == width for row in rows) >= ALIKE * len(rows):
            widths[delimiter] = width
    return sorted(widths, key=lambda delimiter: -widths[delimiter])


def is_total(cells: Sequence[str]) -> bool:
    """Whether the last row of a table sums the others up: its first word says so, and a cell is blank."""
    stripped = [cell.strip(BLANKS) for cell in cells]
    first = next(filter(None, stripped), "")
    return first.rstrip(":").casefold() in TOTALS and not all(stripped)


def find_total(data: bytes, delimiter: str, start: int) -> tuple[int, tuple[int, str]] | None:
    """Where the last line begins, its number and its first cell, if it is a total and no row."""
    tail = data[max(start, len(data) - _SAMPLE) :].rstrip()
    line = tail[max(tail.rfind(b"\n"), tail.rfind(b"\r")) + 1 :]
    cells = next(csv.reader([line.decode("utf-8", "ignore")], delimiter=delimiter), [])
    if line.count(b'"') % 2 or not is_total(cells):
        return None
    place = data.rindex(line)
    number = 1 + (data.count(b"\n", 0, place) or data.count(b"\r", 0, place))
    return place, (number, next(filter(None, map(str.strip, cells))))


def check_quotes(path: Path, data: bytes, delimiter: str, line: int = 1) -> None:
    """Refuse rows, of which the first stands in `line`, in which a quote never closes.

    :raises InvalidTable: there is one.
    """
    if data.count(b'"') % 2 == 0:
        return
    last = 0
    try:
        for last, _ in numbered_rows(data, delimiter, strict=True):  # noqa: B007
            pass
    except csv.Error as error:
        if "end of data" in str(error):
            raise refusal("quote", path=path, line=last + line - 1) from None


def ragged_row(data: bytes, header: Header) -> tuple[int, int] | None:
    """The line of the first row that has not as many cells as the header, and how many it has."""
    rows = numbered_rows(data, header.delimiter)
    return next(((line, len(row)) for line, row in rows if len(row) != len(header.names)), None)


def line_of(data: bytes, header: Header, row: int) -> int:
    """The line that a row of data begins at; the first row is row 0, the line of the header is usually line 1."""
    if b'"' not in data and not any(blank in data for blank in (b"\n\n", b"\n\r", b"\r\r")):
        return header.line + row
    line, _ = next(islice(numbered_rows(data, header.delimiter), row + 1, None))
    return line


def numbered_rows(data: bytes, delimiter: str, *, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Rows, the header among them, with the line they begin at, counted as an editor does; blank lines are no rows."""
    text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline="")
    reader = csv.reader(text, delimiter=delimiter, strict=strict)
    line = 1
    for row in reader:
        if row:
            yield line, row
        line = reader.line_num + 1


def end_of_rows(data: bytes, delimiter: str) -> int:
    """Where the last row ends that is there whole; 0 where none is. The first row begins with the first byte."""
    if b'"' in data:
        found = _rows(delimiter.encode()).match(data)
        return found.end() if found else 0
    return (data.rfind(b"\n") if b"\n" in data else data.rfind(b"\r")) + 1


@lru_cache
def _rows(delimiter: bytes) -> re.Pattern[bytes]:
    """Rows as a regular expression, which takes what it has taken: it reads 100 MB a second, and needs no memory."""
    plain = rb"[^%b\r\n]*+" % re.escape(delimiter)
    field = rb'(?:"[^"]*+(?:""[^"]*+)*+"%b|(?!")%b)' % (plain, plain)
    # A CR that comes last may be half a line break.
    return re.compile(rb"(?:(?:%b%b)*+%b(?:\r\n|\n|\r(?=[^\n])))*+" % (field, re.escape(delimiter), field))


def lines_in(data: bytes) -> int:
    """How many lines end in some bytes, counted as an editor does."""
    if b"\r" not in data:
        return data.count(b"\n")
    return data.count(b"\n") + data.count(b"\r") - data.count(b"\r\n")
