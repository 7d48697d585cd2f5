"""One connection of HTTP/1.1 (RFC 9112): bytes come in, requests go to the gateway, replies go out in their order.

httptools reads the head and the chunks; whatever it lets through and the standard does not is refused here.
"""

import asyncio
import logging
from collections import deque
from io import BytesIO
from math import inf
from typing import Any, cast
from urllib.parse import unquote_to_bytes

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpRequestParser

from service.errors import (
    BodyTimeout,
    BodyTooLarge,
    ExpectationFailed,
    HeadTooLarge,
    InvalidRequest,
    MalformedBody,
    NotReady,
    Overloaded,
    ServiceError,
)
from service.gateway import SHORT_BODY, Gateway
from service.reply import CLOSE, STATUS_LINES, Reply
from service.request import BASE, CHUNKED, LONGEST_REQUEST, Request, content_length

log = logging.getLogger(__name__)

LONGEST_HEAD = 32 << 10
MOST_HEADERS = 100
# A client may be sending what is not read any more, and looks for its answer only then: that long it is let.
LINGER_SECONDS = 2.0

# What WSGI calls the headers of nearly every request.
KEYS = {b"content-type": "CONTENT_TYPE", b"content-length": "CONTENT_LENGTH"} | {
    name.encode(): f"HTTP_{name.upper().replace('-', '_')}"
    for name in (
        *("host", "user-agent", "accept", "accept-encoding", "authorization", "connection", "content-encoding"),
        *("x-api-key", "x-request-id", "traceparent", "inference-header-content-length", "x-forwarded-for"),
    )
}
# What is not said again of a request that has asked for another protocol.
PASSING = ("HTTP_CONNECTION", "HTTP_UPGRADE", "HTTP_EXPECT")
CRLF = "\r\n"


class Connection(asyncio.Protocol):
    """What a client sends, and what it gets."""

    _transport: asyncio.Transport

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._parser = HttpRequestParser(self)
        # When this connection is to end, unless something happens on it.
        self.due = gateway.now + gateway.limits.idle_seconds
        self._waiting: deque[Request] = deque()
        # Of the request that is being read.
        self._environ = BASE
        self._url = b""
        # What the connection was given when nothing of a request had come yet.
        self._piece = b""
        self._chunks: list[bytes] = []
        self._refusal: ServiceError | None = None
        self._head_bytes = self._raw_bytes = self._body_bytes = 0
        self._in_head = self._in_body = False
        # A request is being answered; the client does not read; it sends no more; no more is read.
        self._busy = self._choked = self._half_closed = self._ended = False

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        try:
            self._gateway.enter(self)
        except ServiceError as refusal:
            self._refuse(refusal)

    def connection_lost(self, error: Exception | None) -> None:
        self._ended = True
        self._waiting.clear()
        self._forget()
        self._gateway.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        at_rest = self._environ is BASE
        if at_rest and not (self._busy or self._choked or self._waiting or self._gateway.late):
            known = self._gateway.heads.recall(data)
            if known is not None:
                self._ask(known)
                return
        self._piece = data if at_rest and len(data) <= LONGEST_REQUEST else b""
        self._read(data)

    def eof_received(self) -> bool:
        self._half_closed = True
        if self._in_body:
            self._refuse(MalformedBody(f"the body ended after {self._body_bytes} bytes, before it was whole"))
        return self._busy or bool(self._waiting)

    def pause_writing(self) -> None:
        self._choked = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._choked = False
        self._go_on()

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._in_head = True
        self._environ = BASE.copy()
        self._url = b""

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._head_bytes += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        # A trailer says nothing that the request does not need before its body, and what is too long is refused soon.
        if not self._in_head or self._head_bytes > LONGEST_HEAD:
            return
        self._head_bytes += len(name) + len(value) + 4
        lower = name.lower()
        key = KEYS.get(lower)
        if key is None:
            # An underscore would make it the twin of a header with a dash.
            if b"_" in lower:
                return
            key = f"HTTP_{lower.decode('latin-1').upper().replace('-', '_')}"
        environ, text = self._environ, value.decode("latin-1")
        # A header that is sent twice is joined, and so has no known value.
        environ[key] = f"{environ[key]},{text}" if key in environ else text

    def on_headers_complete(self) -> None:
        if self._ended:
            return
        self._in_head, self._in_body = False, True
        try:
            self._read_head()
            self._gateway.admit(self._environ)
        except (NotReady, Overloaded) as refusal:
            if content_length(self._environ) > SHORT_BODY or CHUNKED in self._environ:
                self._refuse(refusal)
                return
            # Another request may follow; a client that comes back soon need not connect again.
            self._refusal = refusal
        except ServiceError as refusal:
            self._refuse(refusal)
            return
        self.due = self._gateway.now + self._gateway.limits.body_seconds
        if "HTTP_EXPECT" in self._environ and not (self._busy or self._waiting):
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, chunk: bytes) -> None:
        if self._ended:
            return
        self._chunks.append(chunk)
        self._body_bytes += len(chunk)
        self._gateway.held += len(chunk)
        if self._body_bytes > self._gateway.limits.body_bytes:
            self._refuse(BodyTooLarge(f"the body is longer than the limit of {self._gateway.limits.body_bytes} bytes"))

    def on_message_complete(self) -> None:
        if self._ended or self._parser.should_upgrade():
            return
        body = b"".join(self._chunks)
        request = Request(self._environ, len(body), self._parser.should_keep_alive(), self._refusal)
        if self._piece and request.refusal is None:
            self._gateway.heads.learn(self._piece, request, body)
        request.environ["wsgi.input"] = BytesIO(body)
        self._forget()
        self._take(request)

    # What the gateway calls.

    def answered(self, request: Request, reply: Reply) -> None:
        """Send the reply to the request that was asked last."""
        self._busy = False
        self._send(request, reply)
        if self._waiting:
            self._go_on()

    def expire(self) -> None:
        """Its time is up."""
        if self._ended or self._transport.get_write_buffer_size():
            self._transport.abort()
        elif self._in_body:
            self._refuse(BodyTimeout(f"the body did not come within {self._gateway.limits.body_seconds:g} seconds"))
        else:
            self._transport.close()

    def close_if_idle(self) -> None:
        """End it, unless a request is on its way."""
        if not (self._in_head or self._in_body or self._busy or self._waiting):
            self._transport.close()

    # From a request to its reply.

    def _read(self, data: bytes) -> None:
        environ = self._environ
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            # Nothing else is spoken here, but the parser has passed over the body: it reads the request once more.
            self._parser = HttpRequestParser(self)
            self._read(self._without_upgrade() + data[upgrade.args[0] :])
        except HttpParserCallbackError as error:
            log.error("connection failed", exc_info=error.__context__)
            self._transport.abort()
        except HttpParserError as error:
            self._refuse(InvalidRequest(f"this is not HTTP/1.1: {error}"))
        else:
            if environ is self._environ is not BASE:
                self._count(len(data))

    def _count(self, more: int) -> None:
        """Count bytes of one request, all of which the parser may hold: it tells of whole headers and trailers only."""
        self._raw_bytes += more
        limit = self._gateway.limits.body_bytes
        if self._in_head and self._raw_bytes > 2 * LONGEST_HEAD:
            self._refuse(HeadTooLarge(f"a request's head must have at most {LONGEST_HEAD} bytes"))
        elif self._raw_bytes > 2 * (LONGEST_HEAD + limit):
            self._refuse(BodyTooLarge(f"the body's chunks take more than twice the limit of {limit} bytes"))

    def _read_head(self) -> None:
        """Put the first line of the request where WSGI has it, and check what the parser has not.

        :raises ServiceError: it breaks the standard, or is too long.
        """
        environ, url = self._environ, self._url
        if self._head_bytes > LONGEST_HEAD or len(environ) > len(BASE) + MOST_HEADERS:
            raise HeadTooLarge(f"a request's head must have at most {LONGEST_HEAD} bytes and {MOST_HEADERS} headers")
        if not url.isascii():
            raise InvalidRequest("path and query must be ASCII; all else is written with percent signs")
        version = self._parser.get_http_version()
        if version not in ("1.0", "1.1"):
            raise InvalidRequest(f"this is HTTP/{version}; HTTP/1.0 and HTTP/1.1 are spoken here")
        path, _, query = url.partition(b"?")
        if not path.startswith(b"/"):
            # The absolute form names a scheme and a host first.
            _, absolute, rest = path.partition(b"://")
            path = b"/" + rest.partition(b"/")[2] if absolute else path
        if b"%" in path:
            path = unquote_to_bytes(path)
        environ["REQUEST_METHOD"] = method = self._parser.get_method().decode()
        if method == "CONNECT":
            raise InvalidRequest("this is no proxy")
        environ["PATH_INFO"] = path.decode("latin-1")
        environ["QUERY_STRING"] = query.decode()
        environ["SERVER_PROTOCOL"] = f"HTTP/{version}"
        if "HTTP_TRANSFER_ENCODING" in environ or "HTTP_EXPECT" in environ:
            _check_hops(environ)

    def _without_upgrade(self) -> bytes:
        """The head of the request, as if it had not asked for another protocol."""
        environ = self._environ
        lines = [f"{environ['REQUEST_METHOD']} {self._url.decode()} {environ['SERVER_PROTOCOL']}"]
        for key, value in environ.items():
            if key.startswith(("HTTP_", "CONTENT_")) and key not in PASSING:
                lines.append(f"{key.removeprefix('HTTP_').replace('_', '-')}: {value}")
        if CHUNKED in environ:
            lines.append("Transfer-Encoding: chunked")
        return "\r\n".join((*lines, "", "")).encode("latin-1")

    def _take(self, request: Request) -> None:
        """Answer a request now, or in its turn."""
        if self._busy or self._choked or self._waiting:
            self._waiting.append(request)
            self._transport.pause_reading()
        else:
            self._ask(request)

    def _ask(self, request: Request) -> None:
        self._busy, self.due = True, inf
        self._gateway.ask(request, self)

    def _go_on(self) -> None:
        """Let the next one have its turn."""
        if self._waiting and not (self._busy or self._choked):
            self._ask(self._waiting.popleft())
        if not (self._waiting or self._transport.is_closing()):
            self._transport.resume_reading()

    def _send(self, request: Request, reply: Reply) -> None:
        if self._transport.is_closing():
            return
        headers, environ = reply.headers, request.environ
        keep_alive = not (self._half_closed or self._gateway.draining or CLOSE in headers) and request.keep_alive
        lines = [self._gateway.date, *map(": ".join, headers)]
        if not keep_alive and CLOSE not in headers:
            lines.append("Connection: close")
        elif keep_alive and environ["SERVER_PROTOCOL"] == "HTTP/1.0":
            lines.append("Connection: keep-alive")
        start = f"HTTP/1.1 {STATUS_LINES[reply.status]}\r\n{CRLF.join(lines)}\r\n\r\n".encode("latin-1")
        self._transport.write(start if environ["REQUEST_METHOD"] == "HEAD" else start + reply.body)
        self.due = self._gateway.now + self._gateway.limits.idle_seconds
        if not keep_alive:
            self._end(unread=request.refusal is not None)

    def _refuse(self, refusal: ServiceError) -> None:
        """Answer what is not read to its end; nothing can follow it."""
        if not self._ended:
            environ, self._ended = self._environ, True
            self._forget()
            self._take(Request(environ, 0, False, refusal))

    def _end(self, unread: bool) -> None:
        """End the connection once all is sent; at once, a client that is still sending would lose its answer."""
        self._ended = True
        self._waiting.clear()
        if unread and not self._half_closed:
            self._transport.write_eof()
            self.due = self._gateway.now + LINGER_SECONDS
        else:
            self._transport.close()

    def _forget(self) -> None:
        """Make room for the next request."""
        self._gateway.held -= self._body_bytes
        self._environ, self._chunks, self._refusal, self._piece = BASE, [], None, b""
        self._head_bytes = self._raw_bytes = self._body_bytes = 0
        self._in_head = self._in_body = False


def _check_hops(environ: dict[str, Any]) -> None:
    """Check the headers that are about this connection alone.

    :raises ServiceError: they ask for something that is not done here.
    """
    modern = environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    coding = environ.pop("HTTP_TRANSFER_ENCODING", None)
    if coding is not None:
        if coding.lower() != "chunked" or "CONTENT_LENGTH" in environ or not modern:
            raise InvalidRequest("a body comes with a Content-Length or, in HTTP/1.1, in chunks; never with both")
        environ[CHUNKED] = True
    expected = environ.get("HTTP_EXPECT")
    if expected is not None and (expected.lower() != "100-continue" or not modern):
        raise ExpectationFailed("the only expectation that is met is 100-continue")
