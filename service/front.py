"""The WSGI callable in front of Flask. Routing and dressing a request cost Flask several times what a prediction costs,
so predictions are answered here, by the same exchange that Flask's views call, and all else is Flask's.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from service.errors import ServiceError
from service.exchange import Exchange, Prediction
from service.reply import STATUS_LINES, Reply, refusal
from service.telemetry.observer import TRACE, Observer, trace_headers


class Front:
    """Answers predictions, and leaves every other request to Flask."""

    def __init__(self, flask: Any, exchange: Exchange, observer: Observer) -> None:
        self._flask = flask
        self._exchange = exchange
        self._observer = observer

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        prediction = self.prediction(environ)
        if prediction is None:
            answer: Iterable[bytes] = self._flask(environ, start_response)
            return answer
        self.predict([prediction])
        start_response(STATUS_LINES[prediction.reply.status], prediction.reply.headers)
        return [prediction.reply.body]

    def prediction(self, environ: dict[str, Any]) -> Prediction | None:
        """A request for predictions; None of any other."""
        target = self._exchange.target(environ["PATH_INFO"]) if environ["REQUEST_METHOD"] == "POST" else None
        return None if target is None else Prediction(environ, target)

    def predict(self, predictions: Sequence[Prediction]) -> None:
        """Reply to requests for predictions that have come together."""
        begun = []
        for one in predictions:
            begun.append(began := self._observer.begin(one.environ))
            one.request_id = began[0]
        self._exchange.answer(predictions)
        for one, began in zip(predictions, begun, strict=True):
            if TRACE in one.environ:
                one.reply.headers += trace_headers(one.environ)
            self._observer.end(one.environ, one.target.wire.route, one.reply, began)

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
