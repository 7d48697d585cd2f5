"""The page that every report is: one HTML file without scripts, which asks for nothing else."""

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from html import escape

from models.terminal import printable
from trainer.report.style import STYLE

LONGEST, MOST_LETTERS = 40, 1000


def document(title: str, sections: Iterable[str]) -> str:
    """The whole file. Its own policy lets a browser load nothing and run nothing."""
    style = b64encode(sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{style}'; img-src data:"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<link rel="icon" href="data:,"><title>{escape(title)}</title><style>{STYLE}</style></head>\n'
        f"<body><main><h1>{escape(title)}</h1>\n{''.join(sections)}</main></body></html>\n"
    )


def section(heading: str, explanation: str, *content: str, anchor: str = "") -> str:
    """A heading, a sentence or two of HTML on what is to be seen, and what is."""
    where = f' id="{anchor}"' if anchor else ""
    said = f"<p>{explanation}</p>" if explanation else ""
    return f"<h2{where}>{escape(heading)}</h2>{said}{''.join(_card(heading, one) for one in content if one)}\n"


def _card(heading: str, content: str) -> str:
    # What is wider than a phone is scrolled, by keyboard too.
    scrolled = (
        f' role="group" aria-label="{escape(heading)}" tabindex="0"'
        if "<table" in content or 'wide"' in content
        else ""
    )
    return f'<div class="card"{scrolled}>{content}</div>'


def figure(title: str, picture: str, explanation: str = "") -> str:
    """A picture under a heading of its own."""
    said = f"<p>{explanation}</p>" if explanation else ""
    return f"<div><h3>{escape(title)}</h3>{said}{picture}</div>"


def grid(*figures: str) -> str:
    """Figures side by side where there is room."""
    return f'<div class="grid">{"".join(figures)}</div>' if any(figures) else ""


def facts(values: Mapping[str, str]) -> str:
    """Numbers with what they are."""
    return "<dl>" + "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in values.items()) + "</dl>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, best: int | None = None) -> str:
    """A table of texts whose first column says what the row is; row `best` is marked."""
    first, *others = (escape(one) for one in head)
    columns = f'<th class="left" scope="col">{first}</th>' + "".join(f'<th scope="col">{one}</th>' for one in others)
    lines = []
    for number, (name, *cells) in enumerate(rows):
        marked = ' class="best"' if number == best else ""
        said = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        lines.append(f'<tr{marked}><th scope="row">{escape(name)}</th>{said}</tr>')
    return f"<table><thead><tr>{columns}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def folded(summary: str, content: str) -> str:
    """What is there for who wants it."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>" if content else ""


def quoted(label: str, longest: int = LONGEST) -> str:
    """The name of a class: in quotes where a blank at one of its ends would else not be seen."""
    return brief(label, longest) if label and label == label.strip() else f"“{brief(label, longest)}”"


def brief(text: str, longest: int = LONGEST) -> str:
    """A name of the user's that fits: control characters spelled out, the middle of a long one left out."""
    shown = printable(text, MOST_LETTERS)
    if len(shown) <= longest:
        return shown
    # The end tells apart what begins alike.
    end = (longest - 1) // 2
    return f"{shown[: longest - 1 - end]}…{shown[-end:]}"
