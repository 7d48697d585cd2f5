"""Admission control: every limit of a worker in one object.

Memory is counted in one budget, over all requests in flight, as what a request takes and not as what it weighs: the
announced length of a body from its head on, chunks as they come, what a compressed body inflates to, and the rows and
the answer that are made of it. What finds no room is refused with 503 before it is paid for.
"""

import threading
from collections import deque
from typing import Any, NamedTuple, Protocol

from service.access import Access
from service.document import PIECE
from service.errors import BodyTooLarge, NotReady, Overloaded, ServiceError
from service.http.budget import BUDGET, LEAST_MEMORY, RESERVE
from service.http.head import CHUNKED, content_length
from service.http.origins import Origins
from service.http.root import Root
from service.routes.table import HEALTH, READINESS, find, scope_of

# A body of at most so many bytes, and not compressed, takes no part of the budget: it has a reserve of its own.
SHORT_BODY = 16 << 10
# How many requests may wait for a thread.
QUEUE = 64
# How many may wait unread: of each something has been read already.
MOST_DEFERRED = 128
# How many of those that wait unread in vain are refused at a tick. Many clients come again as soon as they are refused,
# and each refusal costs some of the time that answers need.
REFUSALS = 4
# The weight of the newest request in the running means of the time that requests take.
NEWEST = 0.2
# An idle connection costs a few kilobytes.
CONNECTIONS = 8192

BUSY = "the service has more to do than it can; ask again in a while"


class Limits(NamedTuple):
    """What a request may take: bytes of body, seconds to send it, seconds to wait for its turn; the seconds that a
    connection may be silent; the names that may stand in Host, where not every name may; the origins whose pages may
    ask, if any; and the path before all paths, if any.
    """

    body_bytes: int = 16 << 20
    body_seconds: float = 30.0
    deadline_seconds: float = 1.0
    idle_seconds: float = 75.0
    hosts: frozenset[str] | None = None
    origins: Origins | None = None
    root: Root | None = None

    @property
    def budget(self) -> int:
        """Bytes of memory for all requests in flight, but for short bodies."""
        return max(BUDGET * self.body_bytes, LEAST_MEMORY)

    @property
    def reserve(self) -> int:
        """Bytes of memory for short bodies."""
        return max(RESERVE * self.body_bytes, LEAST_MEMORY)


class Client(Protocol):
    """A connection, as the limits know it."""

    due: float

    def expire(self, now: float) -> None: ...

    def close_if_idle(self) -> None: ...

    def proceed(self, refusal: ServiceError | None) -> bool:
        """Read the body that has waited, or refuse it; whether it waits no more."""


class Admission:
    """The limits of one worker, and how much of each is taken. But for memory, for the event loop alone."""

    def __init__(self, limits: Limits, access: Access | None = None) -> None:
        self.limits = limits
        self.connections: set[Client] = set()
        # Connections whose head has come, and whose body waits unread until there is room for it; and since when.
        self.deferred: deque[tuple[float, Client]] = deque()
        # Every answer ends its connection; the service is stopping besides; the event loop has more to do than it can.
        self.closing = self.draining = self.late = False
        # Requests that are with a thread or wait for one, and the seconds in which one of them is done.
        self.threaded = 0
        self.seconds_each = 0.0
        # Explanations that are with their thread or wait for it, and the work that they may take together; and of those
        # that are done, the seconds and the work of late.
        self.explaining = 0
        self.work = 0.0
        self._explained = 0.0, 1.0
        # Bytes of the budget that are taken, and of the reserve, which the event loop alone counts.
        self.held = self.short = 0
        self.reserve = limits.reserve
        self._access = access
        self._lock = threading.Lock()

    def enter(self, connection: Client) -> None:
        """Take in a connection.

        :raises Overloaded: there are too many.
        """
        self.connections.add(connection)
        if len(self.connections) > CONNECTIONS:
            raise Overloaded("the service has more connections than it can serve; connect again in a while")

    def admit(self, environ: dict[str, Any], memory: "Reservation") -> None:
        """Refuse what need not be read to be refused, and reserve memory for what will be.

        :raises ServiceError: it will not be answered otherwise.
        """
        length, path = content_length(environ), environ["PATH_INFO"]
        if self.draining and path in READINESS:
            raise NotReady("the service is stopping")
        if length > (limit := self.longest_body(path)):
            raise BodyTooLarge(f"the body has {length} bytes; the limit is {limit}")
        if length > SHORT_BODY or CHUNKED in environ:
            # The key of a short body is checked before its answer; a long one is not worth reading without.
            if self._access is not None and (scope := scope_of(path)):
                self._access.check(environ, scope)
            if self.crowded:
                raise Overloaded(BUSY)
        if self.late and path not in HEALTH:
            raise Overloaded(BUSY)
        memory.begin(length)

    def drain(self) -> None:
        """Let every answer end its connection, and readiness say that the service is stopping."""
        self.closing = self.draining = True

    @property
    def keyed(self) -> bool:
        """Whether API keys are asked for."""
        return self._access is not None

    @property
    def full(self) -> bool:
        """Whether no more requests may wait for a thread."""
        return self.threaded >= QUEUE

    @property
    def crowded(self) -> bool:
        """Whether a request for a thread would wait longer than it may."""
        return self.full or self.threaded * self.seconds_each > self.limits.deadline_seconds

    def begin_explanation(self, work: float) -> None:
        """Let in an explanation that may take so much work; `end_explanation` lets it out.

        :raises Overloaded: others would keep it waiting for longer than it may.
        """
        seconds, done = self._explained
        if self.explaining >= QUEUE or self.work * seconds / done > self.limits.deadline_seconds:
            raise Overloaded(BUSY)
        self.explaining += 1
        self.work += work

    def end_explanation(self, work: float, seconds: float | None) -> None:
        """One is over, after so many seconds; None where it was never begun."""
        self.explaining -= 1
        self.work -= work
        if seconds is not None:
            before, done = self._explained
            self._explained = (1 - NEWEST) * before + seconds, (1 - NEWEST) * done + work

    def defer(self, client: Client, now: float) -> None:
        """Let a body wait unread.

        :raises Overloaded: there are too many that do.
        """
        if len(self.deferred) >= MOST_DEFERRED:
            raise Overloaded(BUSY)
        self.deferred.append((now, client))

    def longest_body(self, path: str) -> int:
        """How many bytes of body are read on a path: long ones only where somebody reads them, and with a key."""
        match = find(path)
        if match is not None and match.route.long:
            return min(self.limits.body_bytes, PIECE)
        return self.limits.body_bytes if match is not None and match.route.wire else SHORT_BODY

    def let_in(self) -> None:
        """Let in those that wait unread, the first first, as far as there is room."""
        while self.deferred and not (self.crowded or self.late):
            first = self.deferred.popleft()
            if not first[1].proceed(None):
                # There is no memory for it, and none of the others goes before it.
                self.deferred.appendleft(first)
                return

    def turn_away(self, now: float) -> None:
        """Let in those that there is room for. Of the others refuse all that have waited for as long as they may, and
        some of the last, where more wait than can be let in in time. To be called at each tick.
        """
        self.let_in()
        deadline = self.limits.deadline_seconds
        while self.deferred and self.deferred[0][0] < now - deadline:
            self.deferred.popleft()[1].proceed(Overloaded(BUSY))
        surplus = len(self.deferred) - deadline / max(self.seconds_each, deadline / QUEUE)
        for _ in range(min(REFUSALS, int(surplus))):
            self.deferred.pop()[1].proceed(Overloaded(BUSY))

    def take(self, more: int) -> None:
        """Count bytes of memory.

        :raises Overloaded: together with all others in flight that is too much.
        """
        with self._lock:
            if self.held + more > self.limits.budget:
                raise Overloaded(BUSY)
            self.held += more

    def give(self, less: int) -> None:
        """Count bytes no more."""
        with self._lock:
            self.held -= less


class Reservation:
    """The memory of one connection and of its request in flight. The request may take more from a thread."""

    __slots__ = ("_admission", "_short", "held")

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._short = self.held = 0

    def begin(self, body_bytes: int) -> None:
        """Count a body; it raises what `take` raises."""
        if body_bytes > SHORT_BODY:
            self.take(body_bytes)
            return
        admission = self._admission
        if admission.short + body_bytes > admission.reserve:
            raise Overloaded(BUSY)
        admission.short += body_bytes
        self._short = body_bytes

    def end(self) -> None:
        """Count nothing any more."""
        self._admission.short -= self._short
        self._short = 0
        if self.held:
            self.resize(0)

    def take(self, more: int) -> None:
        """Count bytes more.

        :raises BodyTooLarge: no budget would have room for them.
        :raises Overloaded: this budget has none at the moment.
        """
        held, budget = self.held + more, self._admission.limits.budget
        if held > budget:
            raise BodyTooLarge(f"to read and answer this takes more than {budget >> 20} MB; send fewer rows at once")
        self._admission.take(more)
        self.held = held

    def resize(self, held: int, must: bool = False) -> None:
        """Count so many bytes from now on; it raises what `take` raises, unless they are there anyway and `must`."""
        if held > self.held and not must:
            self.take(held - self.held)
        elif held > self.held or held < self.held:
            self._admission.give(self.held - held)
            self.held = held
