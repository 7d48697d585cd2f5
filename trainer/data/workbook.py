"""A sheet of an Excel or OpenDocument workbook as texts."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

from models.cells import BLANKS
from trainer.data.extent import extent_of
from trainer.data.layout import is_total
from trainer.data.sheet import BYTES_OF_CELL
from trainer.data.size import memory_for_tables, spelled
from trainer.data.wording import note, refusal
from trainer.errors import InvalidTable

LARGEST_WORKBOOK = 256 << 20
# No program that writes workbooks gives a sheet more.
MOST_ROWS = 1 << 20
# What a cell takes here beside its text, and the share of memory that the process that reads it has.
BYTES_OF_TEXT, SHARE = 64, 2
BEGIN = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from trainer.data.sheet import serve; serve(*json.loads(sys.argv[2]))"
)


@dataclass(frozen=True)
class Sheet:
    """The cells of a sheet, spelled out: a header, and rows, the first of which stands in line `line`."""

    name: str
    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    line: int
    notes: tuple[str, ...]


def read_sheet(path: Path, data: bytes, sheet: str | None, *, keep_total: bool, memory: int | None = None) -> Sheet:
    """Read one sheet of a workbook, the first where none is named.

    :param memory: how many bytes of memory it may take; half of what there is, where nobody says.
    :raises InvalidTable: calamine is not installed, the workbook is damaged or too large, or the sheet is not there or
        empty.
    """
    if len(data) > LARGEST_WORKBOOK:
        raise refusal("large_workbook", path=path, most=LARGEST_WORKBOOK >> 20)
    if find_spec("python_calamine") is None:
        raise refusal("workbook", path=path)
    sheets, name, rows = _read(path, data, sheet, memory_for_tables(memory))
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


def _read(path: Path, data: bytes, sheet: str | None, memory: int) -> tuple[list[str], str, list[tuple[str, ...]]]:
    """The names of all sheets, that of the one that is read, and all its rows, from the first row and column on."""
    command = [sys.executable, "-P", "-c", BEGIN, json.dumps(sys.path), json.dumps([memory // SHARE, sheet])]
    with subprocess.Popen(  # noqa: S603  Ourselves.
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            with suppress(BrokenPipeError), process.stdin as into:
                into.write(data)
            lines: Iterator[Any] = map(json.loads, process.stdout)
            book = _told(path, next(lines, None), process)
            sheets, name = book["sheets"], book["name"]
            if name not in sheets:
                raise refusal("no_sheet", path=path, sheet=name, sheets=", ".join(sheets))
            extent = _told(path, next(lines, None), process)
            if extent and extent["rows"] > MOST_ROWS:
                raise refusal("large_sheet", path=path, sheet=name, most=f"{MOST_ROWS} rows")
            rows = _rows(lines, extent, memory) if extent else None
        finally:
            process.kill()
    if rows is None:
        raise _too_large(path, data, name, memory)
    return sheets, name, rows


def _told(path: Path, line: dict[str, Any] | None, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """What a line says; nothing where memory did not suffice for it.

    :raises InvalidTable: the workbook is damaged.
    """
    # It exits with 1 where calamine has lost its way, and is aborted or killed where there is no memory.
    if line is None and process.wait() == 1:
        line = {"damaged": "it is not what it seems"}
    if line and "damaged" in line:
        raise refusal("damaged", path=path, what="workbook", reason=line["damaged"])
    return line or {}


def _rows(lines: Iterator[list[list[str]]], extent: dict[str, int], memory: int) -> list[tuple[str, ...]] | None:
    """All rows, from the first column on; None where they take more than so many bytes, or do not end."""
    rows: list[tuple[str, ...]] = []
    before, taken = ("",) * extent["left"], extent["rows"] * extent["columns"] * BYTES_OF_TEXT
    while taken <= memory and (some := next(lines, None)) is not None:
        if not some:
            return rows
        rows += [(*before, *row) for row in some]
        taken += sum(map(len, chain.from_iterable(some)))
    return None


def _too_large(path: Path, data: bytes, sheet: str, memory: int) -> InvalidTable:
    """The refusal of a sheet that does not fit in so many bytes of memory; a cell far outside is named."""
    extent = extent_of(data, sheet)
    if extent is None or extent.cells * BYTES_OF_CELL * SHARE <= memory:
        return refusal("large_sheet", path=path, sheet=sheet, most=f"{spelled(memory)} of memory")
    cell = " and ".join(dict.fromkeys((extent.lowest, extent.rightmost)))
    return refusal("far_cell", path=path, sheet=sheet, cell=cell, cells=extent.cells, memory=spelled(memory))
