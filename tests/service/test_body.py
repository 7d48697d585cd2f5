"""The body reader's memory: a body takes its room once, as it is sent and as it is inflated."""

import gzip
import tracemalloc
from io import BytesIO

import pytest

from service.prediction.body import PIECE, read_body
from service.prediction.prediction import UNBOUNDED

SIZE = 16 << 20
JSON = frozenset({"application/json"})


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_a_body_takes_its_room_once(encoding: str) -> None:
    """And a piece, and an eighth, by which it may have grown too far."""
    text = bytes(SIZE)
    sent = gzip.compress(text, 1) if encoding else text
    environ = {"CONTENT_LENGTH": str(len(sent)), "HTTP_CONTENT_ENCODING": encoding, "wsgi.input": BytesIO(sent)}
    tracemalloc.start()
    try:
        body = read_body(environ, SIZE, JSON, UNBOUNDED)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert body == text
    assert peak <= (SIZE + SIZE // 8 if encoding else 0) + 2 * PIECE
