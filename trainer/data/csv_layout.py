"""The layout of a CSV file, before any cell has a meaning: its header, its quotes, the lines its rows begin at."""

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from trainer.errors import InvalidTable

_CHUNK = 1 << 20


def column_names(path: Path, data: bytes) -> list[str]:
    """Read the header, as it stands there; spaces around a name are no part of it.

    :raises InvalidTable: the file is empty or not UTF-8, or a column has no name or another one's.
    """
    if not data or data.isspace():
        raise InvalidTable(f"{path} is empty; a table needs a header line and rows")
    check_encoding(path, data[:_CHUNK], whole=len(data) <= _CHUNK)
    _, header = next(_numbered_rows(data))
    check_names(path, [name.strip() for name in header])
    return header


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


def check_encoding(path: Path, data: bytes, *, whole: bool = True) -> None:
    """Refuse bytes that are not UTF-8 text; the last character of a part of a file, not `whole`, may be cut off.

    :raises InvalidTable: the sentence names the first byte that is not.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(data), _CHUNK):
        chunk = data[start : start + _CHUNK]
        try:
            decoder.decode(chunk, final=whole and start + _CHUNK >= len(data))
        except UnicodeDecodeError as error:
            # What the decoder kept from the chunk before stands at the beginning of error.object.
            place = start + len(chunk) - len(error.object) + error.start
            raise InvalidTable(f"{path} is not UTF-8 (byte {place} is {data[place]:#04x}); save it as UTF-8") from None
    if (place := data.find(b"\0")) >= 0:
        raise InvalidTable(f"{path} is no text (byte {place} is 0x00); save it as UTF-8")


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
        if len(row) != len(header):
            return f"{path}, line {line}: expected {len(header)} cells, got {len(row)}"
    return None


def line_of(data: bytes, row: int) -> int:
    """The line that a row of data begins at; the first row is row 0, the line of the header is usually line 1."""
    line, _ = next(islice(_numbered_rows(data), row + 1, None))
    return line


def _numbered_rows(data: bytes, *, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Rows, the header among them, with the line they begin at, counted as an editor does; blank lines are no rows."""
    text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", newline="")
    reader = csv.reader(text, strict=strict)
    line = 1
    for row in reader:
        if row:
            yield line, row
        line = reader.line_num + 1
