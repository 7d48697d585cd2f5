"""What the cells of a column mean, where no schema says so: decided by all of them, and never silently.

Whatever could have been read in another way is written down as a note; a schema overrules it.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from models.cells import BLANKS, BOOLEANS, FALSE, TRUE, Order, Reading
from models.features import FLOAT32_MAX
from trainer.data.columns import Flags, NumberCells, Numbers, TextCells
from trainer.data.rows import LARGEST_VOCABULARY
from trainer.data.schema import ColumnSchema
from trainer.data.wording import ignored, note

Decimal = Literal[".", ","]
Thousands = Literal["", ",", ".", " ", "'", "_"]
ORDERS: tuple[Order, ...] = ("ymd", "dmy", "mdy")
# The decimal mark and the thousands separator; of readings that say the same, the first counts.
MARKS: tuple[tuple[Decimal, Thousands], ...] = (
    (".", ""),
    (".", ","),
    (".", " "),
    (".", "'"),
    (",", ""),
    (",", "."),
    (",", " "),
)
PLAIN = Reading()
LEADING_ZERO = r"^[-+]?0\d"
# A plain number whose mark may as well be one of thousands.
GROUPED = r"^[-+]?[1-9][0-9]{0,2}([.][0-9]{3})+$"
_CLOCK = r"\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?\s?(Z|[+-]\d{2}:?\d{2})?"
_DAY = r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2}))"
DATE = rf"^({_DAY}([T ]{_CLOCK})?|{_CLOCK})$"
DIGIT_DATE = r"^(19|20)\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$"
# What a number may carry: a sign of money before it; that, a percent sign or letters behind it.
MONEY = r"US\$|[$€£¥₹₽₩]|USD|EUR|GBP|CHF|JPY|CNY|INR"
UNIT = re.compile(rf"^[-+]?(?:({MONEY})\s?)?[-+]?[0-9][0-9.,'\u2019\s]*?\s?({MONEY}|[%‰°²³/A-Za-zµ]{{1,10}})?$")
# A whole number beyond this does not always fit in a 32-bit float, in which the network calculates.
LARGEST_WHOLE = 2.0**24
# From so many rows on, a column of another text in nine rows of ten names the rows and tells no classes apart.
FEWEST_ROWS = 20
DISTINCT = 0.9
# Among numbers or dates, so many texts of other kinds count as missing: few, or such as people write for nothing.
MOST_BAD, BAD_SHARE, ROWS_FOR_ONE = 20, 0.05, 10
_NOTHING = """- -- --- . .. … n.a. n.a na n/a none null nil nan unknown missing undefined k.a. unbekannt
    #n/a #div/0! #value! #ref! #wert! #bezug!"""
NOTHING = frozenset(_NOTHING.split())
SAMPLE = 200
SHOWN = 3


class Inferred(NamedTuple):
    """How a column is read, and which decimal mark it proves, if any; `open` where two readings of it fit."""

    schema: ColumnSchema
    proves: Decimal | None = None
    open: bool = False


def infer(
    cells: TextCells | NumberCells,
    missing: Sequence[str],
    line: Callable[[int], str],
    decimal: Decimal | None = None,
) -> Inferred:
    """Decide how a column is read; of two readings that fit, the one with this `decimal` mark."""
    reading = Reading(missing=tuple(missing))
    if isinstance(cells, NumberCells):
        return Inferred(_infer_numbers(cells, reading))
    column = Column(cells, ~cells.missing(missing), line, decimal)
    if not column.present.any():
        return Inferred(ColumnSchema(kind="ignored", notes=(note("nothing", "every cell is missing"),)))
    return next(filter(None, (rule(column) for rule in RULES)), None) or Inferred(_text(column))


def _infer_numbers(cells: NumberCells, reading: Reading) -> ColumnSchema:
    numbers = cells.numbers(reading)
    present = numbers[~np.isnan(numbers)]
    if not len(present):
        return ColumnSchema(kind="ignored", notes=(note("nothing", "every cell is missing"),))
    if cells.dates:
        return ColumnSchema(kind="date")
    boolean = np.isin(present, (0.0, 1.0)).all() and 0 < present.sum() < len(present)
    return ColumnSchema(kind="boolean" if boolean else "numeric", notes=_rounded(present))


@dataclass(frozen=True)
class Column:
    """The different texts of a column, and which of them are `present`."""

    cells: TextCells
    present: Flags
    line: Callable[[int], str]
    decimal: Decimal | None

    @cached_property
    def counts(self) -> npt.NDArray[np.int64]:
        return self.cells.counts()[:-1]

    @cached_property
    def plain(self) -> Numbers:
        """The plain number that each text spells."""
        return self.cells.numbers(self.present, PLAIN)

    @cached_property
    def sample(self) -> list[str]:
        """Some of the texts, from everywhere."""
        which = np.flatnonzero(self.present)
        return self.cells.spelled(which[np.linspace(0, len(which) - 1, min(SAMPLE, len(which)), dtype=np.int64)])

    def rows(self, which: Flags) -> int:
        return int(self.counts[which].sum())

    def all_match(self, pattern: str) -> bool:
        return bool(self.cells.match(pattern)[self.present].all())

    def such_as(self, which: Flags, most: int = 1) -> str:
        return ", ".join(f"'{text[:40]}'" for text in self.cells.spelled(np.flatnonzero(which)[:most]))

    def texts(self, most: int) -> list[str]:
        """The texts of a column of no more than `most`; of others, none."""
        which = np.flatnonzero(self.present)
        return self.cells.spelled(which) if len(which) <= most else []

    def few(self, bad: Flags) -> bool:
        """Whether so few of the texts are bad that the column is what the others are."""
        different, rows, all_rows = int(bad.sum()), self.rows(bad), self.rows(self.present)
        if different > MOST_BAD or 2 * rows > all_rows:
            return False
        if rows <= BAD_SHARE * all_rows or (rows == 1 and all_rows >= ROWS_FOR_ONE):
            return True
        return all(text.strip(BLANKS).lower() in NOTHING for text in self.cells.spelled(np.flatnonzero(bad)))

    def listed(self, bad: Flags) -> tuple[tuple[str, ...], str]:
        """The bad texts, and the commonest of them with how many there are and where the first stands."""
        which = np.flatnonzero(bad)
        which = which[np.argsort(-self.counts[which], kind="stable")]
        texts = self.cells.spelled(which)
        shown = [
            f"'{text[:40]}' {self.counts[at]} ({self.line(self.cells.first_row(int(at)))})"
            for at, text in zip(which[:SHOWN], texts, strict=False)
        ]
        more = f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
        return tuple(sorted({text.strip(BLANKS) for text in texts})), ", ".join(shown) + more


def _plain_numbers(column: Column) -> Inferred | None:
    numbers, present = column.plain, column.present
    if np.isnan(numbers[present]).any():
        return None
    if column.cells.declared:
        return Inferred(_text(column, "declared", column.such_as(present)))
    zeros = present & column.cells.match(LEADING_ZERO)
    if zeros.any():
        return Inferred(_text(column, "zeros", f"{column.such_as(zeros)} is not {numbers[zeros][0]:.15g}"))
    if set(column.texts(2)) == {"0", "1"}:
        return Inferred(ColumnSchema(kind="boolean"))
    marked = [text for text in column.sample if "." in text]
    if marked and all(re.match(GROUPED, text.strip(BLANKS)) for text in marked):
        return _marked_numbers(column)
    notes = (note("digits", column.such_as(present)),) if column.all_match(DIGIT_DATE) else ()
    schema = ColumnSchema(kind="numeric", notes=(*notes, *_rounded(numbers[present])))
    return Inferred(schema, "." if marked else None)


def _marked_numbers(column: Column) -> Inferred | None:
    """Numbers with marks, units, or a few texts among them: as that reading says which makes most rows numbers."""
    likely = _likely(column)
    found = [(reading, column.cells.numbers(column.present, reading)) for reading in likely]
    covered = [column.rows(~np.isnan(numbers)) for _, numbers in found]
    best = [one for one, rows in zip(found, covered, strict=True) if rows == max(covered)]
    if not best or not column.few(column.present & np.isnan(best[0][1])):
        return None
    reading, numbers = best[0]
    if column.cells.declared and reading == PLAIN:
        return None
    zeros = column.cells.match(LEADING_ZERO) & ~np.isnan(column.plain)
    if zeros.any():
        return Inferred(_text(column, "zeros", f"{column.such_as(zeros)} is not {column.plain[zeros][0]:.15g}"))
    others = [one for one in best[1:] if not np.array_equal(one[1], numbers, equal_nan=True)]
    differs = others[0] if others else None
    if differs and differs[0].decimal == column.decimal:
        (reading, numbers), differs = differs, best[0]
    schema = _number_column(column, reading, ~np.isnan(numbers), differs and differs[1])
    return Inferred(schema, None if differs else _proof(column, reading), differs is not None)


def _proof(column: Column, reading: Reading) -> Decimal | None:
    """The decimal mark that a column without a doubt proves: one that some of its texts have."""
    return reading.decimal if any(reading.decimal in text for text in column.sample) or reading.thousands else None


def _likely(column: Column) -> list[Reading]:
    """The readings by which at least half of some texts are numbers; plain ones first."""
    units = Counter(
        unit for text in column.sample if (match := UNIT.match(text.strip())) for unit in match.groups() if unit
    )
    unit = next((unit for unit, count in units.most_common(1) if 2 * count >= len(column.sample)), "")
    readings = [Reading(decimal=decimal, thousands=thousands, unit=unit) for decimal, thousands in MARKS]
    return [one for one in readings if 2 * sum(map(_reads(one.number), column.sample)) >= len(column.sample)]


def _reads(read: Callable[[str], object]) -> Callable[[str], bool]:
    def reads(text: str) -> bool:
        try:
            read(text)
        except ValueError:
            return False
        return True

    return reads


def _number_column(column: Column, reading: Reading, good: Flags, other: Numbers | None = None) -> ColumnSchema:
    """The schema of numbers; `other` is what another reading makes of them."""
    numbers = column.cells.numbers(column.present, reading)
    notes = []
    if other is not None:
        apart = np.flatnonzero(good & (numbers != other))
        text = column.cells.spelled(apart[:1])[0]
        notes.append(note("two_numbers", f"'{text[:40]}' is {numbers[apart[0]]:.15g}, or {other[apart[0]]:.15g}"))
    elif (reading.thousands or reading.unit) and (marked := good & np.isnan(column.plain)).any():
        example = f"{column.such_as(marked)} is {numbers[marked][0]:.15g}"
        notes.append(note("marks", example))
    missing, listed = column.listed(column.present & ~good) if (column.present & ~good).any() else ((), "")
    if missing:
        notes.append(note("bad_numbers", listed))
    return ColumnSchema(
        kind="numeric",
        missing=missing,
        decimal=reading.decimal,
        thousands=reading.thousands,
        unit=reading.unit,
        notes=(*notes, *_rounded(numbers[good])),
    )


def _booleans(column: Column) -> Inferred | None:
    texts = column.texts(2 * sum(map(len, BOOLEANS)))
    words = {text.lower() for text in texts}
    if len(texts) == 2 and any(words == set(pair) for pair in BOOLEANS):
        return Inferred(ColumnSchema(kind="boolean"))
    if len(texts) > 2 and words <= FALSE | TRUE:
        return Inferred(_text(column, "spellings", column.such_as(column.present, 6)))
    return None


def _dates(column: Column) -> Inferred | None:
    found = []
    for order in ORDERS:
        reading = Reading(date=order)
        if 2 * sum(map(_reads(reading.moment), column.sample)) >= len(column.sample):
            days = column.cells.days(column.present, reading)
            found.append((column.rows(~np.isnan(days)), order, days))
    if not found:
        return None
    covered, order, days = max(found, key=lambda one: one[0])
    bad = column.present & np.isnan(days)
    if not column.few(bad):
        return None
    if any(rows == covered and not np.array_equal(days, other, equal_nan=True) for rows, _, other in found):
        return Inferred(_text(column, "two_dates", column.such_as(column.present & ~bad)))
    missing, listed = column.listed(bad) if bad.any() else ((), "")
    notes = (note("bad_dates", listed),) if missing else ()
    return Inferred(ColumnSchema(kind="date", date=order, missing=missing, notes=notes))


# The first that applies decides.
RULES: tuple[Callable[[Column], Inferred | None], ...] = (_plain_numbers, _booleans, _marked_numbers, _dates)


def _text(column: Column, code: str = "", particulars: str = "") -> ColumnSchema:
    """A column of texts, or one that is ignored; the note `code` says why it is none of numbers or dates."""
    present, rows, distinct = column.present, column.rows(column.present), int(column.present.sum())
    numbers = present & ~np.isnan(column.plain)
    if not code and column.all_match(DATE):
        code, particulars = "dates", column.such_as(present)
    elif not code and numbers.any():
        code, particulars = "mixed", column.such_as(present & ~numbers, SHOWN)
    if rows >= FEWEST_ROWS and distinct >= DISTINCT * rows:
        return ColumnSchema(kind="ignored", notes=(ignored(code, particulars, f"{distinct} texts in {rows} rows"),))
    notes = (note(code, particulars),) if code else ()
    if distinct > LARGEST_VOCABULARY:
        notes = (*notes, note("many", str(distinct)))
    absent = column.cells.spelled(np.flatnonzero(~present))
    if "NA" in absent and distinct > 1 and column.all_match("^[A-Z]{2}$"):
        notes = (*notes, note("code", f"beside {column.such_as(present, SHOWN)}"))
    return ColumnSchema(kind="categorical", notes=notes)


def _rounded(numbers: Numbers) -> tuple[str, ...]:
    size = np.abs(numbers)
    large = numbers[(size >= LARGEST_WHOLE) & (size <= FLOAT32_MAX) & (numbers == np.floor(numbers))]
    if len(np.unique(large.astype(np.float32))) == len(np.unique(large)):
        return ()
    lost = large[large != large.astype(np.float32)][0]
    return (note("alike", f"{lost:.0f} becomes {np.float32(lost):.0f}"),)
