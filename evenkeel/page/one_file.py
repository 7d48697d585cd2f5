"""A model, its card and the web page as one HTML file, which loads nothing and sends nothing.

Style, script, card and model stand in it packed, behind a short script that unpacks them: so it is small enough for a
mail.
"""

import json
import zlib
from base64 import b64encode, b85encode
from hashlib import sha256
from html import escape
from importlib.resources import files
from importlib.resources.abc import Traversable
from string import Template
from typing import Any

from evenkeel.page.inlined import inlined
from models.card import ModelCard

SHELL, ICON = "file.html", "icon.svg"
# What is there at once, and what is packed.
OPENING, OPENING_STYLE = "opening.js", "file.css"
ENTRY, STYLE = "file.js", "page.css"
# The bytes of 32-bit numbers that stand in the same place are alike.
WIDTH = 4
# Of a unit's frozen statistics, which the model itself holds in full.
DIGITS = 4


def one_file(card: ModelCard, version: int, onnx: bytes) -> bytes:
    """The page of a model. It allows no script and no style but its own, by their digests."""
    static = files("service") / "static"
    modules = {file.name: file.read_text("utf-8") for file in static.iterdir() if file.name.endswith(".js")}
    opening, script = inlined(modules, OPENING), inlined(modules, ENTRY)
    opening_style, style = (_text(static, name) for name in (OPENING_STYLE, STYLE))
    described = json.dumps({"version": version, "card": _shortened(card)})
    held = b"".join(len(text.encode()).to_bytes(4, "big") + text.encode() for text in (style, script, described))
    held += b"".join(onnx[place::WIDTH] for place in range(WIDTH))
    page = Template(_text(files("service") / "templates", SHELL)).substitute(
        policy=f"default-src 'none'; script-src {_digests(opening, script)}; style-src "
        f"{_digests(opening_style, style)}; img-src data:; base-uri 'none'; form-action 'none'",
        name=escape(card.name),
        icon="data:image/svg+xml;base64," + b64encode((static / ICON).read_bytes()).decode(),
        style=opening_style,
        digest=sha256(held).hexdigest(),
        packed=encoded(deflated(held)),
        script=opening,
    )
    return page.encode()


def _shortened(card: ModelCard) -> dict[str, Any]:
    document = card.model_dump(mode="json")
    for network in document["frozen_statistics"]:
        for layer in network["layers"]:
            for moments in layer.values():
                moments |= {name: [float(f"{one:.{DIGITS}g}") for one in ones] for name, ones in moments.items()}
    return document


def deflated(data: bytes) -> bytes:
    """Raw deflate (RFC 1951), which browsers undo by themselves."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


def encoded(data: bytes) -> str:
    """Base85 with one letter for another, in which HTML finds nothing, behind the number of bytes that fill it up."""
    filled = -(1 + len(data)) % 4
    return b85encode(bytes([filled]) + data + bytes(filled)).decode().replace("<", ",")


def _text(folder: Traversable, name: str) -> str:
    return (folder / name).read_text("utf-8")


def _digests(*texts: str) -> str:
    return " ".join(f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" for text in texts)
