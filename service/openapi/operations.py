"""Operations: what a route is asked and every status that it answers with."""

from collections.abc import Mapping
from typing import Any

from service.document import JSON
from service.errors import FAILED, NOT_ROUTED, REFUSALS
from service.openapi.schemas import Schema

ERROR = {
    "type": "object",
    "properties": {
        "error": {"type": "string", "description": "one sentence: the rule, the place, the way out"},
        "code": {"type": "string"},
        "details": {
            "type": "array",
            "maxItems": 20,
            "items": {"type": "object", "additionalProperties": {"type": ["string", "integer"]}},
        },
        "request_id": {"type": "string"},
    },
    "required": ["error", "code", "details", "request_id"],
    "additionalProperties": False,
}
REQUEST_ID = {"X-Request-Id": {"description": "the name of this request, in the log too", "schema": {"type": "string"}}}
# What any route may answer, and what those with a body may.
ANYWHERE = (400, 404, 405, 414, 417, 421, 431, 500, 501, 503, 505)
WITH_BODY = (*ANYWHERE, 408, 411, 413, 415)


def operation(
    name: str, summary: str, answer: Mapping[str, Any], request: Mapping[str, Any] | None = None, *more: int
) -> Schema:
    """An operation: its 200 and its request as media types, and refusals, `more` being those of its own."""
    statuses = {*(ANYWHERE if request is None else WITH_BODY), *more}
    described: Schema = {
        "operationId": name,
        "summary": summary,
        "responses": {"200": {"description": "the answer", "headers": REQUEST_ID, "content": dict(answer)}}
        | {str(status): refusal(status) for status in sorted(statuses)},
    }
    if request is not None:
        described["requestBody"] = {"required": True, "content": dict(request)}
    return described


def in_json(schema: Schema) -> Schema:
    """A JSON body."""
    return {JSON: {"schema": schema}}


def reference(name: str) -> Schema:
    """A schema that is described once."""
    return {"$ref": f"#/components/schemas/{name}"}


def refusal(status: int) -> Schema:
    """The response of a status that refuses: every code word and header that it may have."""
    codes = [refusal.code for refusal in REFUSALS.values() if refusal.status == status]
    codes += [code for known, (code, _) in NOT_ROUTED.items() if known == status]
    codes += [FAILED] * (status == 500)
    headers: Schema = dict(REQUEST_ID)
    if status == 405:
        headers["Allow"] = {"description": "the methods that it takes", "schema": {"type": "string"}}
    if status == 401:
        headers["WWW-Authenticate"] = {"description": "how to send a key", "schema": {"type": "string"}}
    if status == 503:
        headers["Retry-After"] = {"description": "seconds to wait", "schema": {"type": "string"}}
    return {"description": " or ".join(codes), "headers": headers, "content": in_json(reference("Error"))}
