"""The routes, a blueprint a protocol. They only translate between HTTP and the functions behind them."""

from flask import Response

from service.wire.body import JSON, encode


def answer(document: object, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(encode(document), status, content_type=JSON)
