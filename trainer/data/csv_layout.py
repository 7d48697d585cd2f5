"""The layout of a CSV file, before any cell has a meaning: its header, its quotes, the lines its rows begin at."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from trainer.errors import InvalidTable


def column_names(path: Path, data: bytes) -> list[str]:
    """Read the header.

    :raises InvalidTable: the file is empty or not UTF-8, or a column has no name or another one's.
    """
    if not data.strip():
        raise InvalidTable(f"{path} is empty; a table needs a header line and rows")
    try:
        _, names = next(_numbered_rows(data))
    except UnicodeDecodeError as error:
        place = f"byte {error.start} is {data[error.start]:#04x}"
        raise InvalidTable(f"{path} is not UTF-8 ({place}); save it as UTF-8") from None
    check_names(path, names)
    return names


def check_names(path: Path, names: Sequence[str]) -> None:
    """Refuse a column without a name or with another one's.

    :raises InvalidTable: there is one.
    """
    for position, name in enumerate(names, start=1):
        if not name.strip():
            raise InvalidTable(f"{path}: column {position} has no name")
        first = names.index(name) + 1
        if first < position:
            raise InvalidTable(f"{path}: columns {first} and {position} are both named '{name}'; rename one")


def check_quotes(path: Path, data: bytes) -> None:
    """Refuse a quote that never closes: the rest of the file would be one cell, without a word.

    :raises InvalidTable: there is one; the sentence names the line of its row.
    """
    if data.count(b'"') % 2 == 0:
        return
    last = 0
    try:
        for line, _ in _numbered_rows(data, strict=True):
            last = line
    except csv.Error as error:
        if "end of data" in str(error):
            raise InvalidTable(f"{path}: a quote after line {last} is opened and never closed") from None


def ragged_row(path: Path, data: bytes) -> str | None:
    """A sentence about the first row that has not as many cells as the header, if there is one."""
    rows = _numbered_rows(data)
    _, header = next(rows)
    for line, row in rows:
        if row and len(row) != len(header):
            return f"{path}, line {line}: expected {len(header)} cells, got {len(row)}"
    return None


def _numbered_rows(data: bytes, *, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Rows with the line they begin at, counted as an editor does."""
    reader = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=strict)
    line = 1
    for row in reader:
        yield line, row
        line = reader.line_num + 1
