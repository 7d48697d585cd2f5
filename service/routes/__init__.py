"""The routes, a blueprint a protocol. They only translate between HTTP and the functions behind them."""

from typing import cast

from flask import Response, g, request

from service.exchange import Exchange, Prediction, Target
from service.reply import STATUS_LINES, Reply, success
from service.wire.document import encode


def send(reply: Reply) -> Response:
    """A reply as Flask sends it."""
    g.reply = reply
    return Response(reply.body, STATUS_LINES[reply.status], reply.headers)


def answer(document: object) -> Response:
    """A JSON answer."""
    return send(success(encode(document), request_id()))


def predict(exchange: Exchange, target: Target) -> Response:
    """The answer to a request for predictions."""
    prediction = Prediction(request.environ, target, request_id())
    exchange.answer([prediction])
    return send(prediction.reply)


def request_id() -> str:
    """The name of the request that is being answered."""
    return cast(str, g.began[0])
