"""A model, its card and the web page as one HTML file, which loads nothing and sends nothing."""

import json
import zlib
from base64 import b64encode
from hashlib import sha256
from html import escape
from importlib.resources import files
from importlib.resources.abc import Traversable
from string import Template

from evenkeel.inlined import inlined
from models.card import ModelCard

ENTRY, STYLES, ICON, SHELL = "file.js", ("page.css", "file.css"), "icon.svg", "file.html"


def one_file(card: ModelCard, version: int, onnx: bytes) -> bytes:
    """The page of a model. Of all scripts and styles, it allows its own alone, by their digests."""
    static = files("service") / "static"
    script = inlined(_modules(static), ENTRY)
    style = "".join((static / name).read_text("utf-8") for name in STYLES)
    described = json.dumps({"version": version, "card": card.model_dump(mode="json")}).encode()
    held = len(described).to_bytes(4, "big") + described + onnx
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    page = Template((files("service") / "templates" / SHELL).read_text("utf-8")).substitute(
        policy=policy,
        name=escape(card.name),
        icon="data:image/svg+xml;base64," + b64encode((static / ICON).read_bytes()).decode(),
        style=style,
        digest=sha256(held).hexdigest(),
        model=b64encode(_deflated(held)).decode(),
        script=script,
    )
    return page.encode()


def _modules(static: Traversable) -> dict[str, str]:
    return {file.name: file.read_text("utf-8") for file in static.iterdir() if file.name.endswith(".js")}


def _deflated(data: bytes) -> bytes:
    """Raw deflate (RFC 1951), which browsers undo by themselves."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


def _digest(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"
