"""The description of the service, for programs and for people."""

from flask import Blueprint, Response, render_template, request

from service.access import Access
from service.errors import ServiceError
from service.openapi.document import document
from service.openapi.security import secured
from service.registry import Registry
from service.routes import answer


def docs(registry: Registry, access: Access | None) -> Blueprint:
    """GET /openapi.json, GET /docs."""
    routes = Blueprint("docs", __name__)

    @routes.get("/openapi.json")
    def get_openapi() -> Response:
        try:
            default = registry.predictor()
        except ServiceError:
            default = None
        described = document(registry, default)
        return answer(described if access is None else secured(described))

    @routes.get("/docs")
    def get_docs() -> str:
        return render_template("docs.html" if access is None or access.allows(request.environ) else "locked.html")

    return routes
