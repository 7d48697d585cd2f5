"""What the cells of a column mean, where no schema says so. One rule: what is not a plain number everywhere is text.

Whatever could have been read in another way is written down as a note, "what was decided: an example"; a schema file
overrules it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from models.features import FLOAT32_MAX
from trainer.data.columns import Flags, NumberCells, Numbers, TextCells
from trainer.data.rows import LARGEST_VOCABULARY
from trainer.data.schema import ColumnSchema, Kind

BOOLEANS = ({"true", "false"}, {"yes", "no"}, {"t", "f"}, {"y", "n"}, {"on", "off"})
BOOLEAN_WORDS = frozenset({"0", "1"}).union(*BOOLEANS)
# The decimal mark and the thousands separator, other than in a plain number.
MARKS = ((",", ""), (".", ","), (",", "."), (".", " "), (",", " "), (".", "'"))
LEADING_ZERO = r"^[-+]?0\d"
_CLOCK = r"\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?\s?(Z|[+-]\d{2}:?\d{2})?"
_DAY = r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2}))"
DATE = rf"^({_DAY}([T ]{_CLOCK})?|{_CLOCK})$"
DIGIT_DATE = r"^(19|20)\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$"
# A whole number beyond this does not always fit in a 32-bit float, in which the network calculates.
LARGEST_WHOLE = 2.0**24
# From so many rows on, a column of another text in nine rows of ten names the rows and tells no classes apart.
FEWEST_ROWS = 20
DISTINCT = 0.9

Reading = tuple[Kind, str]
PLAIN_TEXT: Reading = ("categorical", "")


def infer(cells: TextCells | NumberCells, missing: tuple[str, ...]) -> ColumnSchema:
    """Decide how a column is read: by all its cells, never by the first ones."""
    if isinstance(cells, NumberCells):
        return _infer_numbers(cells)
    present = ~cells.are(missing)
    if not present.any():
        return _nothing()
    spelling = Spelling(cells, present, cells.numbers(present))
    kind, note = next(filter(None, (rule(spelling) for rule in RULES)), PLAIN_TEXT)
    notes = [note] if note else []
    if kind == "numeric":
        notes += _rounded(spelling.numbers[present])
    if kind == "categorical":
        kind, repetition = _by_repetition(cells, present)
        notes += repetition
    return ColumnSchema(kind=kind, notes=tuple(notes))


def _infer_numbers(cells: NumberCells) -> ColumnSchema:
    numbers = cells.numbers()
    present = numbers[~np.isnan(numbers)]
    if not len(present):
        return _nothing()
    boolean = np.isin(present, (0.0, 1.0)).all() and 0 < present.sum() < len(present)
    return ColumnSchema(kind="boolean" if boolean else "numeric", notes=tuple(_rounded(present)))


def _nothing() -> ColumnSchema:
    return ColumnSchema(kind="ignored", notes=("no value, ignored: every cell is missing",))


@dataclass(frozen=True)
class Spelling:
    """The different texts of a column, which of them are `present`, and the plain `numbers` that these spell."""

    cells: TextCells
    present: Flags
    numbers: Numbers

    @property
    def no_numbers(self) -> Flags:
        return self.present & np.isnan(self.numbers)

    def all_match(self, pattern: str) -> bool:
        return bool(self.cells.match(pattern)[self.present].all())

    def all_numbers(self, decimal: str = ".", thousands: str = "") -> bool:
        return not np.isnan(self.cells.numbers(self.present, decimal, thousands)[self.present]).any()

    def such_as(self, which: Flags, most: int = 1) -> str:
        return ", ".join(f"'{text[:40]}'" for text in self.cells.spelled(np.flatnonzero(which)[:most]))

    def texts(self, most: int) -> list[str]:
        """The texts of a column of no more than `most`; of others, none."""
        which = np.flatnonzero(self.present)
        return self.cells.spelled(which) if len(which) <= most else []


def _declared(column: Spelling) -> Reading | None:
    if not column.cells.declared or column.no_numbers.any():
        return None
    return "categorical", f"numbers that the file declares to be texts, kept as text: {column.such_as(column.present)}"


def _leading_zeros(column: Spelling) -> Reading | None:
    zeros = column.present & column.cells.match(LEADING_ZERO)
    if column.no_numbers.any() or not zeros.any():
        return None
    return "categorical", f"leading zeros, kept as text: {column.such_as(zeros)} is not {column.numbers[zeros][0]:.15g}"


def _plain_numbers(column: Spelling) -> Reading | None:
    if column.no_numbers.any():
        return None
    if set(column.texts(2)) == {"0", "1"}:
        return "boolean", ""
    if column.all_match(DIGIT_DATE):
        return "numeric", f"dates in eight digits, read as numbers: {column.such_as(column.present)}"
    return "numeric", ""


def _booleans(column: Spelling) -> Reading | None:
    texts = column.texts(2 * len(BOOLEAN_WORDS))
    if len(texts) == 2 and {text.lower() for text in texts} in BOOLEANS:
        return "boolean", ""
    if len(texts) > 2 and {text.lower() for text in texts} <= BOOLEAN_WORDS:
        return "categorical", f"booleans in several spellings, kept as text: {column.such_as(column.present, 6)}"
    return None


def _marked_numbers(column: Spelling) -> Reading | None:
    # 1,000 does not tell which of both its comma is, so nobody guesses.
    if not any(column.all_numbers(decimal, thousands) for decimal, thousands in MARKS):
        return None
    example = column.such_as(column.no_numbers)
    return "categorical", f"decimal commas or thousands separators, kept as text: {example}"


def _dates(column: Spelling) -> Reading | None:
    if not column.all_match(DATE):
        return None
    return "categorical", f"dates or times, kept as text: {column.such_as(column.present)}"


def _mixed(column: Spelling) -> Reading | None:
    if column.no_numbers[column.present].all():
        return None
    return "categorical", f"numbers and other texts, kept as text: {column.such_as(column.no_numbers, 3)}"


# The first that applies decides.
RULES: tuple[Callable[[Spelling], Reading | None], ...] = (
    _declared,
    _leading_zeros,
    _plain_numbers,
    _booleans,
    _marked_numbers,
    _dates,
    _mixed,
)


def _by_repetition(cells: TextCells, present: Flags) -> tuple[Kind, list[str]]:
    rows = int(cells.counts()[:-1][present].sum())
    distinct = int(present.sum())
    if rows >= FEWEST_ROWS and distinct >= DISTINCT * rows:
        return "ignored", [f"another text in nearly every row, ignored: {distinct} texts in {rows} rows"]
    if distinct > LARGEST_VOCABULARY:
        return "categorical", [f"many texts, of which the {LARGEST_VOCABULARY} commonest count: {distinct}"]
    return "categorical", []


def _rounded(numbers: Numbers) -> list[str]:
    size = np.abs(numbers)
    large = numbers[(size >= LARGEST_WHOLE) & (size <= FLOAT32_MAX) & (numbers == np.floor(numbers))]
    if len(np.unique(large.astype(np.float32))) == len(np.unique(large)):
        return []
    lost = large[large != large.astype(np.float32)][0]
    return [f"whole numbers, some of them alike in 32 bits: {lost:.0f} becomes {np.float32(lost):.0f}"]
