"""Frames in memory as tables: what pandas, polars, pyarrow and others hold enters where Parquet does.

A frame is anything that hands itself to Arrow by `__arrow_c_stream__`. With `parsing`, `columns` and `arrow`, the only
module of the trainer that knows pyarrow.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa

from models.cells import Reading
from trainer.data.blocks import Block, Blocks
from trainer.data.columns import Cells, NumberCells, OtherCells, TextCells, typed_column
from trainer.data.decoded import Decoded, check_names
from trainer.data.parsing import ArrowTable
from trainer.data.schema import FileSchema
from trainer.data.wording import refusal

# Rows that are read at a time where a frame is scored.
ROWS = 1 << 14


@runtime_checkable
class Frame(Protocol):
    """A table in memory: a pandas or polars DataFrame, a pyarrow Table, or another that Arrow can read."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


# Tables that are in memory, by the path that stands for each in sentences and in settings.
Frames = Mapping[Path, Decoded]
NO_FRAMES: Frames = MappingProxyType({})


def instead_of(table: object) -> str:
    """What to hand in where something is no frame."""
    match type(table).__name__:
        case "LazyFrame":
            return "a lazy one has no rows yet: hand in frame.collect()"
        case "ndarray":
            return "an array has no names of columns: hand in pandas.DataFrame(array, columns=[…])"
        case "dict" | "list" | "tuple" as kind:
            return f"hand in pandas.DataFrame({kind}), or a file's path"
    return "hand in a pandas, polars or pyarrow table, or a file's path"


def decode_frame(frame: Frame, path: Path) -> Decoded:
    """A frame as a decoded table; `path` is what sentences call it. An index of pandas is no column.

    :raises InvalidTable: two columns have one name, a column is of no one type, or there is no row.
    """
    table = _arrow(frame, path)
    if not table.num_rows:
        raise refusal("no_rows", path=path, head="columns")
    cells = {name: typed_column(column) for name, column in zip(table.column_names, table.columns, strict=True)}
    return Decoded(path, _digest(cells), MappingProxyType(cells), table.num_rows, FileSchema(), _place)


def frame_blocks(frame: Frame, path: Path) -> Blocks:
    """A frame as blocks of rows that are to be scored.

    :raises InvalidTable: two columns have one name, or a column is of no one type.
    """
    table = _arrow(frame, path)

    def block(start: int) -> Block:
        return Block(table.slice(start, ROWS), path, lambda row: _place(start + row))

    blocks = (block(start) for start in range(0, table.num_rows, ROWS))
    return Blocks(tuple(table.column_names), table.slice(0, 0), ",", blocks, lambda: 0.0)


def _place(row: int) -> str:
    return f"row {row + 1}"


def _arrow(frame: Frame, path: Path) -> ArrowTable:
    """The frame's columns, under different names without blanks around them."""
    try:
        pandas = type(frame).__module__.partition(".")[0] == "pandas"
        table = _from_pandas(frame, path) if pandas else pa.table(frame)
    except (AttributeError, TypeError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise refusal("no_frame", path=path, held=type(frame).__name__, reason=reason) from None
    names = [name.strip() for name in table.column_names]
    check_names(path, dict(enumerate(names)))
    return pa.Table.from_arrays([_without_views(column) for column in table.columns], names=names)


def _without_views(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Categories of polars with their texts as other libraries have them; pyarrow cannot decode theirs."""
    kind = cells.type
    if not pa.types.is_dictionary(kind) or kind.value_type != pa.string_view():
        return cells
    decoded = pa.dictionary(kind.index_type, pa.string())
    return pa.chunked_array(
        [pa.DictionaryArray.from_arrays(one.indices, one.dictionary.cast(pa.string())) for one in cells.chunks], decoded
    )


def _from_pandas(frame: Any, path: Path) -> ArrowTable:
    """The columns one after the other, as a column of Python's objects may hold what no column of Arrow does."""
    columns: list[pa.ChunkedArray] = []
    for position, name in enumerate(frame.columns):
        cells = frame.iloc[:, position]
        try:
            column = pa.Table.from_pandas(cells.to_frame("cells"), preserve_index=False).column(0)
        except (OverflowError, TypeError, pa.ArrowException):
            raise refusal("objects", path=path, name=name, held=cells.dtype) from None
        # Categories that are intervals, as of pandas.cut, or periods; pyarrow cannot decode them.
        if pa.types.is_dictionary(column.type) and isinstance(column.type.value_type, pa.BaseExtensionType):
            raise refusal("objects", path=path, name=name, held=cells.dtype)
        columns.append(column)
    return pa.Table.from_arrays(columns, names=[str(name) for name in frame.columns])


def _digest(columns: Mapping[str, Cells]) -> str:
    """A digest of names and cells: the same for the same rows, whichever library holds them."""
    digest = hashlib.sha256()
    for name, cells in columns.items():
        digest.update(repr((name, type(cells).__name__)).encode())
        match cells:
            case NumberCells():
                digest.update(np.ascontiguousarray(cells.numbers(Reading(missing=()))).tobytes())
            case TextCells():
                digest.update(repr(cells.spelled(np.arange(len(cells)))).encode())
                digest.update(np.ascontiguousarray(cells.codes).tobytes())
            case OtherCells():
                digest.update(cells.held.encode())
    return digest.hexdigest()
