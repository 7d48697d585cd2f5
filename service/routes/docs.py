"""The description of the service, for programs and for people."""

from flask import Response, render_template, request

from service.access import Access
from service.errors import ServiceError
from service.openapi.document import document
from service.openapi.security import secured
from service.registry.registry import Registry
from service.routes import Views, answer


def docs(registry: Registry, access: Access | None) -> Views:
    """OpenAPI, as JSON and as a page."""

    def openapi() -> Response:
        try:
            default = registry.predictor()
        except ServiceError:
            default = None
        described = document(registry, default)
        return answer(described if access is None else secured(described))

    def show() -> str:
        return render_template("docs.html" if access is None or access.allows(request.environ) else "locked.html")

    return {"openapi": openapi, "docs": show}
