"""The way in: what is let in, who answers it, and what is refused because there is too much of it.

Each worker has one event loop. It reads requests whole before any of our own code sees them, so a client that sends
slowly, or not at all, holds some memory and no thread. Short requests are then answered in the loop itself, where
nothing waits for a lock, all those together that have come since it last looked; what may take long is answered by a
few threads. A request that would have to wait for its turn longer than a deadline is refused at once.

Everything behind this is WSGI: the callable in front of Flask, and Flask.
"""

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from time import monotonic
from typing import Any, NamedTuple, Protocol

from service.access import Access, scope_of
from service.errors import (
    BodyTooLarge,
    InvalidRequest,
    LengthRequired,
    NotReady,
    Overloaded,
    TargetTooLong,
)
from service.exchange import Prediction
from service.front import Front
from service.reply import Header, Reply, failure
from service.request import CHUNKED, Heads, Request, content_length

# A body of at most so many bytes takes less time to answer than to hand to a thread and back.
SHORT_BODY = 16 << 10
# Threads for the rest. More would only wait for each other, and let the loop wait.
THREADS = 2
# How long a thread may keep the others waiting, the loop above all; Python's own default is ten times that.
SWITCH_SECONDS = 0.0005
# So many short requests are answered together, before others have their turn.
TOGETHER = 32
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

BUSY = "the service has more to do than it can; ask again in a while"


class Limits(NamedTuple):
    """What a request may take: bytes of body, seconds to send it, seconds to wait for its turn; and the seconds that a
    connection may be silent.
    """

    body_bytes: int = 16 << 20
    body_seconds: float = 30.0
    deadline_seconds: float = 1.0
    idle_seconds: float = 75.0


class Client(Protocol):
    """A connection, as far as the gateway knows it."""

    due: float

    def answered(self, request: Request, reply: Reply) -> None: ...

    def expire(self) -> None: ...

    def close_if_idle(self) -> None: ...


# A request that waits for the turn of the short ones: who asks, what, and whether for a prediction.
Asked = tuple[Client, Request, Prediction | None]


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
        # Whether the loop has more to do than it can.
        self.late = False
        self.heads = Heads()
        self._application = application
        self._access = access
        # Short requests that have come since the loop last looked.
        self._turn: list[Asked] = []
        self._threads = ThreadPoolExecutor(THREADS)
        self._threaded = 0

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
        if self.late and path not in HEALTH:
            raise Overloaded(BUSY)

    def ask(self, request: Request, client: Client) -> None:
        """Answer a request, at once or soon."""
        environ = request.environ
        short = request.body_bytes <= SHORT_BODY and environ["REQUEST_METHOD"] == "POST"
        if not short and request.refusal is None and environ["PATH_INFO"] not in HEALTH:
            if self._threaded < THREADS + QUEUE:
                self._hand_over(request, client)
                return
            request = request._replace(refusal=Overloaded(BUSY))
        self._turn.append((client, request, self._application.prediction(environ) if request.refusal is None else None))
        if len(self._turn) == 1:
            # Where there is nobody else, nobody else can have come.
            if len(self.connections) == 1:
                self._take_turn()
            else:
                asyncio.get_running_loop().call_soon(self._take_turn)

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
            self.late = before and late
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

    def _take_turn(self) -> None:
        """Answer the short requests that are there."""
        turn = self._turn[:TOGETHER]
        try:
            self._predict([prediction for _, _, prediction in turn if prediction is not None])
            for client, request, prediction in turn:
                client.answered(request, self._answer(request) if prediction is None else prediction.reply)
        finally:
            # Whoever has asked meanwhile waits for the next turn.
            del self._turn[: len(turn)]
            if self._turn:
                asyncio.get_running_loop().call_soon(self._take_turn)

    def _predict(self, predictions: Sequence[Prediction]) -> None:
        try:
            self._application.predict(predictions)
        except Exception as error:
            for one in predictions:
                one.reply = failure(error, one.request_id)

    def _hand_over(self, request: Request, client: Client) -> None:
        """Let a thread answer."""
        self._threaded += 1
        self.held += request.body_bytes

        def leave(answer: asyncio.Future[Reply]) -> None:
            self._threaded -= 1
            self.held -= request.body_bytes
            client.answered(request, answer.result())

        answer = asyncio.get_running_loop().run_in_executor(self._threads, self._answer_in_time, request, monotonic())
        answer.add_done_callback(leave)

    def _answer_in_time(self, request: Request, since: float) -> Reply:
        late = monotonic() - since > self.limits.deadline_seconds
        return self._answer(request._replace(refusal=Overloaded(BUSY)) if late else request)

    def _answer(self, request: Request) -> Reply:
        environ = request.environ
        head: list[tuple[str, list[Header]]] = []
        try:
            if request.refusal is not None:
                return self._application.refuse(environ, request.refusal)
            content = self._application(environ, lambda status, headers, failed=None: head.append((status, headers)))
            body = b"".join(content)
            if close := getattr(content, "close", None):
                close()
        except Exception as error:
            return failure(error, "-")
        status, headers = head[0]
        return Reply(int(status[:3]), body, headers)


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
    return f"Date: {formatdate(usegmt=True)}"
