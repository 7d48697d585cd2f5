"""The Flask application: the views by the table of routes, the wording of every refusal, and the front before it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.routing import BaseConverter

from service.access import Access
from service.errors import BAD_REQUEST, NOT_ROUTED, ServiceError
from service.prediction.prediction import Bounds, Predictions
from service.prediction.shadowing import Shadowing
from service.prediction.traffic import Traffic
from service.registry.registry import Registry
from service.reply import STATUS_LINES, Reply, failure, lines, refusal, worded
from service.routes import request_id, send
from service.routes.compressed import compress, send_whole
from service.routes.docs import docs
from service.routes.drift import drift
from service.routes.feedback import feedback
from service.routes.models import models
from service.routes.observation import observation
from service.routes.open_inference import open_inference
from service.routes.page import page
from service.routes.performance import performance
from service.routes.table import PARAMETER, ROUTES, metric_of, prediction, scope_of
from service.telemetry.board import Board, Metrics
from service.telemetry.drift import WINDOW_SECONDS
from service.telemetry.journal import Journal
from service.telemetry.observer import Observer, Trace, trace_headers
from service.wire.unspoken import instead

# Everything the pages need comes from this service, and nothing may frame them.
POLICY = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"


class Parameter(BaseConverter):
    """A model's name or version in a path."""

    regex = PARAMETER


@dataclass(frozen=True)
class Front:
    """The WSGI callable in front of Flask. Routing and dressing a request cost Flask several times what a prediction
    costs, so predictions are answered before it, and all else is Flask's.
    """

    flask: Any
    predictions: Predictions

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        match = prediction(environ["REQUEST_METHOD"], environ["PATH_INFO"])
        if match is None:
            answer: Iterable[bytes] = self.flask(environ, start_response)
            return answer
        route, model, version = match
        assert route.wire is not None
        one = self.predictions.begin(environ, route.wire, route.metric, model, version)
        self.predictions.answer([one])
        reply = one.reply or self.predictions.explain(one)
        self.predictions.tell()
        start_response(STATUS_LINES[reply.status], reply.headers)
        return [reply.body]

    def refuse(self, environ: Mapping[str, Any], error: ServiceError) -> Reply:
        """The reply to a request that is not let in."""
        return self.observe(environ, partial(refusal, error))

    def observe(self, environ: Mapping[str, Any], make: Callable[[str], Reply]) -> Reply:
        """The reply that is made, by the request's id, before Flask sees the request."""
        observer = self.predictions.observer
        began = observer.begin(environ)
        reply = make(began[0])
        observer.end(environ, metric_of(environ["PATH_INFO"]), reply, began)
        return reply


def create_app(
    registry: Registry,
    bounds: Bounds,
    board: Board | None = None,
    access_log: bool = False,
    trace: Trace | None = None,
    access: Access | None = None,
    drift_seconds: float = WINDOW_SECONDS,
    journal: Journal | None = None,
) -> Flask:
    """Wire the routes to a registry. Without a `board` the metrics are this process's own; without `access`
    nothing needs a key; without a `journal` there is no prediction log.
    """
    metrics = Metrics(board or Board.create(slots=1), drift_seconds)
    if board is not None and metrics.drift.on:
        metrics.drift.follow()
    if board is not None and metrics.feedback.on:
        metrics.feedback.follow()
    observer = Observer(metrics, access_log, trace, access.name if access is not None else None)
    shadowing = Shadowing(metrics.count_shadow)
    journal = journal or Journal()
    traffic = Traffic(metrics.drift, metrics.feedback, journal)
    predictions = Predictions(registry, observer, traffic, shadowing, bounds, access)
    app = Flask(__name__)
    app.url_map.merge_slashes = False
    app.url_map.converters["parameter"] = Parameter
    views = {
        **models(registry),
        **open_inference(registry, metrics.drift),
        **observation(registry, metrics),
        **drift(registry, metrics),
        **feedback(registry, metrics, journal),
        **performance(registry, metrics),
        **page(registry, access),
        **docs(registry, access),
    }
    for route in ROUTES:
        if route.name != "static":  # Flask's own.
            rule = route.path.replace("{", "<parameter:").replace("}", ">")
            # A route for predictions has no view: here it only tells which methods it takes.
            view = views[route.name] if route.wire is None else None
            app.add_url_rule(rule, route.name, view, methods=[route.method])
    app.register_error_handler(ServiceError, lambda error: send(refusal(error, request_id())))
    app.register_error_handler(HTTPException, _not_routed)
    app.register_error_handler(Exception, lambda error: send(failure(error, request_id())))
    _observe(app, observer)

    @app.before_request
    def refuse_twins() -> None:
        """Flask takes a path with more slashes before it for the same, which a proxy in front may not."""
        if request.environ["PATH_INFO"].startswith("//"):
            raise NotFound

    if access is not None:
        _guard(app, access)
    app.wsgi_app = Front(app.wsgi_app, predictions)  # type: ignore[method-assign]
    return app


def _observe(app: Flask, observer: Observer) -> None:
    """Let Flask's own answers be named, counted and logged as predictions are."""

    @app.before_request
    def begin() -> None:
        g.began = observer.begin(request.environ)
        send_whole(request)

    @app.after_request
    def end(response: Response) -> Response:
        for name, value in (("X-Request-Id", request_id()), ("X-Content-Type-Options", "nosniff")):
            response.headers.setdefault(name, value)
        if response.mimetype == "text/html":
            response.headers.setdefault("Content-Security-Policy", POLICY)
        response.headers.extend(trace_headers(request.environ))
        compress(response, request)
        reply = g.get("reply") or Reply(response.status_code, b"")
        observer.end(request.environ, metric_of(request.path), reply, g.began)
        return response


def _guard(app: Flask, access: Access) -> None:
    """Ask for a key before anything else of Flask's is done, also where there is no such route; let no cache keep what
    it opened.
    """

    @app.before_request
    def check() -> None:
        if scope := scope_of(request.environ["PATH_INFO"]):
            access.check(request.environ, scope)

    @app.after_request
    def keep_from_caches(response: Response) -> Response:
        """Of X-API-Key no cache knows that an answer to one client is none to another (RFC 9111, section 3.5)."""
        if scope_of(request.environ["PATH_INFO"]):
            response.headers["Cache-Control"] = "no-store"
        return response


def _not_routed(error: HTTPException) -> Response:
    """What Flask itself refuses: an unknown route, a method that a route does not take."""
    status = error.code or 500
    if status >= 500:
        return send(failure(error, request_id()))
    code, sentence = NOT_ROUTED.get(status, BAD_REQUEST)
    if status == 404:
        sentence = instead(request.environ["PATH_INFO"]) or sentence
    allowed = [(name, value) for name, value in error.get_headers(request.environ) if name == "Allow"]
    return send(worded(sentence, code, status, request_id(), extra=lines(allowed)))
