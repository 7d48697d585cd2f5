"""The description of the service, for programs."""

from flask import Response, g, request

from service.access import Access
from service.document import encode
from service.errors import ServiceError
from service.openapi.document import document
from service.openapi.security import secured
from service.registry.registry import Registry
from service.routes import Views, answer_text
from service.routes.kept import Kept


def docs(registry: Registry, access: Access | None) -> Views:
    """OpenAPI, as JSON."""
    kept = Kept()

    def openapi() -> Response:
        serving, loaded = registry.serving, registry.predictors
        try:
            default = registry.predictor()
        except ServiceError:
            default = None

        def make() -> bytes:
            described = document(serving, loaded, default)
            return encode(described if access is None else secured(described))

        response = answer_text(kept.get("openapi", [default, *serving, *loaded], make))
        response.add_etag()
        response.make_conditional(request)
        g.reply.status = response.status_code
        return response

    return {"openapi": openapi}
