"""A version of a model asked through a running service, by Open Inference Protocol V2 with binary tensors."""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from evenkeel.client.connection import Connection, Reply
from evenkeel.errors import RefusedByService
from models.card import ModelCard
from trainer.arrays import Array
from trainer.errors import InvalidSetting

# Of one request, where the service takes as much: it answers one in a few milliseconds, so others wait no longer.
MOST_ROWS, MOST_BYTES = 4096, 1 << 20
HEADER_LENGTH = "Inference-Header-Content-Length"
# Refused for being too much at once.
TOO_MUCH = (413, 504)

Tensors = Mapping[str, npt.NDArray[Any]]


class _Request(NamedTuple):
    """The rows of some tensors from `start` to `stop`, as they are sent; `head` is the length of its JSON."""

    start: int
    stop: int
    head: int
    body: bytes


class RemoteModel:
    """A version of a model as a service answers with it; the same one to the end, whatever is promoted meanwhile."""

    in_process = False

    def __init__(self, service: Connection, model: str | None, version: int | None) -> None:
        """Ask a service for the card of a model: its only one, unless one is named.

        :raises InvalidSetting: the service has several models.
        :raises RefusedByService: it has no such model, or wants another key.
        :raises Unreachable: it is not there.
        """
        self._service = service
        name = self._only_model() if model is None else model
        self.card, self.version = self._described(name, version)
        self._path = f"/v2/models/{quote(name, safe='')}/versions/{self.version}/infer"
        self._rows, self._bytes_of_row = MOST_ROWS, 1
        self.refused: dict[int, RefusedByService] = {}
        # The ids of the requests that were sent, and of how many rows each was; None of one that was not answered.
        self.sent: list[tuple[str | None, int]] = []

    def answer(self, tensors: Tensors) -> tuple[Array, dict[int, str]]:
        """Class probabilities (n, classes) of rows, and, of rows that the service would not take, why.

        :raises RefusedByService: it refuses more than single rows, which `refused` has until the next answer.
        :raises Unreachable: it does not answer, or refuses for longer than the patience.
        """
        rows = len(next(iter(tensors.values())))
        answers = np.zeros((rows, len(self.card.classes)), np.float32)
        self.refused = {}
        requests = self._requests(tensors, 0, rows)
        for request in requests if rows <= self._rows else _ahead(requests):
            self._answer(tensors, request, answers)
        return answers, {row: str(error).removeprefix(f"{self._service.url}: ") for row, error in self.refused.items()}

    def _answer(self, tensors: Tensors, request: _Request, answers: Array) -> None:
        """Write the answers to a request into those of all rows; one that is too long is cut in two."""
        start, stop, head, body = request
        count = stop - start
        if count <= self._rows:
            reply = self._service.ask("POST", self._path, body, {HEADER_LENGTH: str(head)})
            if reply.status not in TOO_MUCH:
                answers[start:stop] = self._probabilities(reply, count)
                self.sent.append((reply.headers.get("X-Request-Id"), count))
                return
            if count == 1:
                self.refused[start] = self._service.refusal(reply)
                self.sent.append((None, 1))
                return
            self._rows = count // 2
        for part in self._requests(tensors, start, stop):
            self._answer(tensors, part, answers)

    def _requests(self, tensors: Tensors, start: int, stop: int) -> Iterator[_Request]:
        """The rows from `start` to `stop`, by requests of as many as the service takes."""
        while start < stop:
            count = max(1, min(self._rows, stop - start, MOST_BYTES // self._bytes_of_row))
            head, body = batch(tensors, start, count)
            while len(body) > MOST_BYTES and count > 1:
                count = max(1, min(count - 1, count * MOST_BYTES // len(body)))
                head, body = batch(tensors, start, count)
            self._bytes_of_row = -(-len(body) // count)
            yield _Request(start, start + count, head, body)
            start += count

    def _described(self, name: str, version: int | None) -> tuple[ModelCard, int]:
        place = f"/v1/models/{quote(name, safe='')}" + (f"/versions/{version}" if version else "")
        described = self._service.document(place)
        try:
            return ModelCard.model_validate_json(json.dumps(described["card"])), int(described["version"])
        except (KeyError, TypeError, ValueError):
            raise self._service.stranger() from None

    def _only_model(self) -> str:
        document = self._service.document("/v1/models")
        try:
            names = [str(model["name"]) for model in document["models"]]
        except (KeyError, TypeError):
            raise self._service.stranger() from None
        if len(names) != 1:
            raise InvalidSetting(
                f"say --model and a name: the service at {self._service.url} has {', '.join(names)[:400]}"
            )
        return names[0]

    def _probabilities(self, reply: Reply, rows: int) -> npt.NDArray[np.float32]:
        if reply.status != 200:
            raise self._service.refusal(reply)
        try:
            data = reply.body[int(reply.headers[HEADER_LENGTH]) :]
            return np.frombuffer(data, "<f4").reshape(rows, len(self.card.classes))
        except (KeyError, TypeError, ValueError):
            raise self._service.stranger() from None


def _ahead(requests: Iterator[_Request]) -> Iterator[_Request]:
    """The same, each made in a thread while the one before it is answered."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, requests, None)
        while (request := coming.result()) is not None:
            coming = thread.submit(next, requests, None)
            yield request


class _Encoded(dict[str, bytes]):
    """Texts as tensors of BYTES have them; most stand in many rows."""

    def __missing__(self, text: str) -> bytes:
        data = text.encode()
        self[text] = encoded = len(data).to_bytes(4, "little") + data
        return encoded


def batch(tensors: Tensors, start: int, count: int) -> tuple[int, bytes]:
    """A request for some rows: how long its JSON is, and all of it."""
    inputs, raw = [], []
    for name, tensor in tensors.items():
        some = tensor[start : start + count]
        if name == "numeric":
            datatype, data = "FP32", np.ascontiguousarray(some, "<f4").tobytes()
        else:
            datatype, data = "BYTES", b"".join(map(_Encoded().__getitem__, some.ravel().tolist()))
        parameters = {"binary_data_size": len(data)}
        inputs.append({"name": name, "datatype": datatype, "shape": list(some.shape), "parameters": parameters})
        raw.append(data)
    wanted = [{"name": "probabilities", "parameters": {"binary_data": True}}]
    head = json.dumps({"inputs": inputs, "outputs": wanted}).encode()
    return len(head), b"".join([head, *raw])
