"""Tables in memory, some rows at a time: frames of pandas, polars or pyarrow, and lists of records."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from trainer.data.blocks import Block
from trainer.data.parsing import ArrowTable
from trainer.errors import InvalidTable

ROWS = 1 << 14
TAKEN = "a frame of pandas, polars or pyarrow, a list of records (dicts), or the path of a file"


def frame_blocks(frame: Any, names: Sequence[str]) -> Iterator[Block]:
    """The rows of a frame, or of records, by blocks with the columns of these names; there is always one block.

    :raises InvalidTable: it is no frame, it lacks a column, or a column holds cells of several types.
    """
    table = _table(frame, names)

    def place(first: int) -> Any:
        return lambda row: f"row {first + row}"

    for start in range(0, max(table.num_rows, 1), ROWS):
        yield Block(table.slice(start, ROWS), Path("the frame"), place(start))


def is_pandas(frame: object) -> bool:
    """Whether it is a frame of pandas, which is not imported for that."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(frame, pandas.DataFrame)


def _table(frame: Any, names: Sequence[str]) -> ArrowTable:
    if is_pandas(frame):
        found = {str(label): place for place, label in enumerate(frame.columns)}
        _check_names(names, list(map(str, frame.columns)))
        cells = [_cells(name, frame.iloc[:, found[name]], "the frame") for name in names]
    elif isinstance(frame, list | tuple):
        for place, record in enumerate(frame):
            _check_record(place, record, names)
        cells = [_cells(name, [record[name] for record in frame], "the list") for name in names]
    elif hasattr(frame, "__arrow_c_stream__") or hasattr(frame, "__arrow_c_array__"):
        table = pa.table(frame)
        _check_names(names, table.column_names)
        cells = [_without_views(table.column(name)) for name in names]
    else:
        raise InvalidTable(f"what is given is no table ({type(frame).__name__}); give {TAKEN}")
    return pa.table(cells, names=list(names))


def _cells(name: str, values: Any, where: str) -> pa.Array | pa.ChunkedArray:
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowException, OverflowError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0][:200]
        raise InvalidTable(
            f"{where}, column '{name}': its cells have no common type ({reason}); give them one"
        ) from None


def _without_views(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """The categories of polars are string views in a dictionary, which pyarrow can neither cast nor unfold."""
    kind = cells.type
    if not (pa.types.is_dictionary(kind) and pa.types.is_string_view(kind.value_type)):
        return cells
    chunks = [
        pa.DictionaryArray.from_arrays(chunk.indices, chunk.dictionary.cast(pa.string())) for chunk in cells.chunks
    ]
    return pa.chunked_array(chunks, pa.dictionary(kind.index_type, pa.string()))


def _check_names(names: Sequence[str], given: Sequence[str]) -> None:
    for name in names:
        if name not in given:
            raise InvalidTable(f"the frame has no column '{name}'; its columns are {', '.join(given)[:400]}: add it")
        if given.count(name) > 1:
            raise InvalidTable(f"the frame has {given.count(name)} columns named '{name}'; rename all but one")


def _check_record(place: int, record: object, names: Sequence[str]) -> None:
    if not isinstance(record, Mapping):
        raise InvalidTable(f"row {place} of the list is no record ({type(record).__name__}); give {TAKEN}")
    for name in names:
        if name not in record:
            raise InvalidTable(f"row {place} of the list has no '{name}'; give None where it is missing")
