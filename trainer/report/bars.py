"""Rows under each other: a name on the left, and a bar, an interval or dots on a common axis."""

from collections.abc import Sequence
from dataclasses import dataclass

from trainer.report.axes import Axis
from trainer.report.page import brief
from trainer.report.svg import drawing, line, mark, rect, text

HEIGHT, TOP, FOOT = 24.0, 6.0, 26.0
LONGEST_NAME = 18


@dataclass(frozen=True)
class Row:
    """A row: its bar ends at `value`, a whisker spans the `interval`, and `said` stands behind it."""

    name: str
    value: float
    said: str = ""
    interval: tuple[float, float] | None = None
    cls: str = "bar"


def bars(rows: Sequence[Row], label: str, *, width: float = 960.0, left: float = 130.0, cls: str = "wide") -> str:
    """A bar a row from zero on; where an interval goes below zero, zero is marked."""
    ends = [end for row in rows for end in (row.value, *(row.interval or ()))]
    high, low = max([*ends, 0.0]), min([*ends, 0.0])
    axis = Axis("uniform", low, high if high > low else low + 1.0)
    room = width - left - 110

    def x(value: float) -> float:
        return left + axis.place(value) * room

    parts = []
    for number, row in enumerate(rows):
        y = TOP + HEIGHT * number
        parts.append(text(brief(row.name, LONGEST_NAME), left - 12, y + 14, "name", "end"))
        start, end = sorted((x(0.0), x(row.value)))
        parts.append(rect(start, y + 2, max(end - start, 1.0), HEIGHT - 8, row.cls, row.name, radius=3.0))
        furthest = end
        if row.interval:
            from_, to = map(x, row.interval)
            furthest = max(end, to)
            middle = y + HEIGHT / 2 - 2
            parts += [line(from_, middle, to, middle, "whisker")]
            parts += [line(at, middle - 4, at, middle + 4, "whisker") for at in (from_, to)]
        parts.append(text(row.said, furthest + 8, y + 14, "small"))
    foot = TOP + HEIGHT * len(rows)
    if low < 0:
        parts.append(line(x(0.0), 2, x(0.0), foot, "axis"))
    return drawing(width, foot + 6, parts, label, cls)


@dataclass(frozen=True)
class Marks:
    """A row of marks, each with its class and its title, over a faint bar of length `under`."""

    name: str
    dots: Sequence[tuple[float, str, str]]
    under: float = 0.0
    interval: tuple[float, float] | None = None
    said: str = ""


def marks(
    rows: Sequence[Marks], axis: Axis, label: str, *, width: float = 460.0, left: float = 150.0, row: float = 21.0
) -> str:
    """Dots on a common axis with its ticks at the foot."""
    foot = TOP + row * len(rows)
    right = max([14.0, *(len(one.said) * 6.4 + 14 for one in rows)])

    def x(value: float) -> float:
        return left + axis.place(min(max(value, axis.low), axis.high)) * (width - left - right)

    parts = []
    for share, said in axis.ticks():
        at = left + share * (width - left - right)
        parts += [line(at, TOP, at, foot, "grid"), text(said, at, foot + 16, "small", "middle")]
    for number, one in enumerate(rows):
        middle = TOP + row * (number + 0.5)
        parts.append(text(brief(one.name, LONGEST_NAME), left - 12, middle + 4, "", "end"))
        if one.under:
            parts.append(rect(left, middle - row / 2 + 2, x(one.under) - left, row - 4, "under"))
        if one.interval:
            parts.append(line(x(one.interval[0]), middle, x(one.interval[1]), middle, "whisker"))
        parts += [mark(x(value), middle, place, cls, title) for place, (value, cls, title) in enumerate(one.dots)]
        if one.said:
            parts.append(text(one.said, width - right + 12, middle + 4, "small"))
    return drawing(width, foot + FOOT, parts, label)
