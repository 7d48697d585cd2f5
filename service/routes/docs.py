"""The description of the service, for programs and for people."""

from flask import Blueprint, Response, render_template

from service.errors import ServiceError
from service.openapi.document import document
from service.registry import Registry
from service.routes import answer


def docs(registry: Registry) -> Blueprint:
    """GET /openapi.json, GET /docs."""
    routes = Blueprint("docs", __name__)

    @routes.get("/openapi.json")
    def get_openapi() -> Response:
        try:
            default = registry.predictor()
        except ServiceError:
            default = None
        return answer(document(registry, default))

    @routes.get("/docs")
    def get_docs() -> str:
        return render_template("docs.html")

    return routes
