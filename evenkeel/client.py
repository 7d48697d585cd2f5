"""A model asked through a running service, by Open Inference Protocol V2 with binary tensors, over one connection.

A service that is restarted, overloaded or silent for a while costs time and nothing else: to ask is to change nothing,
so whatever is not answered is asked again.
"""

import http.client
import json
import sys
import time
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import numpy as np
import numpy.typing as npt

from evenkeel.errors import RefusedByService, Unreachable
from models.card import ModelCard
from models.terminal import printable
from trainer.arrays import Array
from trainer.errors import InvalidSetting

# Of one request, where the service takes as much: it answers one in a few milliseconds, so others wait no longer.
MOST_ROWS, MOST_BYTES = 4096, 1 << 20
# How long one answer may take, as a share of the patience, and the pauses between attempts, in seconds.
ANSWER_SHARE, FIRST_PAUSE_S, LONGEST_PAUSE_S = 1 / 3, 0.1, 2.0
LONGEST_SENTENCE = 300
HEADER_LENGTH = "Inference-Header-Content-Length"
# Refused for now, and for being too much at once.
LATER, TOO_MUCH = (429, 502, 503), (413, 504)


class _Reply(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class RemoteModel:
    """A version of a model as a service answers with it; the same one to the end, whatever is promoted meanwhile."""

    in_process = False

    def __init__(
        self, url: str, model: str | None, version: int | None, key: str | None = None, patience: float = 60.0
    ) -> None:
        """Ask a service for the card of a model: its only one, unless one is named.

        :param patience: how long the service may not answer, or refuse for now, in seconds.
        :raises InvalidSetting: the address is none, or the service has several models.
        :raises RefusedByService: it has no such model, or wants another key.
        :raises Unreachable: it is not there.
        """
        parts = urlsplit(url)
        kind = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}.get(parts.scheme)
        try:
            port = parts.port
        except ValueError:
            kind = None
        if kind is None or not parts.hostname:
            raise InvalidSetting(f"'{url[:64]}' is no address of a service; it should look like http://127.0.0.1:8080")
        self.url, self._patience, self._met = url, patience, False
        self._connection = kind(parts.hostname, port, timeout=max(patience * ANSWER_SHARE, 1.0))
        self._base, self._headers = parts.path.rstrip("/"), {"X-API-Key": key} if key else {}
        self._rows = MOST_ROWS
        try:
            name = self._only_model() if model is None else model
            self.card, self.version = self._described(name, version)
        except BaseException:
            self.close()
            raise
        self._path = f"/v2/models/{quote(name, safe='')}/versions/{self.version}/infer"

    def close(self) -> None:
        self._connection.close()

    def answer(self, tensors: dict[str, npt.NDArray[Any]]) -> tuple[Array, dict[int, str]]:
        """Class probabilities (n, classes) of rows, and, of rows that the service would not take, why.

        :raises RefusedByService: it refuses more than single rows.
        :raises Unreachable: it does not answer, or refuses for longer than the patience.
        """
        rows, start = len(next(iter(tensors.values()))), 0
        answers = np.zeros((rows, len(self.card.classes)), np.float32)
        refused: dict[int, str] = {}
        while start < rows:
            count = min(self._rows, rows - start)
            head, body = _request(tensors, start, count)
            while len(body) > MOST_BYTES and count > 1:
                count = max(1, min(count // 2, count * MOST_BYTES // len(body)))
                head, body = _request(tensors, start, count)
            reply = self._ask("POST", self._path, body, {HEADER_LENGTH: str(head)})
            if reply.status in TOO_MUCH and count > 1:
                self._rows = count // 2
                continue
            if reply.status in TOO_MUCH:
                refused[start] = _sentence(reply)
            else:
                answers[start : start + count] = self._probabilities(reply, count)
            start += count
        return answers, refused

    def document(self, path: str) -> Any:
        """What the service has in JSON at a path.

        :raises RefusedByService: it refuses.
        :raises Unreachable: it does not answer, or refuses for longer than the patience.
        """
        return self._document(self._ask("GET", path))

    def _described(self, name: str, version: int | None) -> tuple[ModelCard, int]:
        place = f"/v1/models/{quote(name, safe='')}" + (f"/versions/{version}" if version else "")
        described = self._document(self._ask("GET", place))
        try:
            return ModelCard.model_validate_json(json.dumps(described["card"])), int(described["version"])
        except (KeyError, TypeError, ValueError):
            raise RefusedByService(
                f"{self.url} answers, but not with a model card; is it a service of Evenkeel?"
            ) from None

    def _only_model(self) -> str:
        document = self._document(self._ask("GET", "/v1/models"))
        try:
            names = [str(model["name"]) for model in document["models"]]
        except (KeyError, TypeError):
            raise RefusedByService(f"{self.url} answers, but not as a service of Evenkeel does") from None
        if len(names) != 1:
            raise InvalidSetting(f"say --model and a name: the service at {self.url} has {', '.join(names)[:400]}")
        return names[0]

    def _probabilities(self, reply: _Reply, rows: int) -> npt.NDArray[np.float32]:
        if reply.status != 200:
            raise RefusedByService(f"{self.url}: {_sentence(reply)}")
        try:
            data = reply.body[int(reply.headers[HEADER_LENGTH]) :]
            return np.frombuffer(data, "<f4").reshape(rows, len(self.card.classes))
        except (KeyError, ValueError):
            raise RefusedByService(f"{self.url}: the answer is no tensor of {rows} rows") from None

    def _document(self, reply: _Reply) -> Any:
        if reply.status != 200:
            raise RefusedByService(f"{self.url}: {_sentence(reply)}")
        try:
            return json.loads(reply.body)
        except ValueError:
            raise RefusedByService(f"{self.url} answers, but not as a service of Evenkeel does") from None

    def _ask(self, method: str, path: str, body: bytes | None = None, more: Mapping[str, str] | None = None) -> _Reply:
        """A reply that is no refusal for now; the request is sent again for as long as the patience lasts."""
        started, pause = time.monotonic(), FIRST_PAUSE_S
        while True:
            try:
                reply = self._send(method, path, body, {**self._headers, **(more or {})})
                if reply.status not in LATER:
                    self._met = True
                    return reply
                reason, wait = _sentence(reply), _retry_after(reply) or pause
            except (OSError, http.client.HTTPException) as error:
                # Nobody waits for a service that was never there: the address may be wrong.
                if not self._met and not isinstance(error, TimeoutError | http.client.HTTPException):
                    raise Unreachable(f"{self.url} cannot be reached: {_of(error)}; is it running there?") from None
                reason, wait = _of(error), pause
            left = self._patience - (time.monotonic() - started)
            if left <= 0:
                waited = f"for {self._patience:g} seconds; try again later, or say --patience with more"
                raise Unreachable(f"{self.url} has not answered {waited}: {reason}")
            if pause == FIRST_PAUSE_S:
                print(f"{self.url}: {reason}; trying again for {self._patience:g} s", file=sys.stderr)
            time.sleep(min(wait, left))
            pause = min(2 * pause, LONGEST_PAUSE_S)

    def _send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> _Reply:
        try:
            self._connection.request(method, self._base + path, body, headers)
            with self._connection.getresponse() as response:
                return _Reply(response.status, response.headers, response.read())
        except BaseException:
            self._connection.close()  # The next request opens another.
            raise


def _request(tensors: Mapping[str, npt.NDArray[Any]], start: int, count: int) -> tuple[int, bytes]:
    """A request for some rows: how long its JSON is, and all of it."""
    inputs, raw = [], []
    for name, tensor in tensors.items():
        some = tensor[start : start + count]
        if name == "numeric":
            datatype, data = "FP32", np.ascontiguousarray(some, "<f4").tobytes()
        else:
            texts = [text.encode() for text in some.ravel().tolist()]
            datatype, data = "BYTES", b"".join([len(text).to_bytes(4, "little") + text for text in texts])
        parameters = {"binary_data_size": len(data)}
        inputs.append({"name": name, "datatype": datatype, "shape": list(some.shape), "parameters": parameters})
        raw.append(data)
    wanted = [{"name": "probabilities", "parameters": {"binary_data": True}}]
    head = json.dumps({"inputs": inputs, "outputs": wanted}).encode()
    return len(head), b"".join([head, *raw])


def _sentence(reply: _Reply) -> str:
    """What a refusal says, and its status."""
    try:
        said = str(json.loads(reply.body)["error"])
    except (ValueError, KeyError, TypeError):
        said = http.client.responses.get(reply.status, "refused")
    return f"{printable(said, LONGEST_SENTENCE)} ({reply.status})"


def _retry_after(reply: _Reply) -> float | None:
    seconds = reply.headers.get("Retry-After", "")
    return float(seconds) if seconds.isascii() and seconds.isdigit() and len(seconds) < 9 else None


def _of(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return printable(str(reason).lower(), LONGEST_SENTENCE)
