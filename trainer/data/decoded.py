"""From the bytes of a file to its columns, by name: each cell a text, or a number where the file declares it one."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from trainer.data.columns import Cells, NumberCells, OtherCells, TextCells, text_column
from trainer.data.contents import Contents, read_contents, too_long
from trainer.data.layout import line_of, ragged_row, read_layout
from trainer.data.parsing import Unparsed, parquet_names, parse_csv, parse_parquet, release
from trainer.data.schema import FileSchema, Schema
from trainer.data.size import BYTES_OF_CELL, memory_for_tables
from trainer.data.wording import OTHERWISE, note, refusal
from trainer.data.workbook import read_sheet
from trainer.errors import TableChanged

# What pandas calls its index where it writes one into a CSV file, and what it calls it when it reads that again.
INDEX = "Unnamed: 0"
UNNAMED = re.compile(r"^(Unnamed: \d+)?$")


@dataclass(frozen=True, eq=False)
class Decoded:
    """A table of `rows` rows, as it stands in its file, whose digest is `sha256`.

    `file` says how the bytes were read, `index` names columns that number the rows, `empty` counts the columns without
    a name and a value, which are left out; `line` tells where a row of data stands. A table that is in no file may come
    with the `schema` that it is read by.
    """

    path: Path
    sha256: str
    columns: Mapping[str, Cells]
    rows: int
    file: FileSchema
    line: Callable[[int], str]
    index: tuple[str, ...] = ()
    empty: int = 0
    notes: tuple[str, ...] = field(default=())
    schema: Schema | None = None

    def cells(self, name: str) -> TextCells | NumberCells:
        """The cells of a column.

        :raises InvalidTable: they are neither numbers nor texts; only Parquet has others.
        """
        cells = self.columns[name]
        if isinstance(cells, OtherCells):
            raise refusal("held", path=self.path, name=name, held=cells.held)
        return cells

    @property
    def otherwise(self) -> str:
        """What to type where other columns were expected."""
        return OTHERWISE["workbook" if self.file.sheet else "csv" if self.file.delimiter else ""]

    def place(self, row: int) -> str:
        """Where a row of data stands, for a sentence."""
        return f"{self.path}, {self.line(row)}"


def decode(path: Path, given: FileSchema, memory: int | None = None) -> Decoded:
    """Read a table: CSV, Parquet or a workbook, plain or compressed; `given` overrules what its bytes say.

    :param memory: how many bytes of memory it may take; half of what there is, where nobody says.
    :raises Unreadable: the file is not there or cannot be read.
    :raises TableChanged: it was written to while it was read.
    :raises LargerThanMemory: it takes more memory.
    :raises InvalidTable: it is no table; the sentence names the line, the column or the byte.
    """
    memory = memory_for_tables(memory)
    contents = read_contents(path, given.encoding, memory)
    read = {"csv": _read_csv, "parquet": _read_parquet, "workbook": _read_workbook}[contents.format]
    decoded = read(contents, given, memory)
    del contents
    release()
    return decoded


def _read_csv(contents: Contents, given: FileSchema, memory: int) -> Decoded:
    path, data = contents.path, contents.data
    header, stop, total = read_layout(path, data, given.delimiter, keep_total=given.total == "row")
    try:
        cells = parse_csv(data, header.start, stop, len(header.names), header.delimiter)
    except Unparsed as error:
        ragged = ragged_row(data, header)
        if ragged is None:
            raise refusal("csv", path=path, reason=error) from None
        place, found = ragged
        raise refusal("ragged", path=path, line=place, expected=len(header.names), found=found) from None
    if not len(cells[0].codes):
        raise refusal("no_rows", path=path, head="a header")
    columns, empty = _named(path, dict(enumerate(header.names)), cells)
    # A pipe cannot be read again.
    encoding, digest, kept = contents.encoding, contents.sha256, None if contents.again else data

    def line(row: int) -> str:
        if kept is not None:
            return f"line {line_of(kept, header, row)}"
        same = read_contents(path, encoding, memory)
        if same.sha256 != digest:
            raise TableChanged(f"{path} was written to while it was read; try again when it is whole")
        return f"line {line_of(same.data, header, row)}"

    notes = (*([note("total", f"'{total[1]}' in line {total[0]}")] if total else []), *header.notes)
    file = FileSchema(delimiter=header.delimiter, encoding=contents.encoding, total=given.total, decimal=given.decimal)
    return _table(contents, columns, len(cells[0].codes), file, line, empty=empty, notes=notes)


def _read_workbook(contents: Contents, given: FileSchema, memory: int) -> Decoded:
    sheet = read_sheet(contents.path, contents.data, given.sheet, keep_total=given.total == "row", memory=memory)
    cells = [text_column(column) for column in zip(*sheet.rows, strict=True)]
    columns, empty = _named(contents.path, dict(enumerate(sheet.names)), cells)
    file = FileSchema(sheet=sheet.name, total=given.total, decimal=given.decimal)
    return _table(
        contents, columns, len(sheet.rows), file, lambda row: f"row {sheet.line + row}", empty=empty, notes=sheet.notes
    )


def _read_parquet(contents: Contents, given: FileSchema, memory: int) -> Decoded:
    path = contents.path
    try:
        names, rows = parquet_names(contents.data)
        check_names(path, {position: name.strip() for position, name in enumerate(names)})
        if rows * len(names) * BYTES_OF_CELL > memory:
            raise too_long(path, memory, again=contents.again)
        parsed = parse_parquet(contents.data)
    except Unparsed as error:
        raise refusal("damaged", path=path, what="Parquet file", reason=error) from None
    if not parsed.rows:
        raise refusal("no_rows", path=path, head="columns")
    columns = {name.strip(): cells for name, cells in parsed.columns.items()}
    file = FileSchema(decimal=given.decimal)
    return _table(contents, columns, parsed.rows, file, lambda row: f"row {row + 1}", index=parsed.numbering)


def _table(
    contents: Contents,
    columns: dict[str, Cells],
    rows: int,
    file: FileSchema,
    line: Callable[[int], str],
    *,
    index: tuple[str, ...] = (),
    empty: int = 0,
    notes: tuple[str, ...] = (),
) -> Decoded:
    if contents.format != "parquet" and next(iter(columns), "") == INDEX:
        index = (INDEX,)
    index = tuple(name.strip() for name in index if name.strip() in columns)
    named = MappingProxyType(columns)
    return Decoded(contents.path, contents.sha256, named, rows, file, line, index, empty, notes)


def _named(path: Path, names: dict[int, str], cells: list[TextCells]) -> tuple[dict[str, Cells], int]:
    """The columns by name, without those that have none and hold nothing, of which there are so many."""
    empty = [at for at, name in names.items() if UNNAMED.match(name) and cells[at].missing(()).all()]
    names = {at: name or (INDEX if at == 0 else "") for at, name in names.items() if at not in empty}
    check_names(path, names)
    return {name: cells[at] for at, name in names.items()}, len(empty)


def check_names(path: Path, names: Mapping[int, str]) -> None:
    """Refuse columns without a name, and two of the same.

    :raises InvalidTable: there are some.
    """
    first: dict[str, int] = {}
    for at, name in names.items():
        if not name:
            raise refusal("unnamed", path=path, position=at + 1)
        if name in first:
            raise refusal("twins", path=path, first=first[name] + 1, second=at + 1, name=name)
        first[name] = at
