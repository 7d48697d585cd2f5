"""A sheet of an Excel or OpenDocument workbook as texts. The only module that knows calamine, which is an extra."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time
from pathlib import Path

from models.cells import BLANKS
from trainer.data.layout import is_total
from trainer.data.wording import note, refusal


@dataclass(frozen=True)
class Sheet:
    """The cells of a sheet, spelled out: a header, and rows, the first of which stands in line `line`."""

    name: str
    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    line: int
    notes: tuple[str, ...]


def read_sheet(path: Path, data: bytes, sheet: str | None, *, keep_total: bool) -> Sheet:
    """Read one sheet of a workbook, the first where none is named.

    :raises InvalidTable: calamine is not installed, the workbook is damaged, or the sheet is not there or empty.
    """
    try:
        from python_calamine import CalamineError, CalamineWorkbook
    except ImportError:
        raise refusal("workbook", path=path) from None
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(data))
        sheets = book.sheet_names
        if sheet is not None and sheet not in sheets:
            raise refusal("no_sheet", path=path, sheet=sheet, sheets=", ".join(sheets))
        name = sheet or sheets[0]
        cells = book.get_sheet_by_name(name).to_python(skip_empty_area=False)
    except (CalamineError, OSError) as error:
        raise refusal("damaged", path=path, what="workbook", reason=str(error).lower()) from None
    rows = [tuple(map(_spelled, row)) for row in cells]
    filled = [line for line, row in enumerate(rows) if any(cell.strip(BLANKS) for cell in row)]
    if len(filled) < 2:
        raise refusal("no_rows", path=path, head=f"a sheet '{name}'")
    notes = []
    if not keep_total and is_total(rows[filled[-1]]):
        last = filled.pop()
        notes.append(note("total", f"'{next(filter(None, map(str.strip, rows[last])))}' in row {last + 1}"))
    if sheet is None and len(sheets) > 1:
        notes.append(note("sheets", f"'{name}', not {', '.join(repr(other) for other in sheets if other != name)}"))
    head, end = filled[0], filled[-1] + 1
    return Sheet(name, _names(rows[head]), tuple(rows[head + 1 : end]), head + 2, tuple(notes))


def _names(cells: Sequence[str]) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in cells)


def _spelled(value: object) -> str:
    """A cell as a CSV file would have it."""
    match value:
        case bool():
            return str(value).lower()
        case float():
            return str(int(value)) if value.is_integer() else repr(value)
        case datetime():
            return value.isoformat(sep=" ") if value.time() != time() else value.date().isoformat()
    return str(value)
