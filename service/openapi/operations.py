"""Operations: what a route is asked and every status that it answers with."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from service.document import JSON
from service.errors import FAILED, NOT_ROUTED, REFUSALS
from service.openapi.schemas import Schema, reference

REQUEST_ID = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}
HEADERS = {"RequestId": {"description": "the name of this request, in the log too", "schema": {"type": "string"}}}
# What clients tell apart; all else that a request may be refused for stands under a range of statuses.
FOUND, ANSWERED = (404,), (404, 422, 503)
RANGES = ("4XX", "5XX")
KEYED = (401, 403)
# What some statuses say in a header.
SAYS = {
    401: ("WWW-Authenticate", "how to send a key"),
    405: ("Allow", "the methods that it takes"),
    503: ("Retry-After", "seconds to wait"),
}


def operation(
    name: str, tag: str, summary: str, answer: Mapping[str, Any], request: Mapping[str, Any] | None = None, *own: int
) -> Schema:
    """An operation: its 200 and its request as media types, and refusals, `own` being those that it tells apart."""
    statuses: tuple[int | str, ...] = (*own, *RANGES)
    described: Schema = {
        "operationId": name,
        "tags": [tag],
        "summary": summary,
        "responses": {"200": {"description": "the answer", "headers": REQUEST_ID, "content": dict(answer)}}
        | {str(status): refused(status) for status in statuses},
    }
    if request is not None:
        described["requestBody"] = {"required": True, "content": dict(request)}
    return described


def in_json(schema: Schema, example: object = None) -> Schema:
    """A JSON body, and one that is answered."""
    return {JSON: {"schema": schema} | ({} if example is None else {"example": example})}


def refused(status: int | str) -> Schema:
    """A reference to the response of a status that refuses, or of a range of them."""
    return {"$ref": f"#/components/responses/{_name(status)}"}


def refusals(*statuses: int | str) -> dict[str, Schema]:
    """The responses of statuses that refuse, by name: every code word and header that each may have."""
    return {_name(status): _refusal(status) for status in statuses}


def share(paths: dict[str, Schema]) -> dict[str, dict[str, Schema]]:
    """Let operations refer to what more than one of them has: their bodies and answers, which are returned by the name
    of the first.
    """
    places: dict[tuple[str, str], list[tuple[Schema, str, str]]] = {}
    for operations in paths.values():
        for described in operations.values():
            holders = [("responses", described["responses"], "200")]
            if "requestBody" in described:
                holders.append(("requestBodies", described, "requestBody"))
            for kind, holder, key in holders:
                text = json.dumps(holder[key])
                places.setdefault((kind, text), []).append((holder, key, described["operationId"]))
    shared: dict[str, dict[str, Schema]] = {"requestBodies": {}, "responses": {}}
    for (kind, _), found in places.items():
        if len(found) > 1:
            first, key, name = found[0]
            shared[kind][name] = first[key]
            for holder, key, _ in found:
                holder[key] = {"$ref": f"#/components/{kind}/{name}"}
    return shared


def _name(status: int | str) -> str:
    """The class of a range is its name."""
    if isinstance(status, str):
        return {"4XX": "Refused", "5XX": "Failed"}[status]
    # In each operation of each model, so it is short.
    short = {422: "Invalid", 503: "Busy"}.get(status)
    return short or "".join(word.capitalize() for word in HTTPStatus(status).phrase.split())


def _refusal(status: int | str) -> Schema:
    codes = [(refusal.status, refusal.code) for refusal in REFUSALS.values()]
    codes += [(known, code) for known, (code, _) in NOT_ROUTED.items()] + [(500, FAILED)]
    if isinstance(status, str):
        words = [f"{one} {code}" for one, code in sorted(codes) if str(one)[0] == status[0] and one not in KEYED]
    else:
        words = [code for one, code in codes if one == status]
    headers: Schema = dict(REQUEST_ID)
    for one, (header, told) in SAYS.items():
        if one == status or (one not in KEYED and str(one)[0] + "XX" == status):
            headers[header] = {"description": told, "schema": {"type": "string"}}
    return {"description": " or ".join(words), "headers": headers, "content": in_json(reference("Problem"))}
