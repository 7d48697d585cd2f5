"""What the service tells of each request: its name, its count and time in the metrics, and a line in the log."""

import logging
import re
import secrets
from collections.abc import Callable, Mapping
from itertools import count
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from service.reply import Header, Reply
from service.telemetry.board import Metrics

log = logging.getLogger(__name__)

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)
TRACE = "HTTP_TRACEPARENT"
LONGEST_PATH = 200

# Called after each request: with its route, its traceparent, the fields of its event and its seconds.
Trace = Callable[[str, str | None, Mapping[str, Any], float], None]
# What the log calls the API key of a request, by its environment.
KeyName = Callable[[Mapping[str, Any]], str | None]


class Observer:
    """Names and observes the requests of one worker."""

    def __init__(
        self, metrics: Metrics, access_log: bool, trace: Trace | None, key_name: KeyName | None = None
    ) -> None:
        """`key_name` tells what the log calls the API key of a request."""
        self._metrics = metrics
        self._key_name = key_name
        self._access_log = access_log
        self._trace = trace
        # Unique by the worker's own random part; counting up is cheaper than drawing anew.
        self._prefix = secrets.token_hex(10)
        self._count = count()

    def begin(self, environ: Mapping[str, Any]) -> tuple[str, float]:
        """A request has come in: its name, the client's own where that is a plain word; and the moment."""
        given = environ.get("HTTP_X_REQUEST_ID")
        if given is not None and REQUEST_ID.fullmatch(given):
            return given, perf_counter()
        return f"{self._prefix}{next(self._count):012x}", perf_counter()

    def count_sets(self, members: npt.NDArray[np.bool_]) -> None:
        """Rows were answered with these sets, (n, classes)."""
        self._metrics.count_sets(np.bincount(members.sum(axis=1)).tolist())

    def note(self, connections: int, waiting: int, lag: float) -> None:
        """So many connections are open, so many requests are with a thread or wait for one, and by so many seconds the
        event loop is late.
        """
        self._metrics.note({"connections": connections, "requests_waiting": waiting})
        self._metrics.count_lag(lag)

    def end(self, environ: Mapping[str, Any], route: str, reply: Reply, began: tuple[str, float]) -> None:
        """The request was answered."""
        request_id, started = began
        seconds = perf_counter() - started
        self._metrics.count(route, reply.code, reply.rows, seconds)
        if self._access_log or self._trace:
            event = _event(environ, route, reply, request_id, seconds)
            if self._key_name is not None and (name := self._key_name(environ)):
                event["key"] = name
            if self._access_log:
                log.info("request", extra=event)
            if self._trace:
                self._trace(route, environ.get(TRACE), event, seconds)


def trace_headers(environ: Mapping[str, Any]) -> tuple[Header, ...]:
    """The client's W3C trace context, passed through where it is well-formed."""
    given = environ.get(TRACE, "")
    return (("traceparent", given),) if TRACEPARENT.fullmatch(given) else ()


def _event(environ: Mapping[str, Any], route: str, reply: Reply, request_id: str, seconds: float) -> dict[str, Any]:
    event: dict[str, Any] = {
        "client": environ.get("REMOTE_ADDR", ""),
        "method": environ["REQUEST_METHOD"],
        "path": environ["PATH_INFO"][:LONGEST_PATH],
        "route": route,
        "status": reply.status,
        "code": reply.code,
        "milliseconds": round(1000 * seconds, 3),
        "request_id": request_id,
    }
    if reply.model is not None:
        event |= {"model": reply.model[0], "version": reply.model[1], "rows": reply.rows}
    if trace := trace_headers(environ):
        event["trace_id"] = trace[0][1].split("-")[1]
    return event
