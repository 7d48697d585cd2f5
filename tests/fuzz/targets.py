"""What is fuzzed: each target takes any bytes and raises only where a promise is broken.

A refusal is a promise kept. `cases/NAME/` holds what once broke one, and seeds are inputs that reach deep.
"""

import asyncio
import gzip
import io
import json
import random
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

from models.errors import ModelError
from models.repository import ModelRepository
from service.app import Front, create_app
from service.http.admission import Admission, Limits, Reservation
from service.http.connection import Connection
from service.http.dispatch import Answers, Dispatcher
from service.http.heads import Request
from service.model_file.structure import check_structure
from service.prediction.prediction import Bounds
from service.prediction.predictor import Predictor
from service.registry.registry import Registry
from service.reply import Header, Reply, lines
from tests.service.conftest import GENTOO, NUMBERS, PUBLISHED
from trainer.data.inspection import with_findings
from trainer.data.table import read_table
from trainer.errors import TrainerError

CASES = Path(__file__).parent / "cases"
PENGUINS = Path(__file__).parents[2] / "examples/penguins.csv"
LIMIT = 4096
LONGEST_REFUSAL = 8192
# Of a crowd: what stands between what its connections say, how much each says, and how many there are.
BETWEEN, LONGEST_SAID, MOST_CONNECTIONS = b"\0\0", 4096, 4
REFUSED = {400, 411, 413, 415, 422}

Environ = Mapping[str, str]


@dataclass(frozen=True)
class Target:
    """`run` takes an input; its first `head` bytes choose how the rest is sent."""

    run: Callable[[bytes], None]
    seeds: Callable[[], Iterator[bytes]]
    head: int = 0


@cache
def _app() -> Any:
    registry = Registry(ModelRepository(PUBLISHED))
    registry.refresh()
    return create_app(registry, Bounds(LIMIT))


def ask(path: str, body: bytes, environ: Environ) -> int:
    """POST a body to the application: exactly one reply, a 200 or a worded refusal, and never a 500."""
    statuses: list[int] = []
    written = b"".join(
        _app()(
            {
                "REQUEST_METHOD": "POST",
                "PATH_INFO": path,
                "QUERY_STRING": "",
                "SERVER_NAME": "localhost",
                "SERVER_PORT": "80",
                "SERVER_PROTOCOL": "HTTP/1.1",
                "wsgi.url_scheme": "http",
                "wsgi.input": io.BytesIO(body),
                "wsgi.input_terminated": True,
                **environ,
            },
            lambda status, headers, exc_info=None: statuses.append(int(status[:3])),
        )
    )
    (status,) = statuses
    assert status == 200 or status in REFUSED, f"{status}: {written[:300]!r}"
    if status != 200:
        document = json.loads(written)
        assert document.keys() == {"error", "code", "details", "request_id"}
        assert len(document["details"]) <= 20
        assert len(written) <= LONGEST_REFUSAL, len(written)
    return status


def _body(data: bytes) -> None:
    """`/predict`, with any length, encoding and type announced."""
    how, body = (data[0], data[1:]) if data else (0, b"")
    environ: dict[str, str] = {}
    announced = (len(body), None, len(body) + 3, max(0, len(body) - 1))[how & 3]
    if announced is not None:
        environ["CONTENT_LENGTH"] = str(announced)
    if encoding := ("", "gzip", "deflate", "br")[how >> 2 & 3]:
        environ["HTTP_CONTENT_ENCODING"] = encoding
    media = ("application/json", "", "application/json; charset=utf-16", "text/plain")[how >> 4 & 3]
    ask("/predict", body, environ | {"CONTENT_TYPE": media})


def _body_seeds() -> Iterator[bytes]:
    one = json.dumps({"instance": GENTOO}).encode()
    many = json.dumps({"instances": [list(GENTOO.values()), list(GENTOO.values())]}).encode()
    explained = json.dumps({"instance": GENTOO, "explain": True}).encode()
    yield from (bytes([0]) + one, bytes([1]) + many, bytes([2]) + one, bytes([0]) + explained)
    yield bytes([4]) + gzip.compress(one, mtime=0)
    yield bytes([8]) + zlib.compress(many)
    yield bytes([4]) + gzip.compress(b" " * 100_000, mtime=0)


def _open_inference(data: bytes) -> None:
    """V2, with any length of the JSON before binary tensors announced."""
    how, value, body = (data[0], data[1], data[2:]) if len(data) > 1 else (0, 0, data)
    length = (None, str(value), str(value + 256), ("-1", "abc", "²", "9" * 30, "", "0x10")[value % 6])[how & 3]
    environ = {"CONTENT_LENGTH": str(len(body)), "CONTENT_TYPE": "application/json"}
    if length is not None:
        environ |= {"HTTP_INFERENCE_HEADER_CONTENT_LENGTH": length, "CONTENT_TYPE": "application/octet-stream"}
    ask("/v2/models/penguins/infer", body, environ)


def _open_inference_seeds() -> Iterator[bytes]:
    numbers = [45.1, 14.5, 215, 5000, 2007]
    texts = ["Biscoe", "female"]
    inputs = [
        {"name": "numeric", "datatype": "FP32", "shape": [1, 5], "data": numbers},
        {"name": "categorical", "datatype": "BYTES", "shape": [1, 2], "data": texts},
    ]
    wish = {"name": "probabilities", "parameters": {"binary_data": True}}
    yield bytes(2) + json.dumps({"id": "a", "inputs": inputs}).encode()
    yield bytes(2) + json.dumps({"inputs": inputs, "outputs": [{"name": "label"}, wish]}).encode()
    classes = {"name": "probabilities", "parameters": {"classification": 2}}
    yield bytes(2) + json.dumps({"inputs": inputs, "outputs": [classes]}).encode()
    columns = [
        {"name": name, "datatype": "FP64" if isinstance(value, float | int) else "BYTES", "shape": [1], "data": [value]}
        for name, value in GENTOO.items()
    ]
    yield bytes(2) + json.dumps({"parameters": {"content_type": "pd"}, "inputs": columns}).encode()
    raw = b"".join(len(text).to_bytes(4, "little") + text.encode() for text in texts)
    size = {"binary_data_size": len(raw)}
    binary = {"name": "categorical", "datatype": "BYTES", "shape": [1, 2], "parameters": size}
    head = json.dumps({"inputs": [inputs[0], binary]}).encode()
    assert len(head) < 256
    yield bytes([1, len(head)]) + head + raw
    yield bytes([1, 0]) + bytes(20)


def _invocations(data: bytes) -> None:
    """A table as JSON or CSV."""
    media = "text/csv" if data[:1] and data[0] & 1 else "application/json"
    ask("/invocations", data[1:], {"CONTENT_LENGTH": str(len(data[1:])), "CONTENT_TYPE": media})


def _invocations_seeds() -> Iterator[bytes]:
    names, row = list(GENTOO), list(GENTOO.values())
    for document in (
        {"dataframe_split": {"columns": names, "data": [row, row]}},
        {"dataframe_records": [GENTOO]},
        {"instances": [row]},
        {"inputs": {name: [value] for name, value in GENTOO.items()}},
        {"inputs": [GENTOO], "params": {}},
    ):
        yield bytes(1) + json.dumps(document).encode()
    yield bytes([1]) + (",".join(names) + "\n" + ",".join(map(str, row)) + "\r\n").encode()
    yield bytes([1]) + b'\xef\xbb\xbfyear,"island"\n2007,\n'


def _explanations(data: bytes) -> None:
    """`:explain`, of a model whose card is too old for a typical row."""
    ask("/v1/models/penguins:explain", data, {"CONTENT_LENGTH": str(len(data)), "CONTENT_TYPE": "application/json"})


def _explanations_seeds() -> Iterator[bytes]:
    row, other = list(GENTOO.values()), list((GENTOO | {"island": "Dream", "year": None}).values())
    yield from (
        json.dumps({"instance": GENTOO, "reference": other}).encode(),
        json.dumps({"instances": [row, other], "reference": GENTOO}).encode(),
        json.dumps({"instance": row, "reference": "typical"}).encode(),
        json.dumps({"instance": row, "reference": "background", "explain": True}).encode(),
    )


@cache
def _store() -> Path:
    return Path(shutil.copytree(PUBLISHED, Path(tempfile.mkdtemp()) / "store"))


def _card(data: bytes) -> None:
    """A version with any text as its card: read and loaded, or refused as a model is refused."""
    (_store() / "penguins/1/card.json").write_bytes(data)
    try:
        Predictor(ModelRepository(_store()).read("penguins", 1))
    except ModelError:
        return


def _card_seeds() -> Iterator[bytes]:
    yield (PUBLISHED / "penguins/1/card.json").read_bytes()


def _structure(data: bytes) -> None:
    """A model file of any bytes: its structure is read before onnxruntime sees it, by arithmetic of our own."""
    try:
        check_structure(data)
    except ModelError:
        return


def _structure_seeds() -> Iterator[bytes]:
    for published in (PUBLISHED / "penguins", NUMBERS / "plain"):
        onnx = (published / "1/model.onnx").read_bytes()
        yield onnx
        # Without the card that it carries there is less to get lost in.
        yield onnx[: len(onnx) // 2]
    yield from (b"\x08\x08", b"\x3a\x02\x0a\x00", b"\xff" * 12)


def _table(data: bytes) -> None:
    """A table of any bytes, inspected as `trainer inspect` does it."""
    path = _store() / "table.csv"
    path.write_bytes(data)
    try:
        table = read_table(path, "y")
        with_findings(table.schema, table.examples)
    except TrainerError:
        return


def _table_seeds() -> Iterator[bytes]:
    lines = PENGUINS.read_bytes().splitlines(keepends=True)[:30]
    yield lines[0].replace(b"species", b"y") + b"".join(lines[1:])
    yield b"x,k,y\n" + b"".join(b"%d,%d,%s\n" % (row, row % 3, b"ab"[row % 2 :][:1]) for row in range(20))
    yield b'"a ""q""",d,y\r\n"1,5",2026-11-21,no\r\n,"two\nlines",yes\r\n'
    yield gzip.compress(b"x;y\n1;a\n2;b\n", mtime=0)
    yield "\ufeffé,y\n007,a\n-1e5,b\nNA,\n".encode()


class _Loopless(Dispatcher):
    """A dispatcher that answers in the order of asking, once it is told to."""

    def __init__(self) -> None:
        super().__init__(cast(Front, _app().wsgi_app), Admission(Limits(LIMIT)))
        self._asked: list[tuple[Request, Answers, Reservation]] = []
        self._later: list[Callable[[], None]] = []

    def ask(self, request: Request, client: Answers, memory: Reservation) -> None:
        self._asked.append((request, client, memory))

    def soon(self, call: Callable[[], None]) -> None:
        self._later.append(call)

    def answer_all(self) -> None:
        while self._asked or self._later:
            if self._later:
                self._later.pop(0)()
            else:
                request, client, _ = self._asked.pop(0)
                client.answered(request, self._reply_to(request))

    def _reply_to(self, request: Request) -> Reply:
        """As a WSGI server would have it, predictions included."""
        if request.refusal is not None:
            return self._front.refuse(request.environ, request.refusal)
        head: list[tuple[str, list[Header]]] = []
        body = b"".join(self._front(request.environ, lambda status, headers: head.append((status, headers))))
        return Reply(int(head[0][0][:3]), body, lines(head[0][1]))


class _Wire:
    """The client's end of a connection without a network."""

    def __init__(self) -> None:
        self.said, self.closed = b"", False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.said += data

    def close(self) -> None:
        self.closed = True

    write_eof = close

    def abort(self) -> None:
        raise AssertionError("a callback of the parser failed")

    pause_reading = resume_reading = lambda _: None

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, name: str) -> None:
        """It came from nowhere."""

    def set_write_buffer_limits(self, high: int) -> None:
        """It has no buffer."""

    def get_write_buffer_size(self) -> int:
        return 0


def _connection(data: bytes) -> None:
    """Any bytes on a connection, at once, once more, and in pieces: answers that are whole, and the same each time."""
    size, said = (data[0] + 1, data[1:]) if data else (1, b"")
    dispatcher = _Loopless()
    once, again = _said(dispatcher, [said]), _said(dispatcher, [said])
    assert once == again, (once, again)
    pieces = _said(dispatcher, [said[start : start + size] for start in range(0, len(said), size)])
    # Only what is too long may be told so earlier.
    if not {413, 431} & {*once, *pieces}:
        assert once == pieces, (once, pieces)


def _said(dispatcher: _Loopless, pieces: list[bytes]) -> list[int]:
    """The status of each answer."""
    connection, wire = Connection(dispatcher), _Wire()
    connection.connection_made(wire)  # type: ignore[arg-type]
    for piece in pieces:
        connection.data_received(piece)
        dispatcher.answer_all()
    if not wire.closed:
        connection.eof_received()
        dispatcher.answer_all()
    connection.connection_lost(None)
    assert not dispatcher.admission.connections
    assert dispatcher.admission.held == 0
    return list(_statuses(wire.said))


def _statuses(said: bytes) -> Iterator[int]:
    while said:
        head, end, said = said.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        status = int(first.removeprefix("HTTP/1.1 ")[:3])
        assert end
        assert status != 500, head
        if status != 100:
            headers = dict(line.split(": ", 1) for line in lines)
            yield status
            length = int(headers.get("Content-Length", 0))
            # HEAD has the headers of GET alone.
            if not said.startswith(b"HTTP/1.1 "):
                assert len(said) >= length or not said, (head, said)
                said = said[length:]


def _connection_seeds() -> Iterator[bytes]:
    body = json.dumps({"instance": GENTOO}).encode()
    post = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    whole = post + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    chunks = b"%x;a=b\r\n%s\r\n0\r\nX-A: b\r\n\r\n" % (len(body), body)
    for request in (
        whole + whole,
        post + b"Transfer-Encoding: chunked\r\n\r\n" + chunks,
        post + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n{}" + whole,
        post + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
        b"GET /v2/health/live HTTP/1.0\r\nConnection: keep-alive\r\n\r\nHEAD /ping HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\nCONNECT x:1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET http://a/%ff?b#c HTTP/1.1\r\nHost: localhost\r\nX_A: b\r\n\r\n" + whole[:-9],
    ):
        yield bytes([6]) + request
        yield bytes([200]) + request


def _crowd(data: bytes) -> None:
    """Any bytes on several connections at once, in pieces: each is answered as if it had come alone."""
    dice = random.Random(data[:2])
    said = [part[:LONGEST_SAID] for part in data[2:].split(BETWEEN)][:MOST_CONNECTIONS]
    together = asyncio.run(_answered(said, dice))
    for one, statuses in zip(said, together, strict=True):
        (alone,) = asyncio.run(_answered([one], dice))
        assert alone == statuses, (one, alone, statuses)


async def _answered(said: list[bytes], dice: random.Random) -> list[list[int]]:
    """The statuses on each connection of one real dispatcher, whose connections speak in turn, a piece at a time."""
    dispatcher = Dispatcher(cast(Front, _app().wsgi_app), Admission(Limits(LIMIT)))
    wires = [_Wire() for _ in said]
    connections = [Connection(dispatcher) for _ in said]
    for connection, wire in zip(connections, wires, strict=True):
        connection.connection_made(wire)  # type: ignore[arg-type]
    left = [(connection, wire, memoryview(one)) for connection, wire, one in zip(connections, wires, said, strict=True)]
    while left:
        connection, wire, one = left.pop(dice.randrange(len(left)))
        size = dice.choice((1, 7, 50, 400))
        if one and not wire.closed:
            connection.data_received(bytes(one[:size]))
            left.append((connection, wire, one[size:]))
        elif not wire.closed:
            connection.eof_received()
        if dice.random() < 0.5:
            await asyncio.sleep(0)
    await _at_rest(connections)
    for connection in connections:
        connection.connection_lost(None)
    assert not dispatcher.admission.connections
    assert (dispatcher.admission.held, dispatcher.admission.short, dispatcher.admission.threaded) == (0, 0, 0)
    dispatcher._threads.shutdown()
    return [list(_statuses(wire.said)) for wire in wires]


async def _at_rest(connections: list[Connection]) -> None:
    """Once every request that came whole is answered."""
    async with asyncio.timeout(10):
        while any(connection._busy or connection._resuming for connection in connections):
            await asyncio.sleep(0)


def _crowd_seeds() -> Iterator[bytes]:
    said = [seed[1:] for seed in _connection_seeds()]
    for shift in range(0, len(said), 2):
        yield b"ab" + BETWEEN.join((said[shift:] + said)[:MOST_CONNECTIONS])


TARGETS = {
    "connection": Target(_connection, _connection_seeds, head=1),
    "crowd": Target(_crowd, _crowd_seeds, head=2),
    "body": Target(_body, _body_seeds, head=1),
    "open_inference": Target(_open_inference, _open_inference_seeds, head=2),
    "invocations": Target(_invocations, _invocations_seeds, head=1),
    "explanations": Target(_explanations, _explanations_seeds),
    "card": Target(_card, _card_seeds),
    "structure": Target(_structure, _structure_seeds),
    "table": Target(_table, _table_seeds),
}
