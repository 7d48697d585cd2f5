"""Replies: what goes back for a request, whoever routed it; and the one way in which a refusal is worded."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus

from service.compression import SWIFT, gzipped
from service.document import JSON, encode
from service.errors import FAILED, REFUSALS, Detail, ServiceError

log = logging.getLogger(__name__)

STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}

Header = tuple[str, str]

GZIPPED = "Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n"
# What a status has to say in a header. Without a right key no body is read, and no other request can follow it.
CLOSE = "Connection: close\r\n"
REFUSAL_LINES = {401: f'WWW-Authenticate: Bearer realm="evenkeel"\r\n{CLOSE}', 403: CLOSE, 503: "Retry-After: 1\r\n"}


@dataclass(slots=True)
class Reply:
    """Status, body and headers, these as the lines that are sent, each with its end; and, for logs and metrics, the
    code word, the rows, and the model and its version.
    """

    status: int
    body: bytes
    head: str = ""
    code: str = "ok"
    rows: int = 0
    model: tuple[str, int] | None = None

    @property
    def headers(self) -> list[Header]:
        """The headers as WSGI has them."""
        parts = (line.partition(": ") for line in self.head.split("\r\n")[:-1])
        return [(name, value) for name, _, value in parts]


def lines(headers: Iterable[Header]) -> str:
    """Headers as they are sent."""
    return "".join(f"{name}: {value}\r\n" for name, value in headers)


def success(body: bytes, request_id: str, content_type: str = JSON) -> Reply:
    """A 200."""
    return Reply(200, body, _head(content_type, len(body), request_id))


def compressed(body: bytes, request_id: str, content_type: str = JSON) -> Reply:
    """A 200 in gzip."""
    body = gzipped(body, SWIFT)
    return Reply(200, body, _head(content_type, len(body), request_id) + GZIPPED)


def refusal(error: ServiceError, request_id: str) -> Reply:
    """The reply to what the service refuses."""
    refused = REFUSALS[type(error)]
    if refused.status == 500:
        log.error("request failed", extra={"code": refused.code, "reason": str(error), "request_id": request_id})
    extra = REFUSAL_LINES.get(refused.status, "")
    return worded(str(error), refused.code, refused.status, request_id, error.details, extra)


def failure(error: Exception, request_id: str) -> Reply:
    """The reply to a defect: the client gets the request id, the log the traceback."""
    log.error("request failed", exc_info=error, extra={"request_id": request_id})
    return worded("the service failed to answer; its log has the request id", FAILED, 500, request_id)


def worded(
    sentence: str,
    code: str,
    status: int,
    request_id: str,
    details: list[Detail] | None = None,
    extra: str = "",
) -> Reply:
    """The error body of every route."""
    body = encode({"error": sentence, "code": code, "details": details or [], "request_id": request_id})
    return Reply(status, body, _head(JSON, len(body), request_id) + extra, code)


def _head(content_type: str, length: int, request_id: str) -> str:
    return (
        f"Content-Type: {content_type}\r\nContent-Length: {length}\r\nX-Request-Id: {request_id}\r\n"
        "X-Content-Type-Options: nosniff\r\n"
    )
