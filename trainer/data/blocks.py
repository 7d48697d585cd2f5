"""A table a block of rows at a time, for those who score a file that is larger than memory.

`decoded` reads a whole table by the same rules. A workbook is read whole here too.
"""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from trainer.data.columns import NumberCells, OtherCells, TextCells, holds_something, typed_column
from trainer.data.contents import WORKBOOKS, recognise
from trainer.data.decoded import INDEX, check_names
from trainer.data.encoding import CHUNK, Text
from trainer.data.layout import check_quotes, end_of_rows, find_total, lines_in, numbered_rows, read_header
from trainer.data.opened import OpenedFile
from trainer.data.parsing import (
    BLOCK_OF_COLUMN,
    ArrowTable,
    ParquetBlocks,
    Unparsed,
    parse_texts,
    signals_left_alone,
    text_table,
)
from trainer.data.schema import FileSchema
from trainer.data.wording import OTHERWISE, empty_columns, note, refusal
from trainer.data.workbook import LARGEST_WORKBOOK, read_sheet

# A row of more bytes is taken for a quote that never closes.
LONGEST_ROW = 64 << 20
SHEET_ROWS = 1 << 14


@dataclass(frozen=True, eq=False)
class Block:
    """Some rows that follow each other: `table` has every column as it stands in the file.

    `broken` are rows, by their place in the block, that have not as many cells as the header, and why; what they have
    is there. `place` tells where in the file a row stands.
    """

    table: ArrowTable
    path: Path
    place: Callable[[int], str]
    broken: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        rows: int = self.table.num_rows
        return rows

    def cells(self, name: str) -> TextCells | NumberCells:
        """The cells of a column.

        :raises InvalidTable: they are neither numbers nor texts.
        """
        column = self.table.column(self.table.column_names.index(name))
        cells = typed_column(column)
        if isinstance(cells, OtherCells):
            raise refusal("held", path=self.path, name=name, held=cells.held)
        return cells


@dataclass(frozen=True, eq=False)
class Blocks:
    """A table to be read once. `names` are those of its columns, all different; `delimiter` is that of a CSV file.

    `share` tells how much of it is read, from 0 to 1. `notes` grow while it is read. `otherwise` says what to type
    where other columns were expected. A file that is `typed` declares what its columns hold; `numbering` are those of
    which it declares that they number the rows. `heading` is where the names stand.
    """

    names: tuple[str, ...]
    empty: ArrowTable
    delimiter: str
    blocks: Iterator[Block]
    share: Callable[[], float]
    notes: list[str] = field(default_factory=list)
    otherwise: str = ""
    typed: bool = False
    numbering: tuple[str, ...] = ()
    encoding: Callable[[], str | None] = lambda: None
    heading: str = ""


@contextmanager
def open_blocks(path: Path, given: FileSchema) -> Iterator[Blocks]:
    """Open a table: CSV, Parquet or a workbook, plain or compressed; `given` overrules what its bytes say.

    :raises Unreadable: the file is not there or cannot be read.
    :raises TableChanged: also while it is read: it was written to in the meantime.
    :raises InvalidTable: also while it is read: it is no table; the sentence names the line, the column or the byte.
    """
    with OpenedFile(path) as file, signals_left_alone():
        whole = file.read(LARGEST_WORKBOOK + 1) if file.head.startswith(WORKBOOKS) else b""
        match recognise(path, whole or file.head):
            case "parquet":
                yield _parquet(file)
            case "workbook":
                yield _workbook(path, whole, given)
            case "csv":
                yield _csv(file, given)


def _named(path: Path, names: Sequence[str]) -> tuple[str, ...]:
    """The names of columns: the first, where it has none, is the index of pandas; of the others "" are left out."""
    named = tuple(name or (INDEX if at == 0 else "") for at, name in enumerate(map(str.strip, names)))
    check_names(path, {at: name for at, name in enumerate(named) if name})
    return named


def _without_nameless(table: ArrowTable, path: Path, names: tuple[str, ...]) -> ArrowTable:
    """The columns that have a name.

    :raises InvalidTable: one without a name has a value.
    """
    if "" not in names:
        return table
    for at, name in enumerate(names):
        if not name and holds_something(table.column(at)):
            raise refusal("unnamed", path=path, position=at + 1)
    return table.select([at for at, name in enumerate(names) if name])


def _notes_on(names: tuple[str, ...]) -> list[str]:
    empty = names.count("")
    return [note("empty", empty_columns(empty))] if empty else []


def _text_blocks(
    path: Path,
    names: tuple[str, ...],
    delimiter: str,
    blocks: Iterator[Block],
    share: Callable[[], float],
    notes: list[str],
    kind: str,
    encoding: Callable[[], str | None] = lambda: None,
    line: int | None = None,
) -> Blocks:
    empty = _without_nameless(text_table([], names), path, names)
    named = tuple(empty.column_names)
    numbering = named[:1] if named[:1] == (INDEX,) else ()
    return Blocks(
        *(named, empty, delimiter, blocks, share, notes),
        OTHERWISE[kind],
        numbering=numbering,
        encoding=encoding,
        heading=f"{path}, line {line}" if line else str(path),
    )


def _csv(file: OpenedFile, given: FileSchema) -> Blocks:
    path, text = file.path, Text(file.path, file.read, given.encoding)
    head = text.read(CHUNK + 1)
    if not head.strip():
        raise refusal("empty", path=path)
    header = read_header(path, head, given.delimiter)
    names = _named(path, header.names)
    notes = [*_notes_on(names), *header.notes]

    def blocks() -> Iterator[Block]:
        line, size = header.line, max(CHUNK, BLOCK_OF_COLUMN * len(names))
        for rows, last in _runs(path, head[header.start :], text, header.delimiter, size, header.line):
            some = rows
            if last and given.total != "row" and (total := find_total(rows, header.delimiter, 0)):
                stop, (number, found) = total
                notes.append(note("total", f"'{found}' in line {line - 1 + number}"))
                some = rows[:stop]
            if last:
                check_quotes(path, some, header.delimiter, line)
            if some.strip():
                yield _csv_block(path, some, names, header.delimiter, line)
            line += lines_in(rows)
        file.check_unchanged()

    heading, found = header.line - 1, header.delimiter
    return _text_blocks(
        path, names, found, blocks(), lambda: file.share, notes, "csv", lambda: text.encoding, line=heading
    )


def _runs(path: Path, begun: bytes, text: Text, delimiter: str, size: int, line: int) -> Iterator[tuple[bytes, bool]]:
    """Runs of whole rows, some bytes long, and whether each is the last; the last one is that of what is left."""
    while more := text.read(size):
        end = end_of_rows(begun, delimiter)
        if not end and len(begun) > LONGEST_ROW:
            raise refusal("quote", path=path, line=line - 1)
        if end:
            yield begun[:end], False
            line += lines_in(begun[:end])
        begun = begun[end:] + more
        # A long row is looked through again and again, each time with twice as much of it.
        size = max(size, len(begun)) if not end else size
    yield begun, True


def _csv_block(path: Path, data: bytes, names: tuple[str, ...], delimiter: str, line: int) -> Block:
    def place(row: int) -> str:
        number = next(number for at, (number, _) in enumerate(numbered_rows(data, delimiter)) if at == row)
        return f"line {line - 1 + number}"

    try:
        return Block(_without_nameless(parse_texts(data, names, delimiter), path, names), path, place)
    except Unparsed as error:
        reason = error
    # Some row is longer or shorter than the header: by the csv module, which takes it all the same.
    try:
        rows = [row for row in csv.reader(io.StringIO(data.decode(), newline=""), delimiter=delimiter) if row]
    except csv.Error:
        rows = []
    width = len(names)
    broken = {at: f"expected {width} cells, got {len(row)}" for at, row in enumerate(rows) if len(row) != width}
    if not broken:
        raise refusal("csv", path=path, reason=reason)
    table = text_table([(row + [""] * width)[:width] for row in rows], names)
    return Block(_without_nameless(table, path, names), path, place, broken)


def _parquet(file: OpenedFile) -> Blocks:
    path = file.path
    read = 0
    try:
        parquet = ParquetBlocks(file.seekable())
    except Unparsed as error:
        raise refusal("damaged", path=path, what="Parquet file", reason=error) from None
    names = tuple(name.strip() for name in parquet.names)
    check_names(path, dict(enumerate(names)))

    def blocks() -> Iterator[Block]:
        nonlocal read
        try:
            for table in parquet:
                yield Block(table.rename_columns(names), path, partial(_row, read + 1))
                read += table.num_rows
        except Unparsed as error:
            raise refusal("damaged", path=path, what="Parquet file", reason=error) from None
        file.check_unchanged()

    empty, numbering = parquet.empty.rename_columns(names), tuple(name.strip() for name in parquet.numbering)
    return Blocks(
        *(names, empty, ",", blocks(), lambda: read / max(parquet.rows, 1)),
        typed=True,
        numbering=tuple(name for name in numbering if name in names),
        heading=str(path),
    )


def _row(first: int, row: int) -> str:
    return f"row {first + row}"


def _workbook(path: Path, data: bytes, given: FileSchema) -> Blocks:
    sheet = read_sheet(path, data, given.sheet, keep_total=given.total == "row")
    names = _named(path, sheet.names)
    read = 0

    def blocks() -> Iterator[Block]:
        nonlocal read
        for start in range(0, len(sheet.rows), SHEET_ROWS):
            table = text_table(sheet.rows[start : start + SHEET_ROWS], names)
            read = start + table.num_rows
            yield Block(_without_nameless(table, path, names), path, partial(_row, sheet.line + start))

    notes = [*_notes_on(names), *sheet.notes]
    return _text_blocks(path, names, ",", blocks(), lambda: read / max(len(sheet.rows), 1), notes, "workbook")
