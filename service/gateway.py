"""The way in: what is let in, who answers it, and what is refused because there is too much of it.

Each worker has one event loop. It reads requests whole before any of our own code sees them, so a client that sends
slowly, or not at all, holds some memory and no thread. Short requests are then answered in the loop itself, where
nothing waits for a lock; what may take long is answered by a few threads. A request that would have to wait for its
turn longer than a deadline is refused at once.

Everything behind this is WSGI: the callable in front of Flask, and Flask.
"""

import asyncio
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from functools import partial
from time import monotonic
from typing import Any, NamedTuple, Protocol

from service.access import Access, scope_of
from service.errors import (
    BodyTooLarge,
    InvalidRequest,
    LengthRequired,
    NotReady,
    Overloaded,
    ServiceError,
    TargetTooLong,
)
from service.front import Front
from service.reply import Header, Reply, failure

# A body of at most so many bytes takes less time to answer than to hand to a thread and back.
SHORT_BODY = 16 << 10
# Threads for the rest. More would only wait for each other, and let the loop wait.
THREADS = 2
# How long a thread may keep the others waiting, the loop above all; Python's own default is ten times that.
SWITCH_SECONDS = 0.0005
# How many requests may wait for a thread.
QUEUE = 64
# No more long bodies are let in while those that are there take so many times the longest.
BODIES = 8
# An idle connection costs a few kilobytes.
CONNECTIONS = 8192
LONGEST_TARGET = 8 << 10
TICK_SECONDS = 0.05
# Connections are looked through each so many ticks.
SWEEP_TICKS = 5
HEALTH = frozenset({"/v2/health/live", "/v2/health/ready", "/ping"})
READINESS = HEALTH - {"/v2/health/live"}

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

BUSY = "the service has more to do than it can; ask again in a while"

# Status, headers and body.
Parts = tuple[int, list[Header], bytes]


class Limits(NamedTuple):
    """What a request may take: bytes of body, seconds to send it, seconds to wait for its turn; and the seconds that a
    connection may be silent.
    """

    body_bytes: int = 16 << 20
    body_seconds: float = 30.0
    deadline_seconds: float = 1.0
    idle_seconds: float = 75.0


class Request(NamedTuple):
    """A request that has come whole, or the reason why it is not answered; and whether another may follow it."""

    environ: dict[str, Any]
    body_bytes: int
    keep_alive: bool
    refusal: ServiceError | None = None


class Client(Protocol):
    """A connection, as far as the gateway knows it."""

    due: float

    def expire(self) -> None: ...

    def close_if_idle(self) -> None: ...


class Gateway:
    """Answers the requests of one worker by a WSGI application. To be used in the event loop alone."""

    def __init__(self, application: Front, access: Access | None, limits: Limits) -> None:
        self.limits = limits
        self.draining = False
        self.connections: set[Client] = set()
        # Bytes of the bodies that are being read, or wait for a thread.
        self.held = 0
        # The time, as of the last tick, and as a header says it.
        self.now = monotonic()
        self.date = _date()
        self._application = application
        self._access = access
        self._threads = ThreadPoolExecutor(THREADS)
        self._threaded = 0
        self._late = False

    def enter(self, connection: Client) -> None:
        """A client has connected.

        :raises Overloaded: there are too many.
        """
        self.connections.add(connection)
        if len(self.connections) > CONNECTIONS:
            raise Overloaded("the service has more connections than it can serve; connect again in a while")

    def admit(self, environ: Mapping[str, Any]) -> None:
        """Refuse what need not be read to be refused.

        :raises ServiceError: it will not be answered otherwise.
        """
        length, path = content_length(environ), environ["PATH_INFO"]
        _check_head(environ)
        if self.draining and path in READINESS:
            raise NotReady("the service is stopping")
        if length > self.limits.body_bytes:
            raise BodyTooLarge(f"the body has {length} bytes; the limit is {self.limits.body_bytes}")
        if length > SHORT_BODY or CHUNKED in environ:
            # Whoever answers a short body looks at its key; a long one is not worth reading without.
            if self._access is not None and (scope := scope_of(path)):
                self._access.check(environ, scope)
            if self.held > BODIES * self.limits.body_bytes or self._threaded >= THREADS + QUEUE:
                raise Overloaded(BUSY)
        if self._late and path not in HEALTH:
            raise Overloaded(BUSY)

    def answer(self, request: Request) -> "Parts | asyncio.Future[Parts]":
        """The answer to a request, now or soon; it never raises."""
        environ = request.environ
        if request.refusal is not None:
            return self._refused(environ, request.refusal)
        if (request.body_bytes <= SHORT_BODY and environ["REQUEST_METHOD"] == "POST") or environ["PATH_INFO"] in HEALTH:
            return self._answer(environ)
        if self._threaded == THREADS + QUEUE:
            return self._refused(environ, Overloaded(BUSY))
        self._threaded += 1
        self.held += request.body_bytes
        loop = asyncio.get_running_loop()
        answer = loop.run_in_executor(self._threads, self._answer_in_turn, environ, monotonic())
        answer.add_done_callback(partial(self._leave, request.body_bytes))
        return answer

    async def watch(self, beat: Callable[[], None]) -> None:
        """Tell with each tick that the loop is alive, see by how much it is late, and cut what comes too slowly."""
        sys.setswitchinterval(SWITCH_SECONDS)
        late, ticks = False, 0
        while True:
            beat()
            due = monotonic() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            self.now, self.date = monotonic(), _date()
            self._application.note(len(self.connections), self._threaded)
            # Once alone tells nothing: the whole process may have slept.
            before, late = late, self.now - due > self.limits.deadline_seconds
            self._late = before and late
            ticks += 1
            if ticks % SWEEP_TICKS == 0:
                # What is due was reckoned from the tick before.
                for connection in [each for each in self.connections if self.now > each.due + TICK_SECONDS]:
                    connection.expire()

    async def close(self, seconds: float) -> None:
        """End all connections, those with a request on its way after its answer, or after so many seconds."""
        self.draining = True
        until = monotonic() + seconds
        for connection in list(self.connections):
            connection.close_if_idle()
        while self.connections and monotonic() < until:
            await asyncio.sleep(TICK_SECONDS)
        self._application.note(0, 0)

    def _leave(self, body_bytes: int, _: "asyncio.Future[Parts]") -> None:
        self._threaded -= 1
        self.held -= body_bytes

    def _answer_in_turn(self, environ: dict[str, Any], since: float) -> Parts:
        if monotonic() - since > self.limits.deadline_seconds:
            return self._refused(environ, Overloaded(BUSY))
        return self._answer(environ)

    def _answer(self, environ: dict[str, Any]) -> Parts:
        head: list[tuple[str, list[Header]]] = []
        try:
            reply = self._application.predict(environ)
            if reply is not None:
                return _parts(reply)
            content = self._application(environ, lambda status, headers, failed=None: head.append((status, headers)))
            whole = b"".join(content)
            if close := getattr(content, "close", None):
                close()
        except Exception as error:
            return _parts(failure(error, "-"))
        status, headers = head[0]
        return int(status[:3]), headers, whole

    def _refused(self, environ: Mapping[str, Any], error: ServiceError) -> Parts:
        return _parts(self._application.refuse(environ, error))


def content_length(environ: Mapping[str, Any]) -> int:
    """How many bytes of body a head announces; 0 also where the body comes in chunks."""
    return int(environ.get("CONTENT_LENGTH", 0))


def _check_head(environ: Mapping[str, Any]) -> None:
    host = environ.get("HTTP_HOST", "")
    if "," in host or not (host or environ["SERVER_PROTOCOL"] == "HTTP/1.0"):
        raise InvalidRequest("a request must have one Host header")
    if len(environ["PATH_INFO"]) + len(environ["QUERY_STRING"]) > LONGEST_TARGET:
        raise TargetTooLong(f"path and query must have at most {LONGEST_TARGET} characters")
    announced = "CONTENT_LENGTH" in environ or CHUNKED in environ
    if environ["REQUEST_METHOD"] == "POST" and not announced:
        raise LengthRequired("a body needs a Content-Length, or must come in chunks")


def _date() -> str:
    return f"Date: {formatdate(usegmt=True)}\r\n"


def _parts(reply: Reply) -> Parts:
    return reply.status, reply.headers, reply.body
