"""Bars on a terminal: a line each, left and right of one zero, beside what they are of."""

import os
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from models.terminal import printable

# Of a line; narrower terminals wrap.
WIDTH = 80
# The longest cell of a column of texts, and the fewest cells of the bars.
LONGEST, SHORTEST_BAR = 20, 10
GREEN, RED, PLAIN = "\x1b[32m", "\x1b[31m", "\x1b[0m"


class Bar(NamedTuple):
    """A bar as long as its value; before it stand texts, and the value itself in words."""

    texts: Sequence[str]
    number: str
    value: float


def bars(header: Sequence[str], rows: Sequence[Bar]) -> Iterator[str]:
    """Lines of at most `WIDTH` cells, for at least one bar; coloured where stdout is a terminal. The last word of the
    header stands above the numbers.
    """
    *above, last = header
    columns = [[_cut(text) for text in column] for column in zip(above, *(row.texts for row in rows), strict=True)]
    widths = [max(map(_cells, column)) for column in columns]
    number = max(len(last), *(len(row.number) for row in rows))
    room = max(SHORTEST_BAR, WIDTH - number - 4 - sum(width + 2 for width in widths))
    low, high = min(0.0, *(row.value for row in rows)), max(0.0, *(row.value for row in rows))
    scale = room / ((high - low) or 1.0)
    zero = round(-low * scale)
    for at, row in enumerate([Bar(above, last, 0.0), *rows]):
        texts = (column[at] + " " * (width - _cells(column[at])) for column, width in zip(columns, widths, strict=True))
        yield f"  {'  '.join(texts)}  {row.number:>{number}}  {_bar(row.value, scale, zero, room - zero)}".rstrip()


def _bar(value: float, scale: float, left: int, right: int) -> str:
    """A bar from the zero on, to half a cell, with so many cells on either side."""
    whole, half, left_half = ("█", "▌", "▐") if _can_show("█▌▐") else ("#", "", "")
    length, more = divmod(min(round(2 * abs(value) * scale), 2 * (left if value < 0 else right)), 2)
    if value < 0:
        shown = left_half * more + whole * length
        return " " * (left - len(shown)) + _coloured(shown, RED)
    return " " * left + _coloured(whole * length + half * more, GREEN)


def _coloured(text: str, colour: str) -> str:
    shown = text and sys.stdout.isatty() and "NO_COLOR" not in os.environ
    return f"{colour}{text}{PLAIN}" if shown else text


def _can_show(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _cells(text: str) -> int:
    """How many cells a terminal gives to a text."""
    wide = sum(unicodedata.east_asian_width(one) in "WF" for one in text)
    return len(text) + wide - sum(bool(unicodedata.combining(one)) for one in text)


def _cut(text: str) -> str:
    """A text in no more cells than a column has."""
    shown = printable(text, LONGEST)
    while _cells(shown) > LONGEST:
        shown = shown[:-2] + "…"
    return shown
