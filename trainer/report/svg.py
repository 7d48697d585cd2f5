"""Drawing by hand: elements of SVG as text.

matplotlib's SVG was drawn beside these and lost. Its colours are fixed, where these follow the reader's light or dark
by one variable of CSS; its texts are outlines or a font that it measured itself, where these are the page's own and can
be searched and read aloud; nothing in it has a title under the pointer. docs/report.md has the numbers.
"""

from collections.abc import Iterable
from html import escape

Point = tuple[float, float]

SIGNS = "●■◆▲"
SHAPES: tuple[tuple[Point, ...], ...] = (
    (),
    ((-0.8, -0.8), (0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)),
    ((0.0, -1.15), (1.15, 0.0), (0.0, 1.15), (-1.15, 0.0)),
    ((0.0, -1.1), (1.05, 0.8), (-1.05, 0.8)),
)


def sign(number: int) -> str:
    """A mark as a letter, for a key."""
    return SIGNS[number % len(SIGNS)]


def element(tag: str, inside: str = "", **attributes: object) -> str:
    """One element; `cls` is its class, and underscores in names are hyphens. An empty attribute is left out."""
    names = {"cls": "class"}
    written = "".join(
        f' {names.get(name, name.replace("_", "-"))}="{escape(short(value))}"'
        for name, value in attributes.items()
        if value != ""
    )
    return f"<{tag}{written}>{inside}</{tag}>"


def text(content: str, x: float, y: float, cls: str = "", anchor: str = "start", **attributes: object) -> str:
    return element(
        "text", escape(content), x=x, y=y, cls=cls, text_anchor="" if anchor == "start" else anchor, **attributes
    )


def line(x1: float, y1: float, x2: float, y2: float, cls: str) -> str:
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, cls=cls)


def path(points: Iterable[Point], cls: str, title: str = "", *, closed: bool = False) -> str:
    """A line through points, with a tooltip."""
    steps = " ".join(f"{'L' if number else 'M'}{short(x)} {short(y)}" for number, (x, y) in enumerate(points))
    return element("path", _tooltip(title), d=f"{steps}Z" if closed else steps, cls=cls)


def dot(x: float, y: float, radius: float, cls: str, title: str = "") -> str:
    return element("circle", _tooltip(title), cx=x, cy=y, r=radius, cls=cls)


def mark(x: float, y: float, number: int, cls: str, title: str = "", size: float = 5.0) -> str:
    """A dot, a square, a diamond or a triangle, by number: what is told apart by colour is told apart by shape too."""
    corners = SHAPES[number % len(SHAPES)]
    if not corners:
        return dot(x, y, size * 0.9, cls, title)
    return path(((x + size * across, y + size * down) for across, down in corners), cls, title, closed=True)


def rect(
    x: float, y: float, width: float, height: float, cls: str, title: str = "", radius: float = 0.0, **others: object
) -> str:
    rounded = {"rx": radius} if radius else {}
    return element("rect", _tooltip(title), x=x, y=y, width=width, height=height, cls=cls, **rounded, **others)


def drawing(width: float, height: float, parts: Iterable[str], label: str, cls: str = "") -> str:
    """A whole picture, which shrinks with the page; `label` is what it is to somebody who does not see it."""
    box = f"0 0 {short(width)} {short(height)}"
    return element(
        "svg", "".join(parts), viewBox=box, role="img", aria_label=label, cls=cls, width=width if "own" in cls else ""
    )


def short(value: object) -> str:
    """A number with one decimal at most."""
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def _tooltip(title: str) -> str:
    return element("title", escape(title)) if title else ""
