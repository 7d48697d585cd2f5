"""What the description of a service says of its API keys, where it asks for them."""

from typing import Any

from service.openapi.operations import KEYED, refusals, refused
from service.routes.table import scope_of

SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "an API key as a bearer token"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "the same in a header of its own"},
}
EITHER: list[dict[str, list[str]]] = [{"bearer": []}, {"key": []}]


def secured(document: dict[str, Any]) -> dict[str, Any]:
    """The document of a service that asks for keys: every operation but those that are open needs one."""
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if scope_of(path) is None:
                operation["security"] = []
            else:
                operation["responses"] |= {str(status): refused(status) for status in KEYED}
    document["components"]["responses"] |= refusals(*KEYED)
    document["components"]["securitySchemes"] = SCHEMES
    return document | {"security": EITHER}
