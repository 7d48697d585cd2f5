"""The columns of a table, decoded. With `parsing`, `arrow`, `frames`: all that knows pyarrow here.

A column of texts is held as its different texts and, for every row, which of them it holds: what a text means is found
out once, however often it stands there, and a table takes less memory than its numbers would.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.cells import BLANKS, DAY, THOUSANDS, Order, Reading, days_of, number_pattern
from trainer.data.arrow import array, scalar, strings, values

Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_ROWS_AT_ONCE = 1 << 16


@dataclass(frozen=True, eq=False)
class NumberCells:
    """A column that its file declares to be numbers, or to be dates, which are days since 1970-01-01."""

    cells: pa.ChunkedArray
    dates: bool = False

    @classmethod
    def of(cls, numbers: npt.NDArray[Any], nothing: Flags, *, dates: bool = False) -> "NumberCells":
        """From numbers (n,), of dates whole microseconds since 1970; there is none where `nothing` (n,) is true."""
        return cls(pa.chunked_array([array(numbers, nothing)]), dates)

    def numbers(self, reading: Reading) -> Numbers:
        """Shape (n,), NaN where nothing is there."""
        cells = self.cells
        if self.dates:
            cells = cells.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
        numbers = _as_floats(cells)
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
        texts = unified.chunk(0).dictionary if unified.num_chunks else strings([])
        codes = np.empty(len(cells), np.min_scalar_type(len(texts)))
        row = 0
        for chunk in unified.chunks:
            indices = chunk.indices.fill_null(len(texts)) if chunk.indices.null_count else chunk.indices
            codes[row : row + len(indices)] = values(indices, np.int32)
            row += len(indices)
        return cls(texts, codes, declared)

    @classmethod
    def numbered(cls, texts: Sequence[str], codes: npt.NDArray[np.unsignedinteger[Any]]) -> "TextCells":
        """From the different texts of a column, and which of them each row holds."""
        return cls(strings(texts), codes, declared=False)

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
        return _flags(pc.is_in(trimmed, value_set=strings(["", *markers])))

    def match(self, pattern: str) -> Flags:
        """Which of the texts a regular expression matches."""
        return _flags(pc.match_substring_regex(self.texts, pattern))

    def spelled(self, which: npt.NDArray[np.integer[Any]]) -> list[str]:
        spelled: list[str] = self.texts.take(array(which)).to_pylist()
        return spelled

    def numbers(self, which: Flags, reading: Reading) -> Numbers:
        """The number that each text spells, shape (len(self),); NaN where it is not one of `which` or spells none."""
        texts = pc.if_else(array(which), self.texts, scalar(None))
        plain = reading.decimal == "." and not reading.thousands and not reading.unit
        if plain:
            try:
                return _as_floats(texts)
            except pa.ArrowInvalid:
                pass
        texts = pc.utf8_trim(texts, BLANKS)
        pattern = number_pattern(reading.decimal, reading.thousands, reading.unit)
        digits = pc.if_else(pc.match_substring_regex(texts, pattern), texts, scalar(None))
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


def _as_floats(cells: pa.Array | pa.ChunkedArray) -> Numbers:
    """The numbers of a column, NaN where nothing is there."""
    floats = cells.cast(pa.float64(), safe=False)
    pieces = floats.chunks if isinstance(floats, pa.ChunkedArray) else [floats]
    numbers = np.concatenate([np.empty(0), *(values(piece, np.float64) for piece in pieces)])
    if floats.null_count:
        numbers[np.concatenate([_flags(piece.is_null()) for piece in pieces])] = np.nan
    return numbers


def _flags(cells: pa.BooleanArray) -> Flags:
    return values(cells.cast(pa.uint8()), np.bool_)


@dataclass(frozen=True)
class OtherCells:
    """A column of what no feature can be made of; `held` names it."""

    held: str


Cells = TextCells | NumberCells | OtherCells


def holds_something(cells: pa.ChunkedArray) -> bool:
    """Whether a cell of a column of texts is not blank."""
    return bool(pc.any(pc.utf8_length(pc.utf8_trim(cells, BLANKS)).cast(pa.bool_())).as_py())


def text_column(texts: Sequence[str]) -> TextCells:
    return TextCells.of(pa.chunked_array([strings(texts)]), declared=False)


def kind_of(cells: pa.ChunkedArray) -> str:
    """What the file declares a column to hold: numbers, dates, texts, nothing at all, or something else by its name."""
    kind = cells.type.value_type if pa.types.is_dictionary(cells.type) else cells.type
    if pa.types.is_null(kind):
        return ""
    column = typed_column(pa.chunked_array([pa.nulls(0, kind)]))
    if isinstance(column, OtherCells):
        return column.held
    return "texts" if isinstance(column, TextCells) else "dates" if column.dates else "numbers"


def untyped_column(cells: pa.ChunkedArray) -> TextCells:
    """The cells of a column of a file that declares nothing of its columns."""
    return TextCells.of(cells, declared=False)


def typed_column(cells: pa.ChunkedArray) -> Cells:
    """The cells of a column of a Parquet file."""
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
        if pa.types.is_nested(kind) or kind in (pa.binary(), pa.large_binary(), pa.binary_view()):
            raise pa.ArrowNotImplementedError
        texts = TextCells.of(cells.cast(pa.string()), declared=not pa.types.is_boolean(kind))
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return OtherCells(str(kind))
    return OtherCells("the byte 0x00") if texts.match(r"\x00").any() else texts
