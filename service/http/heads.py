"""The cache of heads that were read before. Most clients say the same with each request, but for the body; and the same
bytes mean the same, so no head need be read again.
"""

from typing import Any, NamedTuple

from service.errors import ServiceError
from service.http.head import content_length
from service.prediction.body import BODY
from service.routes.table import Match

# Some clients say something new in each head, a trace for one: those are not worth more room than this.
MOST_HEADS = 256
LONGEST_KNOWN_HEAD = 2 << 10
LONGEST_REQUEST = 16 << 10


class Request(NamedTuple):
    """A request that has come whole, or the reason why it is not answered; whether another may follow it; and, of one
    for predictions, its route.
    """

    environ: dict[str, Any]
    body_bytes: int
    keep_alive: bool
    refusal: ServiceError | None = None
    match: Match | None = None


class Heads:
    """Heads by their bytes or, where they may hold API keys, by a keyed digest of them: no key is kept."""

    def __init__(self, secret: bool) -> None:
        self._known: dict[bytes | int, Request] = {}
        self._secret = secret

    def recall(self, data: bytes) -> Request | None:
        """The request in some bytes, where they are all of it, and nothing else, and its head is known."""
        if len(data) > LONGEST_REQUEST:
            return None
        head, end, body = data.partition(b"\r\n\r\n")
        # Without its end, a head that is known may be the beginning of another.
        if not end:
            return None
        known = self._known.get(self._key(head))
        if known is None or known.body_bytes != len(body):
            return None
        return Request({**known.environ, BODY: body}, len(body), True, None, known.match)

    def learn(self, data: bytes, request: Request) -> None:
        """Know the head of a request from now on, if `data` are all of it, and nothing else."""
        head, end, body = data.partition(b"\r\n\r\n")
        # Otherwise the body is in chunks, another request follows, or the head does not end here: were the empty lines
        # that may stand before a head known as one, a client that sends them next would come with another one's key.
        alone = end and head and len(body) == request.body_bytes == content_length(request.environ)
        if alone and "CONTENT_LENGTH" in request.environ and request.keep_alive and len(head) <= LONGEST_KNOWN_HEAD:
            if len(self._known) == MOST_HEADS:
                self._known.clear()
            self._known[self._key(head)] = request._replace(environ=request.environ.copy())

    def _key(self, head: bytes) -> bytes | int:
        # Python's own digest of bytes is SipHash with a random key of the process: a head that is not the same passes
        # for it once in 2 ** 64 tries, and a tenth of the time of a longer digest is a seventieth of a request's.
        return hash(head) if self._secret else head
