"""The bytes of a request: the one body reader of every route."""

import zlib
from collections.abc import Iterator, Set
from io import BytesIO
from typing import Any

from service.errors import BodyTooLarge, MalformedBody, UnsupportedMedia
from service.prediction.protocol import Memory

# What zlib calls its window: 15 bits; 16 more means gzip's header.
WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
# Where a WSGI environment has a body that was read already, whole and not longer than it may be.
BODY = "evenkeel.body"
# So much is inflated at once: its memory is counted before the next piece, and other threads have their turn.
PIECE = 1 << 20
WINDOW = 64 << 10
# Of gzip; a file that was compressed in parts has some.
MOST_MEMBERS = 1000


def read_body(environ: dict[str, Any], limit: int, media: Set[str], memory: Memory) -> bytes:
    """Read the whole body from a WSGI environment, inflated where it is compressed.

    One byte more than `limit` is asked for, because a body sent in chunks does not announce its length. A request
    without a Content-Type is taken for the route's own: some clients of the inference protocol send none. Only what a
    compressed body inflates to is counted in `memory`: the bytes as sent were counted as they came.

    :raises BodyTooLarge: the body is longer than `limit` bytes, as sent or inflated.
    :raises MalformedBody: the body is shorter than its Content-Length says, or not what its encoding says.
    :raises Overloaded: there is no memory left to inflate it.
    :raises UnsupportedMedia: its type is none of `media`, or its encoding is not one that is read.
    """
    content_type = environ.get("CONTENT_TYPE")
    if content_type and content_type not in media and content_type.partition(";")[0].strip().lower() not in media:
        named = " or ".join(sorted(media))
        raise UnsupportedMedia(f"the body must be {named}: send it with the header Content-Type")
    body: bytes | None = environ.get(BODY)
    if body is None:
        body = _read(environ, limit)
    elif len(body) > limit:
        raise BodyTooLarge(f"the body is longer than the limit of {limit} bytes")
    encoding = environ.get("HTTP_CONTENT_ENCODING")
    if encoding is None or encoding.lower() in ("", "identity"):
        return body
    inflated = BytesIO()
    for piece in _inflated(body, encoding.lower(), limit, memory):
        inflated.write(piece)
    # What it has grown to, and no copy.
    return inflated.getvalue()


def _read(environ: dict[str, Any], limit: int) -> bytes:
    length = environ.get("CONTENT_LENGTH", "")
    announced = int(length) if length.isascii() and length.isdigit() else None
    if announced is None and not environ.get("wsgi.input_terminated"):
        return b""
    if announced is not None and announced > limit:
        raise BodyTooLarge(f"the body has {announced} bytes; the limit is {limit}")
    body: bytes = environ["wsgi.input"].read(limit + 1 if announced is None else announced)
    if len(body) > limit:
        raise BodyTooLarge(f"the body is longer than the limit of {limit} bytes")
    if announced is not None and len(body) != announced:
        raise MalformedBody(f"the body ended after {len(body)} of {announced} bytes")
    return body


def _inflated(body: bytes, encoding: str, limit: int, memory: Memory) -> Iterator[bytes]:
    """The pieces of a compressed body. Of gzip's members (RFC 1952, section 2.2) there may be several."""
    if encoding not in WINDOWS:
        raise UnsupportedMedia("the body's Content-Encoding must be gzip, deflate or none")
    # In windows: what the inflater leaves of what it was given it copies.
    view, start, left, members = memoryview(body), 0, limit, 0
    while start < len(view) or not members:
        inflater = zlib.decompressobj(WINDOWS[encoding])
        members += 1
        if members > MOST_MEMBERS or (members > 1 and encoding == "deflate"):
            raise MalformedBody(f"behind its {encoding} stream the body has more bytes")
        while not inflater.eof:
            window = view[start : start + WINDOW]
            try:
                piece = inflater.decompress(window, min(PIECE, left + 1))
            except zlib.error:
                raise MalformedBody(f"the body is not {encoding}, as its Content-Encoding says") from None
            left -= len(piece)
            if left < 0:
                raise BodyTooLarge(f"the body inflates to more than the limit of {limit} bytes")
            start += len(window) - len(inflater.unconsumed_tail) - len(inflater.unused_data)
            if not (piece or len(window) or inflater.eof):
                raise MalformedBody(f"the body ends before its {encoding} stream does")
            memory.take(len(piece))
            yield piece
