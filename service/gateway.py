"""The way in: an event loop in each worker reads a request's body whole before any of our own code sees it.

A client that sends slowly, or not at all, so holds some memory and no thread. Short requests are then answered in the
loop itself, where nothing waits for a lock; what may take long is answered by a few threads. A request that would have
to wait for its turn longer than a deadline is refused at once.

Everything behind this is WSGI: the callable in front of Flask, and Flask.
"""

import asyncio
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from time import monotonic
from typing import Any, NamedTuple

from granian.rsgi import ProtocolClosed  # type: ignore[attr-defined]

from service.access import Access, scope_of
from service.drain import Drain
from service.errors import (
    BodyTimeout,
    BodyTooLarge,
    InvalidRequest,
    LengthRequired,
    MalformedBody,
    NotReady,
    Overloaded,
    ServiceError,
    TargetTooLong,
)
from service.front import Front
from service.reply import CLOSE, Header, Reply, failure

# A body of at most so many bytes takes less time to answer than to hand to a thread and back.
SHORT_BODY = 16 << 10
# Threads for the rest. More would only wait for each other, and let the loop wait.
THREADS = 2
# How long a thread may keep the others waiting, the loop above all; Python's own default is ten times that.
SWITCH_SECONDS = 0.0005
# A body of at most so many bytes is read at once; a longer one is counted while it comes.
WHOLE_BODY = 128 << 10
# How many requests may wait for a thread.
QUEUE = 64
# No more long bodies are let in while those that are being read take so many times the longest.
BODIES = 8
# A refused body of at most so many bytes is let in and dropped: many clients read no answer before they have sent all.
DROPPED_BODY = 1 << 20
LONGEST_TARGET = 8 << 10
TICK_SECONDS = 0.05
HEALTH = frozenset({"/v2/health/live", "/v2/health/ready", "/ping"})
READINESS = HEALTH - {"/v2/health/live"}

# What WSGI calls the headers of nearly every request.
KEYS = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"} | {
    name: f"HTTP_{name.upper().replace('-', '_')}"
    for name in (
        *("host", "user-agent", "accept", "accept-encoding", "authorization", "connection", "content-encoding"),
        *("x-api-key", "x-request-id", "traceparent", "inference-header-content-length", "x-forwarded-for"),
    )
}
BASE: dict[str, Any] = {
    "SCRIPT_NAME": "",
    "SERVER_NAME": "evenkeel",
    "SERVER_PORT": "",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
}

BUSY = "the service has more to do than it can; ask again in a while"

# Status, headers and body.
Parts = tuple[int, list[Header], bytes]


class Limits(NamedTuple):
    """What a request may take: bytes of body, seconds to send it, seconds to wait for its turn."""

    body_bytes: int = 16 << 20
    body_seconds: float = 30.0
    deadline_seconds: float = 1.0


class Gateway:
    """Answers the requests of one worker by a WSGI application."""

    def __init__(self, application: Front, access: Access | None, drain: Drain, limits: Limits) -> None:
        self._application = application
        self._access = access
        self._drain = drain
        self._limits = limits
        self._threads = ThreadPoolExecutor(THREADS)
        self._threaded = 0
        # When each body that is being read has to be whole, and how many bytes of the long ones are.
        self._reading: dict[asyncio.Task[None], float] = {}
        self._held = 0
        self._late = False

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        sys.setswitchinterval(SWITCH_SECONDS)
        self._ticking = loop.create_task(self._tick())

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        environ = _environ(scope)
        try:
            status, headers, content = await self._respond(environ, protocol)
        except ServiceError as error:
            status, headers, content = self._refused(environ, error)
        except Exception as error:
            status, headers, content = _parts(failure(error, "-"))
        if self._drain.begun and CLOSE not in headers:
            headers.append(CLOSE)
        protocol.response_bytes(status, headers, content)

    async def _respond(self, environ: dict[str, Any], protocol: Any) -> Parts:
        length = int(environ.get("CONTENT_LENGTH", 0))
        try:
            self._admit(environ, length)
        except ServiceError:
            if 0 < length <= DROPPED_BODY:
                await self._read(protocol, length)
            raise
        environ["wsgi.input"] = BytesIO(await self._read(protocol, length) if length else b"")
        if length <= SHORT_BODY and (environ["REQUEST_METHOD"] == "POST" or environ["PATH_INFO"] in HEALTH):
            return self._answer(environ)
        if self._threaded == THREADS + QUEUE:
            raise Overloaded(BUSY)
        self._threaded += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, self._answer_in_turn, environ, monotonic())
        finally:
            self._threaded -= 1

    def _admit(self, environ: Mapping[str, Any], length: int) -> None:
        """Refuse what need not be read to be refused."""
        _check_head(environ)
        path = environ["PATH_INFO"]
        if self._drain.begun and path in READINESS:
            raise NotReady("the service is stopping")
        if length > self._limits.body_bytes:
            raise BodyTooLarge(f"the body has {str(length)[:20]} bytes; the limit is {self._limits.body_bytes}")
        if length > SHORT_BODY:
            # Whoever answers a short body looks at its key; a long one is not worth reading without.
            if self._access is not None and (scope := scope_of(path)):
                self._access.check(environ, scope)
            if self._held > BODIES * self._limits.body_bytes or self._threaded >= THREADS + QUEUE:
                raise Overloaded(BUSY)
        if self._late and path not in HEALTH:
            raise Overloaded(BUSY)

    async def _read(self, protocol: Any, length: int) -> bytes:
        """The whole body."""
        task = asyncio.current_task()
        assert task is not None
        self._reading[task] = monotonic() + self._limits.body_seconds
        body, held = bytearray(), 0
        try:
            if length <= WHOLE_BODY:
                # This raises where the other way only ends early.
                whole: bytes = await protocol()
                return whole
            async for chunk in protocol:
                body += chunk
                held += len(chunk)
                self._held += len(chunk)
        except ProtocolClosed:
            raise MalformedBody(f"the body ended before all of its {length} bytes had come") from None
        except asyncio.CancelledError:
            seconds = self._limits.body_seconds
            raise BodyTimeout(f"the body did not come within {seconds:g} seconds") from None
        finally:
            del self._reading[task]
            self._held -= held
        if held != length:
            raise MalformedBody(f"the body ended after {held} of {length} bytes")
        return bytes(body)

    def _answer_in_turn(self, environ: dict[str, Any], since: float) -> Parts:
        if monotonic() - since > self._limits.deadline_seconds:
            raise Overloaded(BUSY)
        return self._answer(environ)

    def _answer(self, environ: dict[str, Any]) -> Parts:
        head: list[tuple[str, list[Header]]] = []
        content = self._application(environ, lambda status, headers, failed=None: head.append((status, headers)))
        whole = b"".join(content)
        if close := getattr(content, "close", None):
            close()
        status, headers = head[0]
        return int(status[:3]), headers, whole

    def _refused(self, environ: Mapping[str, Any], error: ServiceError) -> Parts:
        reply = self._application.refuse(environ, error)
        # What was not answered may not have been read, so nothing can follow it.
        if reply.status != 503 and CLOSE not in reply.headers:
            reply.headers.append(CLOSE)
        return _parts(reply)

    async def _tick(self) -> None:
        """Cut what comes too slowly, and see by how much everything else is late."""
        late = False
        while True:
            due = monotonic() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            now = monotonic()
            # Once alone tells nothing: the whole process may have slept.
            before, late = late, now - due > self._limits.deadline_seconds
            self._late = before and late
            for task, until in list(self._reading.items()):
                if now > until:
                    task.cancel()


def _environ(scope: Any) -> dict[str, Any]:
    """What WSGI calls the head of a request. A header that is sent twice is joined, and so has no known value."""
    path: str = scope.path
    environ = BASE | {
        "REQUEST_METHOD": scope.method,
        "PATH_INFO": path if path.isascii() else path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_PROTOCOL": "HTTP/1.1" if scope.http_version == "1.1" else "HTTP/1.0",
    }
    for name, value in scope.headers.items():
        key = KEYS.get(name)
        if key is None:
            # An underscore would make it the twin of a header with a dash.
            if "_" in name:
                continue
            key = f"HTTP_{name.upper().replace('-', '_')}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ


def _check_head(environ: Mapping[str, Any]) -> None:
    """Refuse what granian lets through though HTTP does not, or though it cannot tell whether the body came whole."""
    host = environ.get("HTTP_HOST", "")
    if "," in host or not (host or environ["SERVER_PROTOCOL"] == "HTTP/1.0"):
        raise InvalidRequest("a request must have one Host header")
    if len(environ["PATH_INFO"]) + len(environ["QUERY_STRING"]) > LONGEST_TARGET:
        raise TargetTooLong(f"path and query must have at most {LONGEST_TARGET} characters")
    if "HTTP_TRANSFER_ENCODING" in environ or (environ["REQUEST_METHOD"] == "POST" and "CONTENT_LENGTH" not in environ):
        raise LengthRequired("a body needs a Content-Length; without one nobody can tell whether it came whole")


def _parts(reply: Reply) -> Parts:
    return reply.status, reply.headers, reply.body
