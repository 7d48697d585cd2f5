"""The floor: a WSGI callable that does nothing, and one that does what it must and checks nothing."""

import os
import sys

import orjson
from granian import Granian
from granian.constants import Interfaces
from onnx_session import predictor

os.environ.setdefault("MODEL", "")


def empty(_, start_response):
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", "2")])
    return [b"{}"]


def bare():
    predict = predictor()

    def answer(environ, start_response):
        probabilities = predict(orjson.loads(environ["wsgi.input"].read())["instance"])
        body = orjson.dumps({"probabilities": probabilities}, option=orjson.OPT_SERIALIZE_NUMPY)
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    return answer


if __name__ == "__main__":
    target, port = sys.argv[1], int(sys.argv[2])
    server = Granian(
        f"bare:{target}",
        factory=target == "bare",
        interface=Interfaces.WSGI,
        port=port,
        websockets=False,
        blocking_threads=1,
        log_enabled=False,
    )
    server.serve()
