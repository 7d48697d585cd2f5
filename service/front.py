"""The WSGI callable in front of Flask. Routing and dressing a request cost Flask several times what a prediction costs,
so predictions are answered here, by the same exchange that Flask's views call, and all else is Flask's.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from service.errors import ServiceError
from service.exchange import Exchange, Target
from service.reply import STATUS_LINES, Reply, refusal
from service.telemetry.observer import TRACE, Observer, trace_headers


class Front:
    """Answers predictions, and leaves every other request to Flask."""

    def __init__(self, flask: Any, exchange: Exchange, observer: Observer) -> None:
        self._flask = flask
        self._exchange = exchange
        self._observer = observer

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        target = self.target(environ)
        if target is None:
            answer: Iterable[bytes] = self._flask(environ, start_response)
            return answer
        (reply,) = self.predict([(environ, target)])
        start_response(STATUS_LINES[reply.status], reply.headers)
        return [reply.body]

    def target(self, environ: Mapping[str, Any]) -> Target | None:
        """What a request for predictions asks for; None of any other."""
        return self._exchange.target(environ["PATH_INFO"]) if environ["REQUEST_METHOD"] == "POST" else None

    def predict(self, asked: Sequence[tuple[dict[str, Any], Target]]) -> list[Reply]:
        """The replies to requests for predictions that have come together."""
        begun = [self._observer.begin(environ) for environ, _ in asked]
        named = zip(asked, begun, strict=True)
        replies = self._exchange.answer_together([(environ, name, target) for (environ, target), (name, _) in named])
        for (environ, target), began, reply in zip(asked, begun, replies, strict=True):
            if TRACE in environ:
                reply.headers += trace_headers(environ)
            self._observer.end(environ, target.wire.route, reply, began)
        return replies

    def note(self, connections: int, waiting: int) -> None:
        """So many connections are open, and so many requests are with a thread or wait for one."""
        self._observer.note(connections, waiting)

    def refuse(self, environ: Mapping[str, Any], error: ServiceError) -> Reply:
        """The reply to a request that is not let in."""
        target = self._exchange.target(environ["PATH_INFO"])
        began = self._observer.begin(environ)
        reply = refusal(error, began[0])
        self._observer.end(environ, target.wire.route if target else "other", reply, began)
        return reply
