"""A sheet of a workbook, read by calamine in a process of its own: where memory does not suffice, calamine aborts.

The process gets the workbook on its standard input, and writes lines of JSON: what the workbook holds, then rows. It
knows calamine, an extra, and the standard library alone, which is loaded in a moment.
"""

import io
import json
import resource
import sys
from datetime import datetime, time
from itertools import islice

# Of the process without a sheet.
OWN_BYTES = 256 << 20
ROWS_AT_ONCE = 1 << 12
# What a cell takes in calamine.
BYTES_OF_CELL = 32


def serve(memory: int, sheet: str | None) -> None:
    """Read the sheet, the first where none is named, in so many bytes of memory, and write it out.

    First come the names of all sheets and that of this one; then how many rows and columns it has, and how many columns
    are left of its first cell; then its rows, some a line, and none in the last. Where it cannot be read, a line says
    why, and is the last.
    """
    from python_calamine import CalamineError, CalamineWorkbook

    data = sys.stdin.buffer.read()
    limit, most = OWN_BYTES + 2 * len(data) + memory, resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(data))
        del data
        name = sheet if sheet is not None else book.sheet_names[0]
        _write({"sheets": book.sheet_names, "name": name})
        if name not in book.sheet_names:
            return
        cells = book.get_sheet_by_name(name)
    except (CalamineError, OSError) as error:
        _write({"damaged": str(error).lower()})
        return
    # The rows begin with the first, the columns with the first that has a cell.
    (_, left), (row, column) = cells.start or (0, 0), cells.end or (0, 0)
    _write({"rows": row + 1, "columns": column + 1, "left": left})
    rows = iter(cells.iter_rows())
    while some := [[_spelled(cell) for cell in row] for row in islice(rows, ROWS_AT_ONCE)]:
        _write(some)
    _write([])


def _write(what: object) -> None:
    sys.stdout.write(f"{json.dumps(what)}\n")
    sys.stdout.flush()


def _spelled(value: object) -> str:
    """A cell as a CSV file would have it."""
    match value:
        case str():
            return value
        case bool():
            return str(value).lower()
        case float():
            return str(int(value)) if value.is_integer() else repr(value)
        case datetime():
            return value.isoformat(sep=" ") if value.time() != time() else value.date().isoformat()
    return str(value)
