"""The Flask application: blueprints, one error handler, a request id."""

import logging
import re
import uuid

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from service.errors import REFUSALS, Detail, ServiceError
from service.registry import Registry
from service.routes import answer
from service.routes.open_inference import open_inference
from service.routes.page import page
from service.routes.predictions import predictions

log = logging.getLogger(__name__)

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
RETRY_SECONDS = "1"
NOT_ROUTED = {
    404: "there is no such route; GET /v1/models lists the models",
    405: "this route does not take this method; the Allow header lists those it takes",
}
# Everything the page needs comes from this service, and nothing may frame it.
POLICY = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"


def create_app(registry: Registry, max_body_bytes: int) -> Flask:
    """Wire the routes to a registry."""
    app = Flask(__name__)
    app.register_blueprint(predictions(registry, max_body_bytes))
    app.register_blueprint(open_inference(registry, max_body_bytes))
    app.register_blueprint(page(registry))
    app.register_error_handler(ServiceError, _refused)
    app.register_error_handler(HTTPException, _not_routed)
    app.register_error_handler(Exception, _failed)
    app.before_request(_name_request)
    app.after_request(_finish)
    return app


def _name_request() -> None:
    given = request.headers.get("X-Request-Id", "")
    g.request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _finish(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.request_id
    response.headers["X-Content-Type-Options"] = "nosniff"
    if response.mimetype == "text/html":
        response.headers["Content-Security-Policy"] = POLICY
    return response


def _refused(error: ServiceError) -> Response:
    refusal = REFUSALS[type(error)]
    if refusal.status == 500:
        log.error("request failed", extra={"code": refusal.code, "reason": str(error), "request_id": g.request_id})
    response = _error(str(error), refusal.code, refusal.status, error.details)
    if refusal.status == 503:
        response.headers["Retry-After"] = RETRY_SECONDS
    return response


def _not_routed(error: HTTPException) -> Response:
    """What Flask itself refuses: an unknown route, a method that a route does not take."""
    status = error.code or 500
    code = (error.name or "error").lower().replace(" ", "_")
    response = _error(NOT_ROUTED.get(status, code.replace("_", " ")), code, status, [])
    for header, value in error.get_headers(request.environ):
        if header == "Allow":
            response.headers[header] = value
    return response


def _failed(error: Exception) -> Response:
    log.error("request failed", exc_info=error, extra={"request_id": g.request_id})
    return _error("the service failed to answer; its log has the request id", "internal_error", 500, [])


def _error(message: str, code: str, status: int, details: list[Detail]) -> Response:
    return answer({"error": message, "code": code, "details": details, "request_id": g.request_id}, status)
