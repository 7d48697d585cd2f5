"""Bytes on one connection and on several, in pieces and at once."""

import asyncio
import json
import random
from collections.abc import Callable, Iterator
from typing import cast

from service.app import Front
from service.http.admission import Admission, Limits, Reservation
from service.http.connection import Connection
from service.http.dispatch import Answers, Dispatcher
from service.http.heads import Request
from service.reply import Header, Reply, lines
from tests.fuzz.bodies import LIMIT, app
from tests.service.conftest import GENTOO

# Of a crowd: what stands between what its connections say, how much each says, and how many there are.
BETWEEN, LONGEST_SAID, MOST_CONNECTIONS = b"\0\0", 4096, 4


class _Loopless(Dispatcher):
    """A dispatcher that answers in the order of asking, once it is told to."""

    def __init__(self) -> None:
        super().__init__(cast(Front, app().wsgi_app), Admission(Limits(LIMIT)))
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


def speak_alone(data: bytes) -> None:
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


def connection_seeds() -> Iterator[bytes]:
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


def speak_together(data: bytes) -> None:
    """Any bytes on several connections at once, in pieces: each is answered as if it had come alone."""
    dice = random.Random(data[:2])
    said = [part[:LONGEST_SAID] for part in data[2:].split(BETWEEN)][:MOST_CONNECTIONS]
    together = asyncio.run(_answered(said, dice))
    for one, statuses in zip(said, together, strict=True):
        (alone,) = asyncio.run(_answered([one], dice))
        assert alone == statuses, (one, alone, statuses)


async def _answered(said: list[bytes], dice: random.Random) -> list[list[int]]:
    """The statuses on each connection of one real dispatcher, whose connections speak in turn, a piece at a time."""
    dispatcher = Dispatcher(cast(Front, app().wsgi_app), Admission(Limits(LIMIT)))
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


def crowd_seeds() -> Iterator[bytes]:
    said = [seed[1:] for seed in connection_seeds()]
    for shift in range(0, len(said), 2):
        yield b"ab" + BETWEEN.join((said[shift:] + said)[:MOST_CONNECTIONS])
