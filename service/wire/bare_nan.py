"""JSON as Python's own encoder writes it by default, and with it MLflow's client: with NaN, which JSON has not."""

import re
from collections.abc import Iterator

NAN, NULL, QUOTE, BACKSLASH = b"NaN", b"null", b'"', b"\\"
# So much is looked at in one piece.
WINDOW = 256 << 10
_ESCAPED = re.compile(rb"\\.", re.DOTALL)


def as_null(body: bytes, window: int = WINDOW) -> bytes:
    """The body with null for each NaN that stands outside of a text."""
    return b"".join(_pieces(body, window)) if NAN in body else body


def _pieces(body: bytes, size: int) -> Iterator[bytes]:
    start, inside = 0, False
    while start < len(body):
        # No NaN has a comma in it, and no escape that JSON knows.
        end = body.find(b",", start + size) + 1 or len(body)
        window = body[start:end]
        # In the same places, a quote that ends no text is none.
        plain = _ESCAPED.sub(b"__", window) if BACKSLASH in window else window
        if NAN in window:
            parts, at = [], 0
            for number, part in enumerate(plain.split(QUOTE)):
                own = window[at : at + len(part)]
                parts.append(own if inside ^ (number % 2 == 1) else own.replace(NAN, NULL))
                at += len(part) + 1
            yield QUOTE.join(parts)
        else:
            yield window
        inside ^= plain.count(QUOTE) % 2 == 1
        start = end
