"""Drawing by hand: elements of SVG as text, and the ticks of a scale."""

import math
from collections.abc import Iterable, Sequence
from html import escape

from trainer.search.space import Choice, Range

Tick = tuple[float, str]
Point = tuple[float, float]
WANTED_TICKS = 5


def element(tag: str, inside: str = "", **attributes: object) -> str:
    """One element; `cls` is its class, and underscores in names are hyphens."""
    names = {"cls": "class"}
    written = "".join(
        f' {names.get(name, name.replace("_", "-"))}="{escape(_short(value))}"' for name, value in attributes.items()
    )
    return f"<{tag}{written}>{inside}</{tag}>"


def text(content: str, x: float, y: float, cls: str = "", anchor: str = "start") -> str:
    return element("text", escape(content), x=x, y=y, cls=cls, text_anchor=anchor)


def line(x1: float, y1: float, x2: float, y2: float, cls: str) -> str:
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, cls=cls)


def path(points: Iterable[Point], cls: str, title: str = "") -> str:
    """A line through points, with a tooltip."""
    steps = " ".join(f"{'M' if first else 'L'}{_short(x)} {_short(y)}" for first, (x, y) in _with_first(points))
    return element("path", element("title", escape(title)) if title else "", d=steps, cls=cls)


def dot(x: float, y: float, radius: float, cls: str, title: str = "") -> str:
    return element("circle", element("title", escape(title)) if title else "", cx=x, cy=y, r=radius, cls=cls)


def drawing(width: float, height: float, parts: Iterable[str], label: str) -> str:
    """A whole picture, which shrinks with the page."""
    box = f"0 0 {_short(width)} {_short(height)}"
    return element("svg", "".join(parts), viewBox=box, role="img", aria_label=label)


def ticks(axis: Range | Choice) -> list[Tick]:
    """Where a scale is marked, from 0 to 1, and with what."""
    if isinstance(axis, Choice):
        return [(axis.place(option), str(option)) for option in axis.options]
    if axis.low == axis.high:
        return [(0.5, f"{axis.low:g}")]
    match axis.scale:
        case "uniform":
            values = _even(axis.low, axis.high, whole=axis.whole)
        case "log":
            values = _decades(axis.low, axis.high)
        case "one_minus_log":
            values = [round(1 - value, 12) for value in _decades(1 - axis.high, 1 - axis.low)]
    return [(axis.place(value), f"{value:g}") for value in values]


def _even(low: float, high: float, *, whole: bool) -> list[float]:
    rough = (high - low) / WANTED_TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    if whole:
        step = max(1.0, round(step))
    first = math.ceil(low / step - 1e-9)
    return [round(step * number, 12) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _decades(low: float, high: float) -> list[float]:
    """Powers of ten between two ends; 2 and 5 times them too where there are few, even steps where there are none."""
    if high / low < 5:
        return _even(low, high, whole=False)
    low, high = low * (1 - 1e-9), high * (1 + 1e-9)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors: Sequence[int] = (1,) if math.log10(high / low) >= 2 else (1, 2, 5)
    step = max(1, len(powers) // 8)
    values = [factor * 10.0**power for power in powers if power % step == 0 for factor in factors]
    return [value for value in values if low <= value <= high]


def _with_first(points: Iterable[Point]) -> Iterable[tuple[bool, Point]]:
    return ((number == 0, point) for number, point in enumerate(points))


def _short(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)
