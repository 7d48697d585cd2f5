"""From bytes to columns: CSV, Parquet, zstd. With `columns`, `arrow`, `frames`: all that knows pyarrow here."""

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from trainer.data.arrow import array, strings
from trainer.data.columns import Cells, TextCells, typed_column

# A table, or some rows of one, as pyarrow has it; nobody else looks into one.
ArrowTable: TypeAlias = pa.Table

# Bytes that are parsed at a time; more where there are many columns, each of which has a cost of its own a block.
BLOCK, BLOCK_OF_COLUMN = 1 << 20, 1 << 13
_LARGEST_BLOCK = 2**31 - 1
# Rows of Parquet at a time, and bytes that are read from the file for each column.
_ROWS, _BUFFER = 1 << 14, 1 << 18


class Unparsed(Exception):
    """Bytes that are not what they were taken for; the message is pyarrow's."""


class _WholeLineBreaks(io.RawIOBase):
    """The bytes of a CSV file from one place to another, of which no read ends between CR and LF.

    pyarrow takes an LF at the beginning of a block for the rest of the line break before it, within quotes too, and
    loses it (apache/arrow#51368).
    """

    def __init__(self, data: bytes, start: int, stop: int) -> None:
        self._data, self._place, self._stop = data, start, stop

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        end = self._stop if size < 0 else min(self._stop, self._place + size)
        if self._data[end - 1 : end + 1] == b"\r\n" and end < self._stop:
            end -= 1
        part = self._data[self._place : end]
        self._place += len(part)
        return part


def parse_csv(data: bytes, start: int, stop: int, columns: int, delimiter: str, block: int = 0) -> list[TextCells]:
    """The columns of CSV in UTF-8, whose rows stand from byte `start` to `stop`.

    :raises Unparsed: a row has more or fewer cells.
    """
    block = block or max(BLOCK, BLOCK_OF_COLUMN * columns)
    body, quoted = pa.py_buffer(data).slice(start, stop - start), b'"' in data
    source = pa.PythonFile(_WholeLineBreaks(data, start, stop), mode="r") if quoted else pa.BufferReader(body)
    try:
        kind = pa.dictionary(pa.int32(), pa.string())
        parsed: list[pa.ChunkedArray] = _read_csv(
            source, columns, delimiter, kind, block, quoted=quoted, threads=stop - start > block
        ).columns
    except Unparsed as error:
        if "straddling" in str(error) and block < len(data):
            return parse_csv(data, start, stop, columns, delimiter, min(len(data) + 1, _LARGEST_BLOCK))
        raise
    # One after the other, so that a column is not there twice for long.
    return [TextCells.of(parsed.pop(), declared=False) for _ in range(columns)][::-1]


def parse_texts(data: bytes, names: Sequence[str], delimiter: str) -> ArrowTable:
    """Whole rows of CSV in UTF-8, and nothing else, as a table of texts.

    :raises Unparsed: a row has more or fewer cells.
    """
    # In one block, which no line break straddles.
    block, quoted = len(data) + 1, b'"' in data
    table = _read_csv(pa.BufferReader(data), len(names), delimiter, pa.string(), block, quoted=quoted, threads=True)
    return table.rename_columns(list(names))


def _read_csv(
    source: pa.NativeFile, columns: int, delimiter: str, kind: pa.DataType, block: int, *, quoted: bool, threads: bool
) -> ArrowTable:
    """Without `threads` pyarrow begins none: one that is still beginning when the process ends would abort it."""
    names = [str(position) for position in range(columns)]
    with _parsing():
        table: ArrowTable = arrow_csv.read_csv(
            source,
            read_options=arrow_csv.ReadOptions(block_size=block, column_names=names, use_threads=threads),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=quoted, delimiter=delimiter),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, kind), strings_can_be_null=False
            ),
        )
    return table


@contextmanager
def signals_left_alone() -> Iterator[None]:
    """Keep pyarrow from taking SIGINT and SIGTERM while it parses: of a hundred that come then it loses one or more."""
    pa.enable_signal_handlers(False)
    try:
        yield
    finally:
        pa.enable_signal_handlers(True)


def text_table(rows: Sequence[Sequence[str]], names: Sequence[str]) -> ArrowTable:
    """A table of texts from rows as long as there are names."""
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return pa.Table.from_arrays([strings(column) for column in columns], names=list(names))


def take_rows(table: ArrowTable, which: npt.NDArray[np.bool_]) -> ArrowTable:
    """A copy of some rows (n,) of a table."""
    taken: ArrowTable = table.filter(array(which))
    return taken


def stacked(tables: Sequence[ArrowTable]) -> ArrowTable:
    """The rows of several tables, whose columns are named alike, as those of one.

    :raises Unparsed: no type holds what two of them have in a column.
    """
    with _parsing():
        return pa.concat_tables(tables, promote_options="permissive")


class ParquetFile(NamedTuple):
    """The columns of a Parquet file, its rows, and those of its columns that pandas declares to be an index."""

    columns: dict[str, Cells]
    rows: int
    numbering: tuple[str, ...]


def parquet_names(data: bytes) -> tuple[list[str], int]:
    """The names of the columns of a Parquet file, some of which may be alike, and how many rows it has.

    :raises Unparsed: it is damaged.
    """
    with _parsing():
        file = parquet.ParquetFile(pa.BufferReader(data))
    return file.schema_arrow.names, file.metadata.num_rows


def parse_parquet(data: bytes) -> ParquetFile:
    """Read a Parquet file whose columns have different names.

    :raises Unparsed: it is damaged.
    """
    with _parsing():
        table = parquet.read_table(pa.BufferReader(data))
    index = _numbering(table.schema)
    columns = {name: typed_column(cells) for name, cells in zip(table.column_names, table.columns, strict=True)}
    return ParquetFile(columns, len(table), index)


def _numbering(schema: pa.Schema) -> tuple[str, ...]:
    """The columns that pandas declares to be an index."""
    pandas = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
    return tuple(name for name in pandas.get("index_columns", ()) if isinstance(name, str))


class ParquetBlocks:
    """A Parquet file, some rows at a time; columns may have one name, so they are told apart by their place.

    :raises Unparsed: here or later, it is damaged.
    """

    def __init__(self, file: BinaryIO | io.BufferedReader) -> None:
        with _parsing():
            # What is read ahead is kept until the end, of a large file most of it.
            source = pa.PythonFile(file, mode="r")
            self._file = parquet.ParquetFile(source, buffer_size=_BUFFER, pre_buffer=False)
        self.names: list[str] = self._file.schema_arrow.names
        self.rows: int = self._file.metadata.num_rows
        self.empty: ArrowTable = self._file.schema_arrow.empty_table()
        self.numbering = _numbering(self._file.schema_arrow)

    def __iter__(self) -> Iterator[ArrowTable]:
        with _parsing():
            for batch in self._file.iter_batches(_ROWS, use_threads=False):
                yield pa.Table.from_batches([batch])


@contextmanager
def _parsing() -> Iterator[None]:
    try:
        yield
    except MemoryError:  # One of pyarrow's is also one of its exceptions, and says nothing of the bytes.
        raise
    except (pa.ArrowException, OSError) as error:
        raise Unparsed(str(error).splitlines()[0]) from None


class ZstdReader:
    """The contents of a zstd file, to be read once.

    :raises Unparsed: by reading, it is damaged.
    """

    def __init__(self, file: BinaryIO | io.BufferedReader | io.BytesIO) -> None:
        self._stream = pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd")

    def read1(self, size: int) -> bytes:
        with _parsing():
            part: bytes = self._stream.read(size)
        return part


def release() -> None:
    """Give memory that is no longer used back to the system; pyarrow would keep it."""
    pa.default_memory_pool().release_unused()
