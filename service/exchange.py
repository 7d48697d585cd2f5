"""The way of every prediction, from a POST to its reply: body → question → probabilities → answer.

Whoever routes the request, the callable in front of Flask or a Flask view, calls the same method here. Requests that
have come together go the way side by side, and their rows through the network in one run: that takes little longer
than one of them alone, and nobody waits for others to come.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from service.access import Access
from service.errors import ServiceError
from service.lifecycle.served import Choice
from service.lifecycle.shadowing import Shadowing
from service.predictor import Predictor
from service.registry import Registry
from service.reply import Reply, failure, refusal, success
from service.telemetry.drift import Drift
from service.wire.body import read_body
from service.wire.instances import INSTANCES
from service.wire.invocations import INVOCATIONS
from service.wire.open_inference.answers import inference
from service.wire.protocol import Question, WireFormat
from service.wire.rows import Tensors, row_count
from service.wire.wording import Probabilities

# At which of the moments of a prediction a stage begins; it ends at the next. Between them, it waits for its company.
STAGES = {"find": 0, "read": 1, "parse": 2, "infer": 4, "drift": 5, "encode": 7}
TIMING = "HTTP_X_SERVER_TIMING"
REQUEST_KEY = "HTTP_X_REQUEST_KEY"

PATHS = 1024
_PATH = re.compile(r"/v(?:1|(2))/models/([^/:]+)(?:/versions/([^/:]+))?(?(1)/infer|:predict)")


class Target(NamedTuple):
    """What a path asks for: a wire format, and a model in a version; None is the default one, and whoever serves."""

    wire: WireFormat
    model: str | None = None
    version: str | None = None


@dataclass(slots=True)
class Prediction:
    """A request for predictions on its way: its WSGI environment, what it asks for and its name; what was read of it,
    what came out, and the moments when; and its reply.
    """

    environ: dict[str, Any]
    target: Target
    request_id: str = "-"
    choice: Choice = field(init=False)
    predictor: Predictor = field(init=False)
    question: Question = field(init=False)
    outcome: Probabilities = field(init=False)
    moments: tuple[float, ...] = field(init=False)
    reply: Reply = field(init=False)


DEFAULT = Target(INSTANCES)


class Exchange:
    """Answers predictions from the models of a registry."""

    def __init__(
        self, registry: Registry, drift: Drift, shadowing: Shadowing, max_body_bytes: int, access: Access | None
    ) -> None:
        self._registry = registry
        self._drift = drift
        self._shadowing = shadowing
        self._access = access
        self._limit = max_body_bytes
        self.inference = inference()
        # What a POST to a path asks for; None where it asks for no prediction. The same few paths come again and again.
        self.target = lru_cache(PATHS)(self._target)

    def _target(self, path: str) -> Target | None:
        if path == "/predict":
            return DEFAULT
        if path == "/invocations":
            return Target(INVOCATIONS)
        if match := _PATH.fullmatch(path):
            return Target(self.inference if match[1] else INSTANCES, match[2], match[3])
        return None

    def answer(self, predictions: Sequence[Prediction]) -> None:
        """Reply to requests that have come together, to each as if it had come alone; it never raises."""
        waiting = [one for one in predictions if self._read(one)]
        while waiting:
            predictor = waiting[0].predictor
            self._infer(predictor, [one for one in waiting if one.predictor is predictor])
            waiting = [one for one in waiting if one.predictor is not predictor]

    def _read(self, one: Prediction) -> bool:
        """Read what is asked, or refuse it."""
        environ, target = one.environ, one.target
        try:
            if self._access is not None:
                self._access.check(environ)
            began = perf_counter()
            one.choice = choice = self._registry.choice(target.model, target.version)
            found = perf_counter()
            body = read_body(environ, self._limit, target.wire.media)
            one.predictor = choice.predictor if choice.canary is None else choice.by_key(_key(environ, body))
            read = perf_counter()
            one.question = target.wire.read(one.predictor, body, environ)
            one.moments = began, found, read, perf_counter()
            return True
        except Exception as error:
            one.reply = _broken(error, one.request_id)
            return False

    def _infer(self, predictor: Predictor, group: Sequence[Prediction]) -> None:
        """Reply to requests to one predictor. Where their rows have no answer together, each gets its own."""
        began = perf_counter()
        parts = [one.question.tensors for one in group]
        try:
            tensors = parts[0] if len(parts) == 1 else _stacked(parts)
            probabilities = predictor.predict(tensors)
            inferred = perf_counter()
            if predictor.watch is not None:
                self._drift.count(predictor.watch, tensors, probabilities)
        except Exception as error:
            if len(group) == 1:
                group[0].reply = _broken(error, group[0].request_id)
            else:
                for one in group:
                    self._infer(predictor, [one])
            return
        moments = began, inferred, perf_counter()
        start = 0
        for one, part in zip(group, parts, strict=True):
            end = start + row_count(part)
            one.outcome = probabilities[start:end]
            one.moments += moments
            start = end
            self._reply(one)

    def _reply(self, one: Prediction) -> None:
        try:
            began = perf_counter()
            answer = one.question.answer(one.outcome)
            encoded = perf_counter()
        except Exception as error:
            one.reply = _broken(error, one.request_id)
            return
        one.reply = reply = success(answer.body, one.request_id, answer.content_type, answer.headers)
        reply.rows, reply.predictor = len(one.outcome), one.predictor
        if one.choice.shadow is not None:
            self._shadowing.ask(one.choice.shadow, one.question.tensors, one.outcome)
        if TIMING in one.environ:
            reply.headers.append(("Server-Timing", _timing((*one.moments, began, encoded))))


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
