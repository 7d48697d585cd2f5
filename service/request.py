"""A request as a connection has read it, in the words of WSGI (PEP 3333); and heads that are known from before."""

import sys
from collections.abc import Mapping
from io import BytesIO
from typing import Any, NamedTuple

from service.errors import ServiceError

# What says, in WSGI's words, that a body comes in chunks: how long it will be, nobody knows.
CHUNKED = "wsgi.input_terminated"
# What every request has in its WSGI environment, also one whose head could not be read.
BASE: dict[str, Any] = {
    "REQUEST_METHOD": "",
    "SCRIPT_NAME": "",
    "PATH_INFO": "",
    "QUERY_STRING": "",
    "SERVER_NAME": "evenkeel",
    "SERVER_PORT": "",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
}

# Some clients say something new in each head, a trace for one: those are not worth more room than this.
MOST_HEADS = 256
LONGEST_KNOWN_HEAD = 2 << 10
LONGEST_REQUEST = 16 << 10


class Request(NamedTuple):
    """A request that has come whole, or the reason why it is not answered; and whether another may follow it."""

    environ: dict[str, Any]
    body_bytes: int
    keep_alive: bool
    refusal: ServiceError | None = None


class Heads:
    """What heads have said. Most clients say the same with each request, but for the body; and the same bytes mean the
    same, so nobody need read them again.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, Request] = {}

    def recall(self, data: bytes) -> Request | None:
        """The request in some bytes, where they are all of it, and nothing else, and its head is known."""
        if len(data) > LONGEST_REQUEST:
            return None
        head, _, body = data.partition(b"\r\n\r\n")
        known = self._known.get(head)
        if known is None or known.body_bytes != len(body):
            return None
        return Request({**known.environ, "wsgi.input": BytesIO(body)}, len(body), keep_alive=True)

    def learn(self, data: bytes, request: Request, body: bytes) -> None:
        """Know the head of a request from now on, if `data` are all of it, and nothing else."""
        head, _, rest = data.partition(b"\r\n\r\n")
        # Otherwise the body is in chunks, another request follows, or the head does not end here: were the empty lines
        # that may stand before a head known as one, whoever sends them next would come with somebody else's key.
        alone = rest == body and "CONTENT_LENGTH" in request.environ
        if alone and request.keep_alive and len(head) <= LONGEST_KNOWN_HEAD:
            if len(self._known) == MOST_HEADS:
                self._known.clear()
            self._known[head] = request._replace(environ=request.environ.copy())


def content_length(environ: Mapping[str, Any]) -> int:
    """How many bytes of body a head announces; 0 also where the body comes in chunks."""
    return int(environ.get("CONTENT_LENGTH", 0))
