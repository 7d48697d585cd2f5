"""The column that divides a table: by the part it names, by groups that stay together, or by time."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from trainer.data.columns import File, NumberCells, TextCells
from trainer.errors import InvalidTable

By = Literal["part", "group", "time"]
PARTS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Division:
    """What one column says of each of n rows: the position of its part in `PARTS`, its group's number, or its time."""

    by: By
    column: str
    values: npt.NDArray[Any]

    def take(self, rows: npt.NDArray[np.int64]) -> "Division":
        return Division(self.by, self.column, self.values[rows])


def read_division(file: File, by: By, column: str, missing: tuple[str, ...]) -> Division:
    """Read the column that divides a table.

    :raises InvalidTable: a cell of it is missing, or is no part or no time; the sentence names the line.
    """
    cells = file.look(column)
    if isinstance(cells, NumberCells):
        if by == "time":
            numbers = cells.numbers()
            _refuse_first(file, cells, column, np.isnan(numbers), "a time is missing")
            return Division(by, column, numbers)
        cells = cells.as_texts()
    absent = cells.are(missing)
    _refuse_first(file, cells, column, absent, f"a {by} is missing")
    match by:
        case "part":
            meaning: npt.NDArray[Any] = _parts(file, cells, column)
        case "group":
            meaning = np.arange(len(cells))
        case "time":
            meaning = _times(file, cells, column)
    values = np.empty(len(file), meaning.dtype)
    cells.spread(meaning, meaning.dtype.type(-1), values)
    if cells.has_nothing():
        raise InvalidTable(f"{file.path}, column '{column}': a {by} is missing")
    return Division(by, column, values)


def _refuse_first(
    file: File, cells: TextCells | NumberCells, column: str, which: npt.NDArray[np.bool_], rule: str
) -> None:
    if which.any():
        place = file.place(cells.first_row(int(np.argmax(which))))
        raise InvalidTable(f"{place}, column '{column}': {rule}")


def _parts(file: File, cells: TextCells, column: str) -> npt.NDArray[np.int64]:
    spelled = cells.spelled(np.arange(len(cells)))
    positions = [PARTS.index(text.strip().lower()) if text.strip().lower() in PARTS else -1 for text in spelled]
    unknown = np.array([position < 0 for position in positions])
    text = spelled[int(np.argmax(unknown))]
    _refuse_first(file, cells, column, unknown, f"'{text}' is none of train, validation and test")
    return np.array(positions)


def _times(file: File, cells: TextCells, column: str) -> npt.NDArray[np.float64]:
    everything = np.ones(len(cells), np.bool_)
    numbers = cells.numbers(everything)
    if not np.isnan(numbers).any():
        return numbers
    times = np.array([_seconds(text) for text in cells.spelled(np.arange(len(cells)))])
    no_time = np.isnan(times)
    for wrong, rule in (
        (no_time & np.isnan(numbers), "is neither a number nor a date such as 2026-01-31"),
        (no_time, "is a number among dates"),
    ):
        text = cells.spelled(np.array([int(np.argmax(wrong))]))[0]
        _refuse_first(file, cells, column, wrong, f"'{text}' {rule}")
    return times


def _seconds(text: str) -> float:
    """Seconds since 1970 of an ISO 8601 date, in UTC where it says no zone; NaN for any other text."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return float("nan")
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
