"""The column that divides a table: by the part it names, by groups that stay together, or by time."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from models.cells import Order, Reading
from trainer.data.columns import NumberCells, TextCells
from trainer.data.decoded import Decoded
from trainer.data.wording import refusal

By = Literal["part", "group", "time"]
PARTS = ("train", "validation", "test", "coverage")
ORDERS: tuple[Order, ...] = ("ymd", "dmy", "mdy")


@dataclass(frozen=True, eq=False)
class Division:
    """What one column says of each of n rows: the position of its part in `PARTS`, its group's number, or its time."""

    by: By
    column: str
    values: npt.NDArray[Any]

    def take(self, rows: npt.NDArray[np.int64]) -> "Division":
        return Division(self.by, self.column, self.values[rows])


FLAGS = {"part": "--split-by", "group": "--group", "time": "--time"}


def read_division(decoded: Decoded, by: By, column: str, missing: Sequence[str], *, lasting: bool = False) -> Division:
    """Read the column that divides a table. `lasting` numbers of groups depend on their names alone.

    :raises InvalidTable: a cell of it is missing, or is no part or no time; the sentence names the line.
    """
    cells = decoded.cells(column)

    def refuse_first(which: npt.NDArray[np.bool_], rule: str) -> None:
        if which.any():
            place = decoded.place(cells.first_row(int(np.argmax(which))))
            raise refusal("no_part", place=place, name=column, rule=rule, flag=FLAGS[by])

    if isinstance(cells, NumberCells):
        if by == "time":
            numbers = cells.numbers(Reading(missing=tuple(missing)))
            refuse_first(np.isnan(numbers), "a time is missing")
            refuse_first(np.isinf(numbers), "a time is infinite")
            return Division(by, column, numbers)
        cells = cells.as_texts()
    # The code of a row of which the file says that nothing is there comes after those of the texts.
    refuse_first(np.append(cells.missing(missing), cells.counts()[-1] > 0), f"a {by} is missing")
    if by == "group":
        meaning: npt.NDArray[Any] = (
            _numbered(cells.spelled(np.arange(len(cells)))) if lasting else np.arange(len(cells))
        )
    else:
        meaning = (_parts if by == "part" else _times)(cells, refuse_first)
    values = np.empty(decoded.rows, meaning.dtype)
    cells.spread(meaning, meaning.dtype.type(-1), values)
    return Division(by, column, values)


def _numbered(names: Sequence[str]) -> npt.NDArray[np.int64]:
    """A number of 63 bits for each name; two have the same one with a chance of 2⁻⁶³."""
    digests = (hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names)
    return np.array([int.from_bytes(digest) >> 1 for digest in digests], np.int64)


Refuse = Callable[[npt.NDArray[np.bool_], str], None]


def _parts(cells: TextCells, refuse_first: Refuse) -> npt.NDArray[np.int64]:
    spelled = cells.spelled(np.arange(len(cells)))
    positions = [PARTS.index(text.strip().lower()) if text.strip().lower() in PARTS else -1 for text in spelled]
    unknown = np.array([position < 0 for position in positions])
    refuse_first(unknown, f"'{spelled[int(np.argmax(unknown))]}' is none of train, validation and test, nor coverage")
    return np.array(positions)


def _times(cells: TextCells, refuse_first: Refuse) -> npt.NDArray[np.float64]:
    """Numbers, else ISO 8601 dates, else dates whose day comes first, or whose month does."""
    everything = np.ones(len(cells), np.bool_)
    numbers = cells.numbers(everything, Reading())
    if not np.isnan(numbers).any():
        refuse_first(np.isinf(numbers), "a time is infinite")
        return numbers
    read = [cells.days(everything, Reading(date=order)) for order in ORDERS]
    times = min(read, key=lambda days: np.isnan(days).sum())
    rivals = [days for days in read if not np.isnan(days).any() and not np.array_equal(days, times)]
    if rivals:
        text = cells.spelled(np.flatnonzero(rivals[0] != times)[:1])[0]
        refuse_first(rivals[0] != times, f"'{text}' is a date of which two readings fit; write 2026-01-31")
    no_time = np.isnan(times)
    for wrong, rule in (
        (no_time & np.isnan(numbers), "is neither a number nor a date such as 2026-01-31"),
        (no_time, "is a number among dates"),
    ):
        text = cells.spelled(np.array([int(np.argmax(wrong))]))[0]
        refuse_first(wrong, f"'{text}' {rule}")
    return times
