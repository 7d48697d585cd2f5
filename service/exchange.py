"""The way of every prediction, from a POST to its reply: body → question → probabilities → answer.

Whoever routes the request, the callable in front of Flask or a Flask view, calls the same method here.
"""

import re
from functools import lru_cache
from time import perf_counter
from typing import Any, NamedTuple

from service.access import Access
from service.errors import ServiceError
from service.lifecycle.shadowing import Shadowing
from service.registry import Registry
from service.reply import Reply, failure, refusal, success
from service.telemetry.drift import Drift
from service.wire.body import read_body
from service.wire.instances import INSTANCES
from service.wire.invocations import INVOCATIONS
from service.wire.open_inference.answers import inference
from service.wire.protocol import WireFormat

STAGES = ("find", "read", "parse", "infer", "encode", "drift")
TIMING = "HTTP_X_SERVER_TIMING"
REQUEST_KEY = "HTTP_X_REQUEST_KEY"

PATHS = 1024
_PATH = re.compile(r"/v(?:1|(2))/models/([^/:]+)(?:/versions/([^/:]+))?(?(1)/infer|:predict)")


class Target(NamedTuple):
    """What a path asks for: a wire format, and a model in a version; None is the default one, and whoever serves."""

    wire: WireFormat
    model: str | None = None
    version: str | None = None


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

    def answer(self, environ: dict[str, Any], request_id: str, target: Target) -> Reply:
        """The reply to one request; it never raises."""
        try:
            if self._access is not None:
                self._access.check(environ)
            began = perf_counter()
            choice = self._registry.choice(target.model, target.version)
            found = perf_counter()
            body = read_body(environ, self._limit, target.wire.media)
            predictor = choice.predictor if choice.canary is None else choice.by_key(_key(environ, body))
            read = perf_counter()
            question = target.wire.read(predictor, body, environ)
            parsed = perf_counter()
            probabilities = predictor.predict(question.tensors)
            inferred = perf_counter()
            answer = question.answer(probabilities)
            encoded = perf_counter()
            if predictor.watch is not None:
                self._drift.count(predictor.watch, question.tensors, probabilities)
            counted = perf_counter()
        except ServiceError as error:
            return refusal(error, request_id)
        except Exception as error:
            return failure(error, request_id)
        reply = success(answer.body, request_id, answer.content_type, answer.headers)
        reply.rows, reply.predictor = len(probabilities), predictor
        if choice.shadow is not None:
            self._shadowing.ask(choice.shadow, question.tensors, probabilities)
        if TIMING in environ:
            reply.headers.append(("Server-Timing", _timing(began, found, read, parsed, inferred, encoded, counted)))
        return reply


def _key(environ: dict[str, Any], body: bytes) -> bytes:
    """What a request is known by: the key that the client gives it, else all that it asks."""
    given: str = environ.get(REQUEST_KEY, "")
    return given.encode(errors="backslashreplace") or body


def _timing(*marks: float) -> str:
    """Milliseconds between marks, as the Server-Timing header words them."""
    spans = zip(STAGES, marks, marks[1:], strict=False)
    return ", ".join(f"{stage};dur={1000 * (end - start):.4f}" for stage, start, end in spans)
