"""The way of every request for predictions, from a POST to its reply: authenticate → find → read → infer → answer.

Requests that arrive together go the way side by side, and their rows through the network in one run (dynamic batching):
that takes little longer than one of them alone, and no request waits for others to arrive.
"""

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np

from service.access import Access
from service.compression import LEAST_BYTES, takes_gzip
from service.errors import InvalidRequest, RunTimeout, ServiceError
from service.prediction.body import read_body
from service.prediction.choice import Choice, Models
from service.prediction.cost import Cost
from service.prediction.predictor import RUN_SECONDS, Predictor
from service.prediction.protocol import Allowance, Memory, Question, WireFormat
from service.prediction.shadowing import Shadowing
from service.prediction.traffic import Traffic
from service.reply import Reply, compressed, failure, lines, refusal, success
from service.rows.tensors import Probabilities, Tensors, is_long, release, row_count
from service.telemetry.observer import TRACE, Observer, trace_headers

# At which of the moments of a prediction a stage begins; it ends at the next. Between them, the request waits: for its
# turn after `find`, for those that arrived with it after `parse`.
STAGES = {"find": 0, "read": 2, "parse": 3, "infer": 5, "encode": 7}
ACCEPTED = "HTTP_ACCEPT_ENCODING"
TIMING = "HTTP_X_SERVER_TIMING"
# A request that has it is answered, and no traffic: somebody tries something.
COUNT = "HTTP_X_COUNT"
REQUEST_KEY = "HTTP_X_REQUEST_KEY"


class Unbounded:
    """The memory of a request where nothing limits it: in somebody else's server."""

    def take(self, more: int) -> None:
        """Count nothing."""


UNBOUNDED = Unbounded()
FREE = Cost()


@dataclass(frozen=True)
class Bounds:
    """What one request may come to: bytes of its body, rows, bytes of the answer, and seconds of the model's run; and
    whether its rows may hold more than the features of the model.
    """

    body_bytes: int = 16 << 20
    rows: int = 100_000
    answer_bytes: int = 32 << 20
    run_seconds: float = RUN_SECONDS
    ignore_extras: bool = False


@dataclass(slots=True)
class Prediction:
    """A request for predictions on its way: its WSGI environment, its name, the format it is in, where its memory is
    counted, and what it may cost; then which version it asks for, what was read of it, and the moments when; and, once
    there is one, its reply.
    """

    environ: dict[str, Any]
    wire: WireFormat
    metric: str
    request_id: str
    memory: Memory
    moments: tuple[float, ...]
    # Nothing where the reply is there already.
    cost: Cost = FREE
    choice: Choice = field(init=False)
    predictor: Predictor = field(init=False)
    question: Question = field(init=False)
    # What its explanations may take; 0 where it asks for none, or was not read yet.
    work: float = 0.0
    reply: Reply | None = None
    # Whether its rows are traffic, of which drift, feedback and shadows are told.
    counts: bool = True


class Predictions:
    """Answers requests for predictions from the loaded models."""

    def __init__(
        self,
        models: Models,
        observer: Observer,
        traffic: Traffic,
        shadowing: Shadowing,
        bounds: Bounds,
        access: Access | None,
    ) -> None:
        self.observer = observer
        self._models = models
        self._traffic = traffic
        self._untold: deque[tuple[Predictor, Sequence[Prediction], Tensors, Probabilities]] = deque()
        self._shadowing = shadowing
        self._bounds = bounds
        self._access = access

    def begin(
        self,
        environ: dict[str, Any],
        wire: WireFormat,
        metric: str,
        model: str | None = None,
        version: str | None = None,
        memory: Memory = UNBOUNDED,
    ) -> Prediction:
        """Authenticate a request and find the version that it asks for, before its body is read; it never raises."""
        request_id, began = self.observer.begin(environ)
        prediction = Prediction(environ, wire, metric, request_id, memory, (began,))
        prediction.counts = COUNT not in environ and not wire.explains
        try:
            if self._access is not None:
                self._access.check(environ)
            if environ.get(COUNT, "no") != "no":
                raise InvalidRequest('the header X-Count must be "no": the rows are answered, and counted nowhere')
            prediction.choice = choice = self._models.choice(model, version)
            prediction.cost = choice.cost
            prediction.moments = began, perf_counter()
        except Exception as error:
            prediction.reply = _broken(error, request_id)
        return prediction

    def answer(self, predictions: Sequence[Prediction]) -> None:
        """Give requests that arrived together their replies, each as if it had come alone; it never raises.

        Those that ask for explanations have none yet: they are only read, and `explain` answers them. Whoever has sent
        the replies calls `tell`.
        """
        waiting = [one for one in predictions if one.reply is None and self._read(one) and not one.work]
        while waiting:
            first = waiting[0]
            group = [one for one in waiting if one.predictor is first.predictor and one.counts == first.counts]
            self._infer(first.predictor, group)
            waiting = [one for one in waiting if one.reply is None]
        for one in predictions:
            if one.reply is not None:
                self._end(one, one.reply)

    def tell(self) -> None:
        """Tell drift, feedback and the log what was answered: once the answers are sent, for none to wait for it."""
        untold = self._untold
        with suppress(IndexError):
            while untold:
                self._traffic.answered(*untold.popleft())

    def finish(self) -> None:
        """The process ends: what it has told is for the others."""
        self._traffic.finish()

    def explain(self, one: Prediction) -> Reply:
        """The reply to a request for explanations that was read; it takes up to the seconds that a run may."""
        self._infer(one.predictor, [one])
        assert one.reply is not None
        return self._end(one, one.reply)

    def refuse(self, one: Prediction, error: ServiceError) -> Reply:
        """The refusal of a request for explanations that was read."""
        return self._end(one, refusal(error, one.request_id))

    def _end(self, one: Prediction, reply: Reply) -> Reply:
        if TRACE in one.environ:
            reply.head += lines(trace_headers(one.environ))
        self.observer.end(one.environ, one.metric, reply, (one.request_id, one.moments[0]))
        return reply

    def _read(self, one: Prediction) -> bool:
        """Read what is asked, or refuse it."""
        environ, choice = one.environ, one.choice
        began = perf_counter()
        try:
            body = read_body(environ, self._bounds.body_bytes, one.wire.media, one.memory)
            one.predictor = choice.predictor if choice.canary is None else choice.by_key(_key(environ, body))
            read = perf_counter()
            bounds = self._bounds
            allowance = Allowance(
                bounds.rows, bounds.answer_bytes, one.memory, bounds.run_seconds, bounds.ignore_extras
            )
            one.question = one.wire.read(one.predictor, body, environ, allowance)
            one.work = one.question.work
        except Exception as error:
            one.reply = _broken(error, one.request_id)
            return False
        one.moments += began, read, perf_counter()
        return True

    def _infer(self, predictor: Predictor, group: Sequence[Prediction]) -> None:
        """Answer requests to one predictor. Where their rows have no answer together, each gets its own."""
        began = perf_counter()
        parts = [one.question.tensors for one in group]
        try:
            tensors = parts[0] if len(parts) == 1 else _stacked(parts)
            probabilities = predictor.predict(tensors, self._bounds.run_seconds)
        except Exception as error:
            # What took too long together is not tried again one by one: that would take as long for each.
            if len(group) == 1 or isinstance(error, RunTimeout):
                for one in group:
                    one.reply = _broken(error, one.request_id)
            else:
                for one in group:
                    self._infer(predictor, [one])
            return
        inferred = perf_counter()
        if not group[0].wire.explains:
            self._note(predictor, group, tensors, probabilities)
        moments = began, inferred
        start = 0
        for one, part in zip(group, parts, strict=True):
            end = start + row_count(part)
            one.moments += moments
            self._reply(one, probabilities[start:end])
            # The shadow still needs them.
            if one.choice.shadow is None or not one.counts:
                release(part)
            start = end

    def _note(
        self, predictor: Predictor, group: Sequence[Prediction], together: Tensors, probabilities: Probabilities
    ) -> None:
        """Rows were answered together, which is to be told."""
        self._untold.append((predictor, group, together, probabilities))
        # Many texts are let go of before their answer is sent.
        if is_long(together):
            self.tell()

    def _reply(self, one: Prediction, probabilities: Probabilities) -> None:
        predictor = one.predictor
        began = perf_counter()
        try:
            members = None if predictor.sets is None else predictor.sets(probabilities)
            answer = one.question.answer(probabilities, members)
        except Exception as error:
            one.reply = _broken(error, one.request_id)
            return
        accepted = one.environ.get(ACCEPTED) if len(answer.body) >= LEAST_BYTES else None
        reply_with = compressed if accepted is not None and takes_gzip(accepted) else success
        one.reply = reply = reply_with(answer.body, one.request_id, answer.content_type)
        encoded = perf_counter()
        if answer.headers:
            reply.head += lines(answer.headers)
        reply.rows, reply.model = len(probabilities), (predictor.card.name, predictor.version)
        if members is not None and one.counts:
            self.observer.count_sets(members)
        if one.choice.shadow is not None and one.counts:
            self._shadowing.ask(one.choice.shadow, one.question.tensors, probabilities)
        if TIMING in one.environ:
            reply.head += lines([("Server-Timing", _timing((*one.moments, began, encoded)))])


def _stacked(parts: Sequence[Tensors]) -> Tensors:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _broken(error: Exception, request_id: str) -> Reply:
    return refusal(error, request_id) if isinstance(error, ServiceError) else failure(error, request_id)


def _key(environ: dict[str, Any], body: bytes) -> bytes:
    """What a request is known by: the key that the client gives it, else all that it asks."""
    given: str = environ.get(REQUEST_KEY, "")
    return given.encode(errors="backslashreplace") or body


def _timing(moments: Sequence[float]) -> str:
    """Milliseconds, as the Server-Timing header words them."""
    spans = {stage: 1000 * (moments[begin + 1] - moments[begin]) for stage, begin in STAGES.items()}
    return ", ".join(f"{stage};dur={milliseconds:.4f}" for stage, milliseconds in spans.items())
