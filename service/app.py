"""The Flask application: blueprints, the wording of every refusal, and the callable in front of it."""

import re

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BaseConverter

from service.access import Access, scope_of
from service.errors import BAD_REQUEST, NOT_ROUTED, ServiceError
from service.exchange import Exchange
from service.front import Front
from service.lifecycle.shadowing import Shadowing
from service.registry import Registry
from service.reply import Reply, failure, refusal, worded
from service.routes import request_id, send
from service.routes.docs import docs
from service.routes.observation import observation
from service.routes.open_inference import open_inference
from service.routes.page import page
from service.routes.predictions import predictions
from service.telemetry.drift import WINDOW_SECONDS
from service.telemetry.metrics import Board, Metrics
from service.telemetry.observer import Observer, Trace, trace_headers

# Everything the pages need comes from this service, and nothing may frame them.
POLICY = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
# The metrics' name of each kind of path that Flask answers; the front knows its own.
ROUTES = (
    (re.compile(r"/v2/health/(live|ready)|/ping"), "health"),
    (re.compile(r"/v[12](/.*)?"), "metadata"),
    (re.compile(r"/metrics"), "metrics"),
    (re.compile(r"/|/docs|/openapi\.json|/static/.*"), "page"),
)


class Name(BaseConverter):
    """A model's name or version in a path: nothing with a colon, behind which the verb stands."""

    regex = "[^/:]+"


def create_app(
    registry: Registry,
    max_body_bytes: int,
    board: Board | None = None,
    access_log: bool = False,
    trace: Trace | None = None,
    access: Access | None = None,
    drift_seconds: float = WINDOW_SECONDS,
) -> Flask:
    """Wire the routes to a registry. Without a `board` the metrics are this process's own; without `access`
    nothing needs a key.
    """
    metrics = Metrics(board or Board.create(slots=1), drift_seconds)
    if board is not None:
        metrics.drift.follow()
    exchange = Exchange(registry, metrics.drift, Shadowing(metrics.count_shadow), max_body_bytes, access)
    observer = Observer(metrics, access_log, trace)
    app = Flask(__name__)
    app.url_map.merge_slashes = False
    app.url_map.converters["name"] = Name
    for routes in (
        predictions(registry, exchange),
        open_inference(registry, exchange),
        observation(registry, metrics),
        page(registry, access),
        docs(registry, access),
    ):
        app.register_blueprint(routes)
    app.register_error_handler(ServiceError, lambda error: send(refusal(error, request_id())))
    app.register_error_handler(HTTPException, _not_routed)
    app.register_error_handler(Exception, lambda error: send(failure(error, request_id())))
    _observe(app, exchange, observer)
    if access is not None:
        _guard(app, access)
    app.wsgi_app = Front(app.wsgi_app, exchange, observer)  # type: ignore[method-assign]
    return app


def _observe(app: Flask, exchange: Exchange, observer: Observer) -> None:
    """Let Flask's own answers be named, counted and logged as those of the front are."""

    @app.before_request
    def begin() -> None:
        g.began = observer.begin(request.environ)

    @app.after_request
    def end(response: Response) -> Response:
        for name, value in (("X-Request-Id", request_id()), ("X-Content-Type-Options", "nosniff")):
            response.headers.setdefault(name, value)
        if response.mimetype == "text/html":
            response.headers["Content-Security-Policy"] = POLICY
        response.headers.extend(trace_headers(request.environ))
        reply = g.get("reply") or Reply(response.status_code, b"")
        observer.end(request.environ, _route(exchange, request.path), reply, g.began)
        return response


def _guard(app: Flask, access: Access) -> None:
    """Ask for a key before anything else of Flask's is done, also where there is no such route."""

    @app.before_request
    def check() -> None:
        if scope := scope_of(request.path):
            access.check(request.environ, scope)


def _route(exchange: Exchange, path: str) -> str:
    if target := exchange.target(path):
        return target.wire.route
    return next((name for pattern, name in ROUTES if pattern.fullmatch(path)), "other")


def _not_routed(error: HTTPException) -> Response:
    """What Flask itself refuses: an unknown route, a method that a route does not take."""
    status = error.code or 500
    if status >= 500:
        return send(failure(error, request_id()))
    code, sentence = NOT_ROUTED.get(status, BAD_REQUEST)
    allowed = [(name, value) for name, value in error.get_headers(request.environ) if name == "Allow"]
    return send(worded(sentence, code, status, request_id(), extra=allowed))
