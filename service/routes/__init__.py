"""The routes: their table, and the views behind those that Flask answers. A view only translates between HTTP and the
functions behind it.
"""

from collections.abc import Callable
from typing import Any, cast

from flask import Response, g

from service.document import encode
from service.reply import STATUS_LINES, Reply, success

# By the name of their route.
Views = dict[str, Callable[..., Any]]


def send(reply: Reply) -> Response:
    """A reply as Flask sends it."""
    g.reply = reply
    return Response(reply.body, STATUS_LINES[reply.status], reply.headers)


def answer(document: object) -> Response:
    """A JSON answer."""
    return answer_text(encode(document))


def answer_text(text: bytes) -> Response:
    """A JSON answer that is written already."""
    return send(success(text, request_id()))


def request_id() -> str:
    """The name of the request that is being answered."""
    return cast(str, g.began[0])
