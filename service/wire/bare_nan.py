"""JSON as Python's own encoder writes it by default, and with it MLflow's client: with NaN, which JSON has not."""

import re
from collections.abc import Iterator

NAN, NULL, QUOTE, BACKSLASH = b"NaN", b"null", b'"', b"\\"
# So much is looked at in one piece.
WINDOW = 256 << 10
# After it, neither an escape nor a NaN is cut in two.
_END = re.compile(rb"[^\\Na]")


def as_null(body: bytes, window: int = WINDOW) -> bytes:
    """The body with null for each NaN that stands outside of a text."""
    return b"".join(_pieces(body, window)) if NAN in body else body


def _pieces(body: bytes, size: int) -> Iterator[bytes]:
    start, inside = 0, False
    while start < len(body):
        match = _END.search(body, start + size)
        end = match.end() if match else len(body)
        window = body[start:end]
        # In the same places, a quote that ends no text is none.
        plain = window
        if BACKSLASH in window:
            plain = window.replace(BACKSLASH * 2, b"__").replace(BACKSLASH + QUOTE, b"__")
        quotes, nans = plain.count(QUOTE), window.count(NAN)
        if not nans:
            yield window
        elif quotes < nans:
            yield _between_quotes(window, plain, inside)
        else:
            yield _between_nans(window, plain, inside)
        inside ^= quotes % 2 == 1
        start = end


def _between_quotes(window: bytes, plain: bytes, inside: bool) -> bytes:
    at, parts = 0, list[bytes]()
    for number, part in enumerate(plain.split(QUOTE)):
        own = window[at : at + len(part)]
        parts.append(own if inside ^ (number % 2 == 1) else own.replace(NAN, NULL))
        at += len(part) + 1
    return QUOTE.join(parts)


def _between_nans(window: bytes, plain: bytes, inside: bool) -> bytes:
    """The same, quicker where there are more quotes than NaN, as there may be sixteen million of them."""
    at, parts = 0, list[bytes]()
    while (found := window.find(NAN, at)) >= 0:
        inside ^= plain.count(QUOTE, at, found) % 2 == 1
        parts += window[at:found], NAN if inside else NULL
        at = found + len(NAN)
    parts.append(window[at:])
    return b"".join(parts)
