"""Dispatch: which requests the event loop answers in its turn, which ones a thread, and when.

Each worker has one event loop. It reads requests whole before any of our own code sees them, so a client that sends
slowly, or not at all, holds some memory and no thread. Requests that cost little are answered in the loop itself, where
nothing waits for a lock: all predictions that have arrived since it last looked in one run (dynamic batching), up to a
cost, by their length and by how long the model takes, that keeps the loop's other clients waiting for no longer than a
blink. What may take longer goes to a few threads. Explanations, which ask the model hundreds of times for one row, have
a thread of their own once they were read: they keep no prediction waiting, and never the loop. A request that would
wait for its turn longer than a deadline is refused at once.
"""

import asyncio
import logging
import sys
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from email.utils import formatdate
from io import BytesIO
from time import monotonic
from typing import Any, NamedTuple, Protocol

from service.app import Front
from service.errors import ForeignOrigin, Overloaded
from service.http.admission import BUSY, NEWEST, SHORT_BODY, Admission, Client, Reservation
from service.http.heads import Heads, Request
from service.http.origins import Origins
from service.prediction.body import BODY
from service.prediction.prediction import Prediction
from service.reply import Header, Reply, failure, lines
from service.routes.table import HEALTH, LONG

# Threads for what takes longer. More would only wait for each other, and let the loop wait.
THREADS = 2
# How long a thread may keep the others waiting, the loop above all; Python's own default is ten times that.
SWITCH_SECONDS = 0.0005
# So many requests are answered in one turn of the loop, before others have theirs.
TOGETHER = 32
TICK_SECONDS = 0.05
# A tick that is so late comes from a process that was stopped, or a machine that slept.
SLEPT_SECONDS = 0.5
# Connections are looked through each so many ticks.
SWEEP_TICKS = 5

log = logging.getLogger(__name__)


class Answers(Client, Protocol):
    """A connection, as dispatch knows it."""

    def answered(self, request: Request, reply: Reply) -> None:
        """Send the reply."""


class Asked(NamedTuple):
    """A request that waits for its turn; of one for predictions how far it has come, and what part of a turn it may
    cost.
    """

    client: Answers
    request: Request
    prediction: Prediction | None
    cost: float


class Dispatcher:
    """Answers the requests of one worker. To be used in the event loop alone."""

    def __init__(self, front: Front, admission: Admission) -> None:
        self.admission = admission
        self.heads = Heads(secret=admission.keyed)
        # The time, as of the last tick, and as a header says it.
        self.now = monotonic()
        self.date = _date()
        # When the process has last been seen to wake up.
        self._awake = 0.0
        self._front = front
        self._origins = admission.limits.origins
        # Requests for the next turn of the loop, and whether one is being taken.
        self._waiting: deque[Asked] = deque()
        self._turning = False
        self._threads, self._explainer = ThreadPoolExecutor(THREADS), ThreadPoolExecutor(1)
        # Requests that were handed over, and since when they have waited.
        self._queued: deque[tuple[float, Future[Any]]] = deque()

    def ask(self, request: Request, client: Answers, memory: Reservation) -> None:
        """Answer a request, in this turn or in a thread."""
        environ, size, match = request.environ, request.body_bytes, request.match
        one, cost, health = None, 0.0, False
        # A body that is compressed may be anything.
        short = size <= SHORT_BODY and "HTTP_CONTENT_ENCODING" not in environ
        if match is None or request.refusal is not None:
            health = environ["PATH_INFO"] in HEALTH
            # What is not asked with POST is a page, a card or the metrics.
            short = (
                health
                or request.refusal is not None
                or (short and environ["REQUEST_METHOD"] in ("POST", "OPTIONS") and environ["PATH_INFO"] not in LONG)
            )
        else:
            route, model, version = match
            assert route.wire is not None
            one = self._front.predictions.begin(environ, route.wire, route.metric, model, version, memory)
            cost = one.cost.run + size * one.cost.byte
            short = short and cost <= 1 and not route.wire.explains
        if not short:
            if not self.admission.full:
                self._hand_over(Asked(client, request, one, cost))
                return
            one, cost, request = None, 0.0, request._replace(refusal=Overloaded(BUSY))
        asked = Asked(client, request, one, cost)
        if health:
            self._waiting.appendleft(asked)
        else:
            self._waiting.append(asked)
        if len(self._waiting) == 1 and not self._turning:
            # Where there is one connection, nothing else can have arrived.
            if len(self.admission.connections) == 1:
                self._take_turn()
            else:
                asyncio.get_running_loop().call_soon(self._take_turn)

    def soon(self, call: Callable[[], None]) -> None:
        """Call back in the next turn of the loop."""
        asyncio.get_running_loop().call_soon(call)

    async def watch(self, beat: Callable[[], None]) -> None:
        """Tell with each tick that the loop is alive, see by how much it is late, and cut what comes too slowly."""
        sys.setswitchinterval(SWITCH_SECONDS)
        late, ticks = False, 0
        admission = self.admission
        while True:
            beat()
            due = monotonic() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            self.now, self.date = monotonic(), _date()
            lag = self.now - due
            if lag > SLEPT_SECONDS:
                self._awake = self.now
            self._front.predictions.observer.note(
                len(admission.connections), admission.threaded + admission.explaining, lag
            )
            # Once alone tells nothing: the whole process may have slept.
            before, late = late, lag > admission.limits.deadline_seconds
            admission.late = before and late
            admission.turn_away(self.now)
            self._give_up(self.now - admission.limits.deadline_seconds)
            ticks += 1
            if ticks % SWEEP_TICKS == 0:
                # What is due was reckoned from the tick before.
                for connection in [each for each in admission.connections if self.now > each.due + TICK_SECONDS]:
                    connection.expire(self.now)

    async def close(self, seconds: float) -> None:
        """End all connections, those with a request on its way after its answer, or after so many seconds."""
        self.admission.closing = True
        until = monotonic() + seconds
        for connection in list(self.admission.connections):
            connection.close_if_idle()
        while self.admission.connections and monotonic() < until:
            await asyncio.sleep(TICK_SECONDS)
        self._front.predictions.observer.note(0, 0, 0.0)
        self._front.predictions.finish()

    def _take_turn(self) -> None:
        """Answer requests that are there, as many as may be the work of a turn."""
        self._turning = True
        turn: list[Asked] = []
        cost = 0.0
        while self._waiting and len(turn) < TOGETHER and (not turn or cost + self._waiting[0].cost <= 1):
            turn.append(self._waiting.popleft())
            cost += turn[-1].cost
        try:
            self._predict([one.prediction for one in turn if one.prediction is not None])
            for asked in turn:
                self._answered(asked, self._reply(asked))
            self._front.predictions.tell()
        finally:
            self._turning = False
            # A request that was asked meanwhile has the next turn, after the loop has looked at all connections.
            if self._waiting:
                asyncio.get_running_loop().call_soon(self._take_turn)

    def _predict(self, predictions: Sequence[Prediction]) -> None:
        """Answer predictions; a defect is their answer, and not the end of the turn."""
        try:
            self._front.predictions.answer(predictions)
        except Exception as error:
            for one in predictions:
                one.reply = one.reply or failure(error, one.request_id)

    def _reply(self, asked: Asked) -> Reply | None:
        """The reply; None to a request that was only read, for an explanation."""
        return self._answer(asked.request) if asked.prediction is None else asked.prediction.reply

    def _answered(self, asked: Asked, reply: Reply | None) -> None:
        if reply is None:
            assert asked.prediction is not None
            self._explain(asked, asked.prediction)
        else:
            self._send(asked, reply)

    def _send(self, asked: Asked, reply: Reply) -> None:
        """Send a reply. What goes wrong on one connection is no other's business."""
        try:
            asked.client.answered(asked.request, reply)
        except Exception:
            log.exception("a reply could not be sent")

    def _hand_over(self, asked: Asked) -> None:
        """Let a thread answer."""
        admission, loop = self.admission, asyncio.get_running_loop()
        admission.threaded += 1

        def leave(answer: Future[tuple[Reply | None, float]]) -> None:
            admission.threaded -= 1
            if answer.cancelled():
                self._send(asked, self._answer(asked.request._replace(refusal=Overloaded(BUSY))))
            else:
                reply, seconds = answer.result()
                if not self._slept(seconds):
                    admission.seconds_each += NEWEST * (seconds / THREADS - admission.seconds_each)
                self._answered(asked, reply)
            admission.let_in()

        since = monotonic()
        answer = self._threads.submit(self._answer_in_time, asked, since)
        self._queued.append((since, answer))
        answer.add_done_callback(lambda done: loop.call_soon_threadsafe(leave, done))

    def _slept(self, seconds: float) -> bool:
        """Whether the whole process has slept in the last so many seconds: then they tell nothing of a request."""
        now = monotonic()
        return now - seconds < self._awake or now - self.now > TICK_SECONDS + SLEPT_SECONDS

    def _explain(self, asked: Asked, one: Prediction) -> None:
        """Let the thread for explanations answer a request that was read."""
        admission, loop, predictions = self.admission, asyncio.get_running_loop(), self._front.predictions
        try:
            admission.begin_explanation(one.work)
        except Overloaded as refusal:
            self._send(asked, predictions.refuse(one, refusal))
            return

        def leave(answer: Future[tuple[Reply, float]]) -> None:
            reply, seconds = (None, None) if answer.cancelled() else answer.result()
            admission.end_explanation(one.work, seconds)
            self._send(asked, reply or predictions.refuse(one, Overloaded(BUSY)))

        answer = self._explainer.submit(self._explained, one)
        self._queued.append((monotonic(), answer))
        answer.add_done_callback(lambda done: loop.call_soon_threadsafe(leave, done))

    def _explained(self, one: Prediction) -> tuple[Reply, float]:
        """The reply to a request for explanations, and the seconds that it took."""
        began = monotonic()
        try:
            return self._front.predictions.explain(one), monotonic() - began
        except Exception as error:
            return failure(error, one.request_id), monotonic() - began

    def _give_up(self, before: float) -> None:
        """Refuse requests that have waited for a thread since before a moment."""
        while self._queued and (self._queued[0][0] < before or self._queued[0][1].done()):
            # What a thread has begun goes on.
            self._queued.popleft()[1].cancel()

    def _answer_in_time(self, asked: Asked, since: float) -> tuple[Reply | None, float]:
        """The reply to a request, and the seconds that it took."""
        began = monotonic()
        one, request = asked.prediction, asked.request
        if one is None:
            # A page, a card or the metrics, which tell of the crowd.
            return self._answer(request), monotonic() - began
        if began - since > self.admission.limits.deadline_seconds:
            return self._answer(request._replace(refusal=Overloaded(BUSY))), self.admission.seconds_each * THREADS
        self._predict([one])
        self._front.predictions.tell()
        return self._reply(asked), monotonic() - began

    def _answer(self, request: Request) -> Reply:
        """The reply of Flask, or of a refusal."""
        environ = request.environ
        head: list[tuple[str, list[Header]]] = []
        try:
            if request.refusal is not None:
                return self._front.refuse(environ, request.refusal)
            if self._origins is not None and (reply := self._preflight(environ, self._origins)):
                return reply
            environ["wsgi.input"] = BytesIO(environ.pop(BODY, b""))
            content = self._front.flask(environ, lambda status, headers, failed=None: head.append((status, headers)))
            body = b"".join(content)
            if close := getattr(content, "close", None):
                close()
        except Exception as error:
            return failure(error, "-")
        status, headers = head[0]
        return Reply(int(status[:3]), body, lines(headers))

    def _preflight(self, environ: dict[str, Any], origins: Origins) -> Reply | None:
        """The reply to a browser that asks before a page of another origin may; None to any other request."""
        try:
            reply = origins.preflight(environ)
        except ForeignOrigin as refusal:
            return self._front.refuse(environ, refusal)
        return None if reply is None else self._front.observe(environ, lambda _: reply)


def _date() -> str:
    return f"Date: {formatdate(usegmt=True)}"
