"""The columns of a file, CSV or Parquet, as they stand in it. The only module that knows pyarrow.

A CSV file holds nothing but texts, so its cells are read as texts and as nothing else; `trainer.data.kinds` says what
they mean. Each column is read into its different texts and, for every row, which of them it holds: what a text means is
then found out once, however often it stands there, and a table takes less memory than its numbers would.
"""

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from trainer.arrays import Array, Codes
from trainer.data.contents import read_bytes, unpack
from trainer.data.csv_layout import check_encoding, check_names, check_quotes, column_names, line_of, ragged_row
from trainer.errors import InvalidTable, TableChanged

Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

# Bytes that are parsed at a time; more where there are many columns, each of which has a cost of its own a block.
_BLOCK, _BLOCK_OF_COLUMN = 1 << 20, 1 << 13
_LARGEST_BLOCK = 2**31 - 1


@dataclass(frozen=True)
class NumberCells:
    """A column that its file declares to be numbers."""

    cells: pa.ChunkedArray

    def numbers(self) -> Numbers:
        """Shape (n,), NaN where nothing is there."""
        numbers: Numbers = self.cells.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return numbers

    def has_nothing(self) -> bool:
        return bool(self.cells.null_count)

    def first_row(self, number: int) -> int:
        return number

    def spread(self, meaning: Array, nothing: np.float32, into: Array) -> None:
        into[:] = meaning

    def as_texts(self) -> "TextCells":
        return TextCells(self.cells.cast(pa.string()).dictionary_encode(), declared=True)


class TextCells:
    """A column of texts: `texts` are its different ones; those that `declared` themselves texts are no numbers."""

    def __init__(self, cells: pa.ChunkedArray, *, declared: bool) -> None:
        unified = cells.unify_dictionaries()
        self._indices = [chunk.indices for chunk in unified.chunks]
        self.texts: pa.StringArray = unified.chunk(0).dictionary
        self.declared = declared

    def __len__(self) -> int:
        return len(self.texts)

    def _codes(self) -> Iterator[Codes]:
        """Which text each row holds, chunk by chunk; `len(self)` where the file says that nothing is there."""
        for indices in self._indices:
            filled = indices.fill_null(len(self)) if indices.null_count else indices
            codes: Codes = filled.to_numpy()
            yield codes

    def counts(self) -> npt.NDArray[np.int64]:
        """How many rows hold each text, and, last, how many hold none."""
        total = np.zeros(len(self) + 1, np.int64)
        for codes in self._codes():
            total += np.bincount(codes, minlength=len(total))
        return total

    def has_nothing(self) -> bool:
        """Whether the file says of a row that nothing is there."""
        return any(indices.null_count for indices in self._indices)

    def first_row(self, text: int) -> int:
        """The first row that holds a text."""
        rows = 0
        for codes in self._codes():
            found = np.flatnonzero(codes == text)
            if len(found):
                return rows + int(found[0])
            rows += len(codes)
        raise ValueError("no row holds this text")

    def spread(self, meaning: npt.NDArray[Any], nothing: np.generic, into: npt.NDArray[Any]) -> None:
        """Write into each of n rows what its text means, and `nothing` where nothing is there."""
        meaning = np.append(meaning, nothing)
        rows = 0
        for codes in self._codes():
            into[rows : rows + len(codes)] = meaning[codes]
            rows += len(codes)

    def are(self, texts: tuple[str, ...]) -> Flags:
        """Which of the texts are one of these, or blank."""
        blank = pc.equal(pc.utf8_trim_whitespace(self.texts), "")
        given = pc.is_in(self.texts, value_set=pa.array(texts, pa.string()))
        return _flags(pc.or_(blank, given))

    def match(self, pattern: str) -> Flags:
        """Which of the texts a regular expression matches."""
        return _flags(pc.match_substring_regex(self.texts, pattern))

    def spelled(self, which: npt.NDArray[np.int64]) -> list[str]:
        spelled: list[str] = self.texts.take(pa.array(which)).to_pylist()
        return spelled

    def numbers(self, which: Flags, decimal: str = ".", thousands: str = "") -> Numbers:
        """The number that each text spells, shape (len(self),); NaN where it is not one of `which` or spells none."""
        texts = pc.if_else(pa.array(which), self.texts, None)
        if decimal == "." and not thousands:
            try:
                return _as_floats(texts)
            except pa.ArrowInvalid:
                pass
        texts = pc.utf8_trim_whitespace(texts)
        texts = pc.if_else(pc.match_substring_regex(texts, _number(decimal, thousands)), texts, None)
        if thousands:
            texts = pc.replace_substring(texts, thousands, "")
        return _as_floats(pc.replace_substring(texts, decimal, "."))


def _number(decimal: str, thousands: str) -> str:
    point, comma = (f"[{mark}]" for mark in (decimal, thousands))
    whole = rf"(\d+|\d{{1,3}}({comma}\d{{3}})+)" if thousands else r"\d+"
    return rf"^[-+]?({whole}({point}\d*)?|{point}\d+)([eE][-+]?\d+)?$|^[-+]?(?i:inf|infinity)$"


def _as_floats(texts: pa.StringArray) -> Numbers:
    floats: Numbers = texts.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return floats


def _flags(array: pa.BooleanArray) -> Flags:
    flags: Flags = array.to_numpy(zero_copy_only=False)
    return flags


class File:
    """A file with its columns, each of which can be taken out once: what has become rows need not stay."""

    def __init__(
        self, path: Path, sha256: str, table: pa.Table, names: list[str], *, is_csv: bool, contents: bytes | None = None
    ) -> None:
        self.path = path
        self._contents = contents
        self.sha256 = sha256
        self.names = names
        self._rows = len(table)
        self._columns: dict[str, pa.ChunkedArray | TextCells | NumberCells] = dict(
            zip(names, table.columns, strict=True)
        )
        self._is_csv = is_csv

    def __len__(self) -> int:
        return self._rows

    def look(self, name: str) -> TextCells | NumberCells:
        """The cells of a column.

        :raises InvalidTable: they are neither numbers nor texts; only Parquet has others.
        """
        held = self._columns[name]
        if not isinstance(held, pa.ChunkedArray):
            return held
        cells = TextCells(held, declared=False) if self._is_csv else _plain(self.path, name, held)
        self._columns[name] = cells
        return cells

    def take(self, name: str) -> TextCells | NumberCells:
        """The cells of a column, which the file then forgets."""
        cells = self.look(name)
        del self._columns[name]
        return cells

    def release(self) -> None:
        """Give the memory of what was taken out back to the system; pyarrow would keep it for more columns."""
        pa.default_memory_pool().release_unused()

    def place(self, row: int) -> str:
        """Where a row of data stands, for a sentence.

        :raises TableChanged: the file is no longer the one that was read.
        """
        if not self._is_csv:
            return f"{self.path}, row {row + 1}"
        if (contents := self._contents) is None:
            data = read_bytes(self.path)
            if hashlib.sha256(data).hexdigest() != self.sha256:
                raise TableChanged(f"{self.path} was written to while it was read; try again when it is whole")
            contents = unpack(self.path, data)
        return f"{self.path}, line {line_of(contents, row)}"


def _plain(path: Path, name: str, cells: pa.ChunkedArray) -> TextCells | NumberCells:
    kind = cells.type
    if pa.types.is_dictionary(kind):
        cells, kind = cells.cast(kind.value_type), kind.value_type
    if pa.types.is_decimal(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind):
        return NumberCells(cells)
    if pa.types.is_timestamp(kind):
        cells = cells.cast(pa.timestamp(kind.unit))  # The same instants, in UTC.
    try:
        if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            raise pa.ArrowNotImplementedError
        texts = TextCells(cells.cast(pa.string()).dictionary_encode(), declared=not pa.types.is_boolean(kind))
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        raise InvalidTable(f"{path}: column '{name}' holds {kind}; leave it out with --drop '{name}'") from None
    if texts.match(r"\x00").any():
        raise InvalidTable(f"{path}: column '{name}' holds the byte 0x00; leave it out with --drop '{name}'")
    return texts


def read_file(path: Path) -> File:
    """Read a table: CSV, plain or gzipped, or Parquet; its first bytes tell which, whatever its name.

    :raises Unreadable: the file is not there or cannot be read.
    :raises TableChanged: it was written to while it was read.
    :raises InvalidTable: it is no table; the sentence names the line, the column or the byte.
    """
    data = read_bytes(path)
    digest = hashlib.sha256(data).hexdigest()
    data = unpack(path, data)
    if data.startswith(b"PAR1"):
        table = _parse_parquet(path, data)
        return File(path, digest, table, table.column_names, is_csv=False)
    if path.suffix == ".parquet":
        raise InvalidTable(f"{path} is no Parquet file: it does not begin with PAR1")
    header = column_names(path, data)
    table = _parse_csv(path, data, header)
    # A pipe cannot be read again when a cell has to be found.
    contents = None if path.is_file() else data
    del data
    pa.default_memory_pool().release_unused()
    return File(path, digest, table, [name.strip() for name in header], is_csv=True, contents=contents)


def _parse_parquet(path: Path, data: bytes) -> pa.Table:
    try:
        check_names(path, parquet.read_schema(pa.BufferReader(data)).names)
        table = parquet.read_table(pa.BufferReader(data))
    except (pa.ArrowInvalid, OSError) as error:
        raise InvalidTable(f"{path} is a damaged Parquet file: {str(error).splitlines()[0]}") from None
    if not len(table):
        raise InvalidTable(f"{path} has columns but no rows")
    return table


class _WholeLineBreaks(io.RawIOBase):
    """The bytes of a CSV file, of which no read ends between CR and LF.

    pyarrow takes an LF at the beginning of a block for the rest of the line break before it, within quotes too, and
    loses it (apache/arrow#51368).
    """

    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        end = len(self._data) if size < 0 else self._place + size
        if self._data[end - 1 : end + 1] == b"\r\n":
            end -= 1
        part = self._data[self._place : end]
        self._place += len(part)
        return part


def _parse_csv(path: Path, data: bytes, header: list[str], block: int = 0) -> pa.Table:
    check_quotes(path, data)
    if b"\0" in data:
        check_encoding(path, data)
    block = block or max(_BLOCK, _BLOCK_OF_COLUMN * len(header))
    texts = dict.fromkeys(header, pa.dictionary(pa.int32(), pa.string()))
    try:
        table = arrow_csv.read_csv(
            pa.PythonFile(_WholeLineBreaks(data), mode="r"),
            read_options=arrow_csv.ReadOptions(block_size=block),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=b'"' in data),
            convert_options=arrow_csv.ConvertOptions(column_types=texts, strings_can_be_null=False),
        )
    except pa.ArrowInvalid as error:
        if "straddling" in str(error) and block < len(data):
            return _parse_csv(path, data, header, min(len(data) + 1, _LARGEST_BLOCK))
        check_encoding(path, data)
        raise InvalidTable(ragged_row(path, data) or f"{path}: {str(error).splitlines()[0]}") from None
    if not len(table):
        raise InvalidTable(f"{path} has a header but no rows")
    return table
