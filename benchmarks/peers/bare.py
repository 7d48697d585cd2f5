"""The floor: a WSGI callable that does nothing, and one that does what it must and checks nothing."""

import os
import sys

import numpy as np
import orjson
from granian import Granian
from granian.constants import Interfaces
from onnx_session import session

os.environ.setdefault("MODEL", "")


def empty(_, start_response):
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", "2")])
    return [b"{}"]


def bare():
    predict = session().run

    def answer(environ, start_response):
        rows = np.array([orjson.loads(environ["wsgi.input"].read())["instance"]], np.float32)
        (probabilities,) = predict(["probabilities"], {"numeric": rows})
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
