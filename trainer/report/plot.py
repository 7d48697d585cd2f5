"""One plot: two axes with a grid, and lines, bands, bars and dots between them."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Self

from trainer.report.axes import Axis, Tick
from trainer.report.svg import Point, dot, drawing, line, mark, path, rect, text

LEFT, RIGHT, TOP, BOTTOM = 50.0, 14.0, 14.0, 40.0
LETTER = 6.2


class Plot:
    """Parts are drawn in the order in which they are added; `label` says what is seen to somebody who does not see it.

    `right` is the room for what stands at the ends of lines. Where `marks` are given, x is marked so.
    """

    def __init__(
        self,
        x: Axis,
        y: Axis,
        label: str,
        *,
        width: float = 460.0,
        height: float = 270.0,
        right: float = RIGHT,
        bottom: float = BOTTOM,
        x_title: str = "",
        y_title: str = "",
        marks: Sequence[Tick] | None = None,
    ) -> None:
        self.label, self.width, self.height = label, width, height
        self._x, self._y = x, y
        self._ends = (LEFT, width - right, TOP + (12.0 if y_title else 0.0), height - bottom)
        left, end, top, foot = self._ends
        self.parts: list[str] = []
        for share, said in y.ticks():
            at = foot - share * (foot - top)
            self.parts += [line(left, at, end, at, "grid"), text(said, left - 7, at + 4, "small", "end")]
        for share, said in x.ticks() if marks is None else marks:
            self.parts.append(text(said, left + share * (end - left), foot + 17, "small", "middle"))
        self.parts.append(line(left, foot, end, foot, "axis"))
        if y_title:
            self.parts.append(text(y_title, 4, 14, "small"))
        if x_title:
            self.parts.append(text(x_title, end, foot + 33, "small", "end"))

    def place(self, x: float, y: float) -> Point:
        """Where a point lies in the picture; what lies beyond an axis is drawn at its end."""
        left, end, top, foot = self._ends
        across, up = (axis.place(min(max(value, axis.low), axis.high)) for axis, value in ((self._x, x), (self._y, y)))
        return left + across * (end - left), foot - up * (foot - top)

    def line(self, points: Iterable[Point], cls: str, title: str = "") -> Self:
        self.parts.append(path((self.place(*point) for point in points), cls, title))
        return self

    def band(self, low: Sequence[Point], high: Sequence[Point], cls: str) -> Self:
        """What lies between two lines."""
        self.parts.append(path((self.place(*point) for point in [*low, *reversed(high)]), cls, closed=True))
        return self

    def dots(self, points: Iterable[Point], radius: float, cls: str, titles: Iterable[str] = ()) -> Self:
        said = iter(titles)
        self.parts += [dot(*self.place(*point), radius, cls, next(said, "")) for point in points]
        return self

    def marks(self, points: Iterable[Point], number: int, cls: str, size: float = 4.0) -> Self:
        """Dots, or what stands for them in a series of this number."""
        self.parts += [mark(*self.place(*point), number, cls, size=size) for point in points]
        return self

    def upright(self, x: float, cls: str, said: str = "") -> Self:
        """A line from top to foot, with words beside it."""
        _, end, top, foot = self._ends
        at, _ = self.place(x, self._y.low)
        self.parts.append(line(at, top, at, foot, cls))
        if said:
            after = at + 5 + len(said) * LETTER < end
            self.parts.append(text(said, at + (5 if after else -5), top + 10, "small halo", "" if after else "end"))
        return self

    def bars(self, edges: Sequence[float], heights: Sequence[float], cls: str, titles: Sequence[str] = ()) -> Self:
        """Bars between neighbouring edges, from the foot up."""
        foot = self._ends[3]
        for number, ((start, stop), height) in enumerate(zip(pairwise(edges), heights, strict=True)):
            (left, top), (right, _) = self.place(start, height), self.place(stop, height)
            if foot - top > 0:
                title = titles[number] if titles else ""
                self.parts.append(rect(left + 0.5, top, max(right - left - 1, 0.8), foot - top, cls, title))
        return self

    def note(self, x: float, y: float, said: str, cls: str = "small halo", anchor: str = "start") -> Self:
        """Words at a point."""
        across, up = self.place(x, y)
        self.parts.append(text(said, across, up, cls, anchor))
        return self

    def corner(self, said: str, place: int, cls: str = "halo") -> Self:
        """Words in the upper left corner, under those of lower `place`: a line of the key."""
        left, _, top, _ = self._ends
        self.parts.append(text(said, left + 10, top + 14 + 16 * place, cls))
        return self

    def names(self, ends: Sequence[tuple[Point, str, str]]) -> Self:
        """Words behind the ends of lines (point, words, class), moved apart where they would touch."""
        placed = sorted(((*self.place(*point), said, cls) for point, said, cls in ends), key=lambda one: one[1])
        above = -20.0
        heights = []
        for _, y, _, _ in placed:
            above = max(y, above + 13)
            heights.append(above)
        lift = max(0.0, heights[-1] - self._ends[3]) if heights else 0.0
        for (x, _, said, cls), y in zip(placed, heights, strict=True):
            self.parts.append(text(said, x + 6, y - lift + 4, f"small {cls}"))
        return self

    def drawing(self, cls: str = "") -> str:
        """The picture."""
        return drawing(self.width, self.height, self.parts, self.label, cls)
