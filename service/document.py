"""JSON on the wire. The only module that knows orjson.

Strict: UTF-8 without a byte order mark, no NaN or Infinity, no number beyond a 64-bit float, no lone surrogate. Where a
key is given twice, the last one counts.
"""

from typing import Any

import orjson

from service.errors import MalformedBody

JSON = "application/json"


def decode(body: bytes) -> Any:
    """Read a document.

    :raises MalformedBody: it is not JSON.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedBody(f"the body is not JSON: {error}") from None


def encode(document: object) -> bytes:
    """Write a document; arrays of 32-bit floats come out in the shortest digits that read back as the same floats."""
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
