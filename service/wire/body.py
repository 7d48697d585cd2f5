"""The bytes of a request: the one body reader of every route."""

import zlib
from collections.abc import Set
from typing import Any

from service.errors import BodyTooLarge, MalformedBody, UnsupportedMedia

# What zlib calls its window: 15 bits; 16 more means gzip's header, 32 more either header.
INFLATE = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


def read_body(environ: dict[str, Any], limit: int, media: Set[str]) -> bytes:
    """Read the whole body from a WSGI environment, unfolded where it is compressed.

    One byte more than `limit` is asked for, because a body sent in chunks does not announce its length. A request
    without a Content-Type is taken for the route's own: some clients of the inference protocol send none.

    :raises BodyTooLarge: the body is longer than `limit` bytes, as sent or unfolded.
    :raises MalformedBody: the body is shorter than its Content-Length says, or not what its encoding says.
    :raises UnsupportedMedia: its type is none of `media`, or its encoding is not one that is read.
    """
    content_type = environ.get("CONTENT_TYPE")
    if content_type and content_type not in media and content_type.partition(";")[0].strip().lower() not in media:
        named = " or ".join(sorted(media))
        raise UnsupportedMedia(f"the body must be {named}: send it with the header Content-Type")
    body = _read(environ, limit)
    encoding = environ.get("HTTP_CONTENT_ENCODING")
    return body if encoding is None else _unfold(body, encoding.strip().lower(), limit)


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


def _unfold(body: bytes, encoding: str, limit: int) -> bytes:
    if encoding in ("", "identity"):
        return body
    if encoding not in INFLATE:
        raise UnsupportedMedia("the body's Content-Encoding must be gzip, deflate or none")
    inflater = zlib.decompressobj(INFLATE[encoding])
    try:
        unfolded = inflater.decompress(body, limit + 1)
    except zlib.error:
        raise MalformedBody(f"the body is not {encoding}, as its Content-Encoding says") from None
    if len(unfolded) > limit:
        raise BodyTooLarge(f"the body unfolds to more than the limit of {limit} bytes")
    if not inflater.eof or inflater.unused_data:
        raise MalformedBody(f"the body is no single, whole {encoding} stream")
    return unfolded
