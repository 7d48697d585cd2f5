"""One connection of HTTP/1.1 (RFC 9112): bytes become requests, one after the other, and replies go out in their order.

A request is read once the one before it was answered: what a client sends ahead waits as bytes, and soon in its own
socket, so that however many requests one read holds, others have their turn between them.
"""

import asyncio
import logging
import re
from collections.abc import Callable
from io import BytesIO
from math import inf
from typing import Any, Protocol, cast

from service.access import hide_key
from service.errors import (
    BodyTimeout,
    HeadTooLarge,
    InvalidRequest,
    MalformedBody,
    NotReady,
    Overloaded,
    ServiceError,
)
from service.http.admission import SHORT_BODY, Admission, Reservation
from service.http.chunks import Chunks
from service.http.head import BASE, CHUNKED, LONGEST_HEAD, content_length, read_head
from service.http.heads import Heads, Request
from service.prediction.body import BODY
from service.reply import CLOSE, STATUS_LINES, Reply, worded
from service.routes.table import prediction

log = logging.getLogger(__name__)

# So much of what a client sends ahead is taken in before no more is read.
AHEAD = 64 << 10
# What a connection costs anyway; more than that of a head that is not whole is counted.
FREE = 2 << 10
# A refused body of at most so many bytes is passed over, so that the client need not connect again.
PASSED_OVER = 256 << 10
# A client may still be sending what is not read any more, and look for its answer only then: so long it may.
LINGER_SECONDS = 2.0
END = b"\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# A line that ends without a carriage return, or a first byte that begins no method.
_NO_HEAD = re.compile(rb"(?<!\r)\n|\A[^A-Za-z\r]")


class Dispatch(Protocol):
    """What answers requests, as a connection knows it."""

    admission: Admission
    heads: Heads
    now: float
    date: str

    def ask(self, request: Request, client: "Connection", memory: Reservation) -> None: ...

    def soon(self, call: Callable[[], None]) -> None: ...


class Connection(asyncio.Protocol):
    """What a client sends, and what it gets."""

    _transport: asyncio.Transport

    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch
        self._admission = dispatch.admission
        self._origins = dispatch.admission.limits.origins
        # When this connection ends, unless something happens on it.
        self.due = dispatch.now + self._admission.limits.idle_seconds
        self._address = ""
        # What was received and is not read yet, and where in it no head ends; what of it, and of an answer that the
        # client is slow to read, is counted.
        self._buffer = bytearray()
        self._searched = self._unsent = 0
        self._own = Reservation(self._admission)
        # Of the request that is being read or answered: its environment, whether another may follow it, how long its
        # body is and how much of that has come, the body or its chunks, why it will be refused, and its memory.
        self._environ: dict[str, Any] | None = None
        self._keep_alive = False
        self._length = self._come = 0
        self._body = BytesIO()
        self._chunks: Chunks | None = None
        self._refusal: ServiceError | None = None
        self._memory = Reservation(self._admission)
        # A request is being answered; its body waits for room; the client does not read; it sends no more; no more is
        # read of it; reading is paused.
        self._busy = self._deferred = self._choked = self._half_closed = self._ended = self._paused = False
        # The rest of the chunks that are there is read in the next turn of the loop.
        self._resuming = False

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=SHORT_BODY)
        peer = transport.get_extra_info("peername")
        self._address = peer[0] if isinstance(peer, tuple) else ""
        try:
            self._admission.enter(self)
        except ServiceError as refusal:
            self._refuse(refusal)

    def connection_lost(self, error: Exception | None) -> None:
        self._ended = True
        self._admission.connections.discard(self)
        self._buffer.clear()
        self._own.resize(0)
        # What a thread still works at is counted until it is done.
        if not self._busy:
            self._memory.end()

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        at_rest = not (self._buffer or self._environ or self._busy or self._choked or self._deferred)
        if at_rest and self._recall(data):
            return
        self._buffer += data
        self._advance(data if at_rest else b"")

    def eof_received(self) -> bool:
        self._half_closed = True
        self._advance()
        return self._busy or self._resuming or self._deferred

    def pause_writing(self) -> None:
        self._choked = True
        self._unsent = self._transport.get_write_buffer_size()
        self._account()

    def resume_writing(self) -> None:
        self._choked, self._unsent = False, 0
        self._advance()

    # What dispatch and admission call.

    def answered(self, request: Request, reply: Reply) -> None:
        """Send the reply to the request that was asked last, and read the next."""
        self._busy = False
        self._memory.end()
        if self._transport.is_closing():
            return
        self._send(request, reply if len(reply.body) <= SHORT_BODY else self._within_memory(reply))
        if self._own.held and not self._choked:
            self._account()
        if self._environ is not None:
            self._forget()
        if self._buffer or self._paused:
            self._advance()

    def expire(self, now: float) -> None:
        """Its time is up, unless its client is still reading."""
        before, unsent = self._unsent, self._transport.get_write_buffer_size()
        if 0 < unsent < before:
            self._unsent, self.due = unsent, now + self._admission.limits.idle_seconds
        elif unsent or self._ended:
            self._transport.abort()
        elif self._environ is not None:
            seconds = self._admission.limits.body_seconds
            self._refuse(BodyTimeout(f"the body did not come within {seconds:g} seconds"))
        else:
            self._transport.close()

    def proceed(self, refusal: ServiceError | None) -> bool:
        """Read the body that has waited, or refuse it; whether it waits no more."""
        self._deferred = False
        if self._ended or self._environ is None:
            return True
        try:
            if refusal is None:
                self._begin_body(self._environ)
            else:
                self.due = self._dispatch.now + self._admission.limits.body_seconds
                self._pass_over(refusal)
        except ServiceError as refused:
            self._refuse(refused)
        if not self._deferred:
            self._advance()
        return not self._deferred

    def close_if_idle(self) -> None:
        """End it, unless a request is on its way."""
        if not (self._buffer or self._environ or self._busy):
            self._transport.close()

    # From bytes to a request.

    def _recall(self, data: bytes) -> bool:
        """Ask at once what is known from before; whether it is, and nothing speaks against it."""
        if self._admission.late or self._admission.draining:
            return False
        request = self._dispatch.heads.recall(data)
        if request is None:
            return False
        try:
            self._memory.begin(request.body_bytes)
        except ServiceError:
            return False
        request.environ["REMOTE_ADDR"] = self._address
        self._ask(request)
        return True

    def _advance(self, data: bytes = b"") -> None:
        """Read on, as far as one request; `data` is what has just come, where it may be the whole of it."""
        try:
            while self._buffer and not (self._busy or self._deferred or self._choked or self._ended):
                if (self._environ is None and not self._read_head()) or not self._read_body():
                    break
                self._complete(data)
            if self._half_closed and self._environ is not None and not (self._busy or self._deferred or self._resuming):
                raise MalformedBody(f"the body ended after {self._come} bytes, before it was whole")
            if self._half_closed and not (self._busy or self._deferred or self._choked or self._ended):
                self._end(unread=False)
            self._account()
        except ServiceError as refusal:
            self._refuse(refusal)
        except Exception:
            log.exception("connection failed")
            self._transport.abort()

    def _read_head(self) -> bool:
        """Read a head, once it is whole; whether its body is to be read now.

        :raises ServiceError: it breaks the standard, is too long, or its request is not let in.
        """
        buffer = self._buffer
        while buffer.startswith(b"\r\n"):
            del buffer[:2]
        end = buffer.find(END, max(self._searched - len(END), 0), LONGEST_HEAD + len(END))
        # However it comes, at once or in pieces, the same is refused for the same reason.
        if _NO_HEAD.search(buffer, max(self._searched - 1, 0), len(buffer) if end < 0 else end):
            raise InvalidRequest("this is not HTTP/1.1: a request begins with METHOD TARGET HTTP/1.1, in ASCII")
        if end < 0:
            if len(buffer) > LONGEST_HEAD:
                raise HeadTooLarge(f"a request's head must have at most {LONGEST_HEAD} bytes")
            self._searched = len(buffer)
            return False
        head, self._environ = bytes(buffer[:end]), BASE | {"REMOTE_ADDR": self._address}
        del buffer[: end + len(END)]
        self._keep_alive = read_head(head, self._environ, self._admission.limits.hosts, self._origins)
        if (root := self._admission.limits.root) is not None:
            root.take_off(self._environ)
        hide_key(self._environ)
        self._begin_body(self._environ)
        if self._deferred:
            self._admission.defer(self, self._dispatch.now)
        return not self._deferred

    def _begin_body(self, environ: dict[str, Any]) -> None:
        """Let the request in, make its body wait, or refuse it.

        :raises ServiceError: it is refused, and its body will not be read.
        """
        self._length = content_length(environ)
        if CHUNKED in environ:
            self._chunks = Chunks(self._admission.longest_body(environ["PATH_INFO"]))
        try:
            self._admission.admit(environ, self._memory)
        except Overloaded as refusal:
            if self._length <= SHORT_BODY and self._chunks is None:
                self._pass_over(refusal)
            else:
                self._deferred, self.due = True, inf
                return
        except NotReady as refusal:
            self._pass_over(refusal)
        self.due = self._dispatch.now + self._admission.limits.body_seconds
        if "HTTP_EXPECT" in environ and (self._length or self._chunks) and not self._buffer:
            self._transport.write(CONTINUE)

    def _pass_over(self, refusal: ServiceError) -> None:
        """Refuse a request once its body was passed over, if it is worth that; else at once."""
        assert self._environ is not None
        if self._length > PASSED_OVER or self._chunks is not None or "HTTP_EXPECT" in self._environ:
            raise refusal
        self._refusal = refusal

    def _read_body(self) -> bool:
        """Read what there is of a body; whether it is whole.

        :raises ServiceError: it breaks the standard, is too long, or there is no memory for it.
        """
        if self._chunks is not None:
            whole = self._chunks.read(self._buffer)
            if self._chunks.unfinished and not self._resuming:
                self._resuming = True
                self._dispatch.soon(self._resume)
            self._come = self._chunks.size
            self._memory.resize(self._come)
            return whole
        missing = self._length - self._come
        if missing:
            if self._refusal is None:
                self._body.write(memoryview(self._buffer)[:missing])
            self._come += min(missing, len(self._buffer))
            del self._buffer[:missing]
        return self._come == self._length

    def _resume(self) -> None:
        """Read on where others had their turn."""
        self._resuming = False
        if not self._ended:
            self._advance()

    def _complete(self, data: bytes) -> None:
        """Ask the request that was read."""
        environ = self._environ
        assert environ is not None
        # What it has grown to, and no copy.
        body = (self._body if self._chunks is None else self._chunks.body).getvalue()
        match = prediction(environ["REQUEST_METHOD"], environ["PATH_INFO"])
        request = Request(environ, len(body), self._keep_alive, self._refusal, match)
        if data and self._refusal is None:
            self._dispatch.heads.learn(data, request)
        environ[BODY] = body
        self._body, self._chunks = BytesIO(), None
        self._ask(request)

    def _ask(self, request: Request) -> None:
        self._busy, self.due = True, inf
        self._dispatch.ask(request, self, self._memory)

    def _account(self) -> None:
        """Count what waits here, and read no more than there is room for.

        :raises Overloaded: there is no room for what has come.
        """
        waits = len(self._buffer)
        self._own.resize(
            (waits if waits > FREE else 0) + self._unsent, must=self._busy or self._choked or self._deferred
        )
        paused = self._choked or self._deferred or self._resuming or (self._busy and waits > AHEAD)
        if paused != self._paused and not self._transport.is_closing():
            self._paused = paused
            (self._transport.pause_reading if paused else self._transport.resume_reading)()

    # From a reply to bytes.

    def _within_memory(self, reply: Reply) -> Reply:
        """A long reply, if there is memory for it to wait for a client that is slow to read."""
        try:
            self._own.resize(self._own.held + len(reply.body))
        except ServiceError as refusal:
            return worded(str(refusal), "overloaded", 503, "-", extra=CLOSE)
        return reply

    def _send(self, request: Request, reply: Reply) -> None:
        head, environ = reply.head, request.environ
        keep_alive = request.keep_alive and not (
            (self._half_closed and not self._buffer) or self._admission.closing or CLOSE in head
        )
        if not keep_alive and CLOSE not in head:
            head += CLOSE
        elif keep_alive and environ["SERVER_PROTOCOL"] == "HTTP/1.0":
            head += "Connection: keep-alive\r\n"
        if self._origins is not None:
            head += self._origins.headers(environ)
        start = f"HTTP/1.1 {STATUS_LINES[reply.status]}\r\n{self._dispatch.date}\r\n{head}\r\n".encode("latin-1")
        self.due = self._dispatch.now + self._admission.limits.idle_seconds
        self._transport.write(start if environ["REQUEST_METHOD"] == "HEAD" else start + reply.body)
        if not keep_alive:
            self._end(unread=request.refusal is not None)

    def _refuse(self, refusal: ServiceError) -> None:
        """Answer what is not read to its end; nothing can follow it."""
        if not (self._ended or self._busy):
            self._ended, self._deferred = True, False
            self._buffer.clear()
            self._ask(Request(self._environ or BASE | {"REMOTE_ADDR": self._address}, 0, False, refusal))

    def _end(self, unread: bool) -> None:
        """End the connection once all is sent; at once, a client that is still sending would lose its answer."""
        self._ended = True
        self._buffer.clear()
        if unread and not self._half_closed:
            self._transport.write_eof()
            self.due = self._dispatch.now + LINGER_SECONDS
        else:
            self._transport.close()

    def _forget(self) -> None:
        """Make room for the next request."""
        self._environ, self._chunks, self._refusal = None, None, None
        self._length = self._come = self._searched = 0
        self._body = BytesIO()
