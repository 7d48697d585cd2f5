"""Reading a request's body, and writing a JSON answer: the one reader and the one encoder of every route."""

from typing import Any

import orjson

from service.errors import BodyTooLarge, MalformedBody, UnsupportedMedia

JSON = "application/json"


def read_body(environ: dict[str, Any], limit: int) -> bytes:
    """Read the whole body of a JSON request from its WSGI environment.

    One byte more than `limit` is asked for, because a body sent in chunks does not announce its length. A request
    without a Content-Type is read as JSON: some clients of the inference protocol send none.

    :raises BodyTooLarge: the body is longer than `limit` bytes.
    :raises MalformedBody: the body is shorter than its Content-Length says.
    :raises UnsupportedMedia: the body is declared as something else than plain JSON.
    """
    content_type = environ.get("CONTENT_TYPE", "")
    if content_type and content_type.partition(";")[0].strip().lower() != JSON:
        raise UnsupportedMedia(f"the body must be JSON: send it with the header Content-Type: {JSON}")
    if environ.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
        raise UnsupportedMedia("the body must be sent without a Content-Encoding")
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


def encode(document: object) -> bytes:
    """Write an answer as JSON."""
    return orjson.dumps(document)
