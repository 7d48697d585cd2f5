"""The description of the service, for programs."""

from flask import Response

from service.access import Access
from service.errors import ServiceError
from service.openapi.document import document
from service.openapi.security import secured
from service.registry.registry import Registry
from service.routes import Views, answer


def docs(registry: Registry, access: Access | None) -> Views:
    """OpenAPI, as JSON."""

    def openapi() -> Response:
        try:
            default = registry.predictor()
        except ServiceError:
            default = None
        described = document(registry, default)
        return answer(described if access is None else secured(described))

    return {"openapi": openapi}
