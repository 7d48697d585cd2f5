"""The columns of a table, decoded. The only module that knows pyarrow.

A column of texts is held as its different texts and, for every row, which of them it holds: what a text means is found
out once, however often it stands there, and a table takes less memory than its numbers would.
"""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from models.cells import BLANKS, DAY, THOUSANDS, Order, Reading, days_of, number_pattern

Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

# Bytes that are parsed at a time; more where there are many columns, each of which has a cost of its own a block.
_BLOCK, _BLOCK_OF_COLUMN = 1 << 20, 1 << 13
_LARGEST_BLOCK = 2**31 - 1
_ROWS_AT_ONCE = 1 << 16


class Unparsed(Exception):
    """Bytes that are not what they were taken for; the message is pyarrow's."""


@dataclass(frozen=True, eq=False)
class NumberCells:
    """A column that its file declares to be numbers, or to be dates, which are days since 1970-01-01."""

    cells: pa.ChunkedArray
    dates: bool = False

    def numbers(self, reading: Reading) -> Numbers:
        """Shape (n,), NaN where nothing is there."""
        cells = self.cells
        if self.dates:
            cells = cells.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
        numbers: Numbers = cells.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False).astype(np.float64)
        if self.dates:
            numbers /= DAY
        numbers[np.isin(numbers, _marked(reading, dates=self.dates))] = np.nan
        return numbers

    def first_row(self, number: int) -> int:
        return number

    def spread(self, meaning: npt.NDArray[Any], nothing: np.generic, into: npt.NDArray[Any]) -> None:
        into[:] = meaning

    def as_texts(self) -> "TextCells":
        return TextCells.of(self.cells.cast(pa.string()), declared=True)


def _marked(reading: Reading, *, dates: bool) -> list[float]:
    """The numbers, or dates, that the reading's missing markers spell."""
    marked = []
    for text in reading.missing:
        try:
            marked.append(days_of(reading.moment(text)) if dates else reading.number(text))
        except ValueError:
            continue
    return marked


@dataclass(frozen=True, eq=False)
class TextCells:
    """A column of texts: `texts` are its different ones, and `codes` (n,) says which of them each row holds.

    The code of a row of which the file says that nothing is there is `len(self)`. Texts that `declared` themselves
    texts are no plain numbers.
    """

    texts: pa.StringArray
    codes: npt.NDArray[np.unsignedinteger[Any]]
    declared: bool
    _days: dict[Order, Numbers] = field(default_factory=dict, repr=False)  # As found once.

    @classmethod
    def of(cls, cells: pa.ChunkedArray, *, declared: bool) -> "TextCells":
        """From a column of texts, dictionary-encoded or not."""
        if not pa.types.is_dictionary(cells.type):
            cells = cells.dictionary_encode()
        unified = cells.unify_dictionaries()
        texts = unified.chunk(0).dictionary if unified.num_chunks else pa.array([], pa.string())
        codes = np.empty(len(cells), np.min_scalar_type(len(texts)))
        row = 0
        for chunk in unified.chunks:
            indices = chunk.indices.fill_null(len(texts)) if chunk.indices.null_count else chunk.indices
            codes[row : row + len(indices)] = indices.to_numpy()
            row += len(indices)
        return cls(texts, codes, declared)

    def __len__(self) -> int:
        return len(self.texts)

    def counts(self) -> npt.NDArray[np.int64]:
        """How many rows hold each text, and, last, how many hold none."""
        return np.bincount(self.codes, minlength=len(self) + 1)

    def first_row(self, text: int) -> int:
        """The first row that holds a text."""
        return int(np.argmax(self.codes == text))

    def spread(self, meaning: npt.NDArray[Any], nothing: np.generic, into: npt.NDArray[Any]) -> None:
        """Write into each of n rows what its text means, and `nothing` where nothing is there."""
        meaning = np.append(meaning, nothing)
        for row in range(0, len(into), _ROWS_AT_ONCE):
            part = slice(row, row + _ROWS_AT_ONCE)
            into[part] = meaning[self.codes[part]]

    def missing(self, markers: Sequence[str]) -> Flags:
        """Which of the texts are one of these, or blank."""
        trimmed = pc.utf8_trim(self.texts, BLANKS)
        return _flags(pc.is_in(trimmed, value_set=pa.array(["", *markers], pa.string())))

    def match(self, pattern: str) -> Flags:
        """Which of the texts a regular expression matches."""
        return _flags(pc.match_substring_regex(self.texts, pattern))

    def spelled(self, which: npt.NDArray[np.integer[Any]]) -> list[str]:
        spelled: list[str] = self.texts.take(pa.array(which)).to_pylist()
        return spelled

    def numbers(self, which: Flags, reading: Reading) -> Numbers:
        """The number that each text spells, shape (len(self),); NaN where it is not one of `which` or spells none."""
        texts = pc.if_else(pa.array(which), self.texts, None)
        plain = reading.decimal == "." and not reading.thousands and not reading.unit
        if plain:
            try:
                return _as_floats(texts)
            except pa.ArrowInvalid:
                pass
        texts = pc.utf8_trim(texts, BLANKS)
        pattern = number_pattern(reading.decimal, reading.thousands, reading.unit)
        digits = pc.if_else(pc.match_substring_regex(texts, pattern), texts, None)
        if not plain:
            digits = pc.replace_substring_regex(digits, pattern, r"\1\2\3")
            if reading.thousands:
                digits = pc.replace_substring_regex(digits, THOUSANDS[reading.thousands], "")
            digits = pc.replace_substring(digits, reading.decimal, ".")
        numbers = _as_floats(digits)
        if reading.boolean:  # Few different texts.
            numbers = _each(texts.to_pylist(), reading.number)
        return numbers

    def days(self, which: Flags, reading: Reading) -> Numbers:
        """Days since 1970-01-01 of the date that each text spells, as `numbers` says it."""
        if reading.date not in self._days:
            self._days[reading.date] = _each(self.texts.to_pylist(), lambda text: days_of(reading.moment(text)))
        return np.where(which, self._days[reading.date], np.nan)


def _each(texts: Sequence[str | None], read: Any) -> Numbers:
    numbers = np.full(len(texts), np.nan)
    for position, text in enumerate(texts):
        if text is not None:
            try:
                numbers[position] = read(text)
            except ValueError:
                continue
    return numbers


def _as_floats(texts: pa.StringArray) -> Numbers:
    floats: Numbers = texts.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return floats


def _flags(array: pa.BooleanArray) -> Flags:
    flags: Flags = array.to_numpy(zero_copy_only=False)
    return flags


@dataclass(frozen=True)
class OtherCells:
    """A column of what no feature can be made of; `held` names it."""

    held: str


Cells = TextCells | NumberCells | OtherCells


def text_column(texts: Sequence[str]) -> TextCells:
    return TextCells.of(pa.chunked_array([pa.array(texts, pa.string())]), declared=False)


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
    block = block or max(_BLOCK, _BLOCK_OF_COLUMN * columns)
    body, quoted = pa.py_buffer(data).slice(start, stop - start), b'"' in data
    names = [str(position) for position in range(columns)]
    texts = dict.fromkeys(names, pa.dictionary(pa.int32(), pa.string()))
    try:
        parsed: list[pa.ChunkedArray] = arrow_csv.read_csv(
            pa.PythonFile(_WholeLineBreaks(data, start, stop), mode="r") if quoted else pa.BufferReader(body),
            read_options=arrow_csv.ReadOptions(block_size=block, column_names=names),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=quoted, delimiter=delimiter),
            convert_options=arrow_csv.ConvertOptions(column_types=texts, strings_can_be_null=False),
        ).columns
    except pa.ArrowInvalid as error:
        if "straddling" in str(error) and block < len(data):
            return parse_csv(data, start, stop, columns, delimiter, min(len(data) + 1, _LARGEST_BLOCK))
        raise Unparsed(str(error).splitlines()[0]) from None
    # One after the other, so that a column is not there twice for long.
    return [TextCells.of(parsed.pop(), declared=False) for _ in range(columns)][::-1]


class ParquetFile(NamedTuple):
    """The columns of a Parquet file, its rows, and those of its columns that pandas declares to be an index."""

    columns: dict[str, Cells]
    rows: int
    numbering: tuple[str, ...]


def parquet_names(data: bytes) -> list[str]:
    """The names of the columns of a Parquet file, some of which may be alike.

    :raises Unparsed: it is damaged.
    """
    try:
        names: list[str] = parquet.read_schema(pa.BufferReader(data)).names
    except (pa.ArrowException, OSError) as error:
        raise Unparsed(str(error).splitlines()[0]) from None
    return names


def parse_parquet(data: bytes) -> ParquetFile:
    """Read a Parquet file whose columns have different names.

    :raises Unparsed: it is damaged.
    """
    try:
        table = parquet.read_table(pa.BufferReader(data))
    except (pa.ArrowInvalid, OSError) as error:
        raise Unparsed(str(error).splitlines()[0]) from None
    pandas = json.loads((table.schema.metadata or {}).get(b"pandas", b"{}"))
    index = tuple(name for name in pandas.get("index_columns", ()) if isinstance(name, str))
    columns = {name: _typed(cells) for name, cells in zip(table.column_names, table.columns, strict=True)}
    return ParquetFile(columns, len(table), index)


def _typed(cells: pa.ChunkedArray) -> Cells:
    kind = cells.type
    if pa.types.is_dictionary(kind):
        cells, kind = cells.cast(kind.value_type), kind.value_type
    if pa.types.is_decimal(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind):
        return NumberCells(cells)
    if pa.types.is_timestamp(kind):
        return NumberCells(cells.cast(pa.timestamp(kind.unit)), dates=True)  # The same instants, in UTC.
    if pa.types.is_date(kind):
        return NumberCells(cells, dates=True)
    try:
        if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            raise pa.ArrowNotImplementedError
        texts = TextCells.of(cells.cast(pa.string()), declared=not pa.types.is_boolean(kind))
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return OtherCells(str(kind))
    return OtherCells("the byte 0x00") if texts.match(r"\x00").any() else texts


def unpack_zstd(data: bytes) -> bytes:
    """The contents of a zstd file.

    :raises Unparsed: it is damaged.
    """
    try:
        unpacked: bytes = pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()
    except (pa.ArrowException, OSError) as error:
        raise Unparsed(str(error).splitlines()[0]) from None
    return unpacked


def release() -> None:
    """Give memory that is no longer used back to the system; pyarrow would keep it."""
    pa.default_memory_pool().release_unused()
