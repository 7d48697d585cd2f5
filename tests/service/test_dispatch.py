"""The event loop in front of everything, with clients in the same loop."""

import asyncio
import gzip
import json
import os
import re
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from flask import Flask

from service.access import Access
from service.app import Front, create_app
from service.errors import Overloaded, ServiceError
from service.http.admission import QUEUE, Admission, Client, Limits
from service.http.connection import Connection
from service.http.dispatch import TICK_SECONDS, Dispatcher
from service.http.heads import Request
from service.prediction.prediction import Bounds, Prediction
from service.registry.registry import Registry
from service.reply import Reply
from tests.hostile.conftest import post
from tests.service.conftest import LIMIT

DEADLINE_S, PATIENCE_S = 0.06, 10.0
LIMITS = Limits(LIMIT, 5.0, DEADLINE_S)

Clients = Callable[[Dispatcher, int], Awaitable[None]]


@pytest.fixture
def app(registry: Registry) -> Flask:
    return create_app(registry, Bounds(LIMIT))


def dispatcher(front: Any, limits: Limits = LIMITS, access: Access | None = None) -> Dispatcher:
    return Dispatcher(front, Admission(limits, access))


def serve(dispatcher: Dispatcher, clients: Clients) -> None:
    """Serve for as long as the clients need; they are given the port."""

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(partial(Connection, dispatcher), "127.0.0.1", 0)
        watching = asyncio.create_task(dispatcher.watch(lambda: None))
        async with server:
            await asyncio.wait_for(clients(dispatcher, server.sockets[0].getsockname()[1]), 3 * PATIENCE_S)
        watching.cancel()

    asyncio.run(run())


async def ask(port: int, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-1])}
        return int(head[0].split()[1]), headers, await reader.readexactly(int(headers["content-length"]))
    finally:
        writer.close()


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def test_a_late_loop_refuses_until_it_has_caught_up(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for its turn in the loop waits no longer than the deadline; what comes later is answered again."""
    front: Any = app.wsgi_app
    answer = front.predictions.answer

    def slow(predictions: Any) -> None:
        time.sleep(len(predictions) * DEADLINE_S / 4)
        answer(predictions)

    monkeypatch.setattr(front.predictions, "answer", slow)

    async def crowd(_: Dispatcher, port: int) -> None:
        asked = []
        for _round in range(6):
            asked += [asyncio.create_task(ask(port, post(b"{}"))) for _ in range(20)]
            await asyncio.sleep(0.05)
        answers = await asyncio.gather(*asked)
        # A busy machine may make any loop late.
        until = time.monotonic() + PATIENCE_S
        while (last := (await ask(port, post(b"{}")))[0]) == 503 and time.monotonic() < until:
            await asyncio.sleep(DEADLINE_S)

        assert set(Counter(status for status, _, _ in answers)) == {422, 503}
        for status, headers, body in answers:
            if status == 503:
                assert (json.loads(body)["code"], headers["retry-after"]) == ("overloaded", "1")
        assert last == 422

    serve(dispatcher(front), crowd)


def test_a_worker_that_drains_says_so(app: Flask) -> None:
    """Readiness is 503 at once, liveness is not, and every answer ends its connection."""

    async def clients(dispatcher: Dispatcher, port: int) -> None:
        async def statuses() -> list[int]:
            return [(await ask(port, get(path)))[0] for path in ("/v2/health/ready", "/ping", "/v2/health/live")]

        assert await statuses() == [200, 200, 200]
        assert "connection" not in (await ask(port, get("/ping")))[1]
        dispatcher.admission.drain()
        assert await statuses() == [503, 503, 200]
        assert (await ask(port, get("/v2/health/live")))[1]["connection"] == "close"

    serve(dispatcher(app.wsgi_app, Limits()), clients)


def test_a_known_head_is_told_that_the_worker_drains(app: Flask) -> None:
    """Heads that were read before are let in by the same rules; those of a probe with a body of nothing, too."""
    probe = b"GET /v2/health/ready HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"

    async def clients(dispatcher: Dispatcher, port: int) -> None:
        assert (await ask(port, probe))[0] == 200
        assert dispatcher.heads.recall(probe) is not None
        dispatcher.admission.draining = True
        assert (await ask(port, probe))[0] == 503

    serve(dispatcher(app.wsgi_app, Limits()), clients)


def test_a_reply_that_cannot_be_sent_is_one_clients_own(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others of the same turn have theirs."""
    answered = Connection.answered

    def fail_once(self: Connection, request: Request, reply: Reply) -> None:
        if "HTTP_X_FAIL" in request.environ:
            self._transport.abort()
            raise RuntimeError
        answered(self, request, reply)

    monkeypatch.setattr(Connection, "answered", fail_once)

    async def clients(_: Dispatcher, port: int) -> None:
        requests = [post(b"{}", *[b"X-Fail: 1"] * (number == 3)) for number in range(10)]
        connections = [await asyncio.open_connection("127.0.0.1", port) for _ in requests]
        for (_reader, writer), request in zip(connections, requests, strict=True):
            writer.write(request)
        lines = [await reader.readline() for reader, _ in connections]
        for _reader, writer in connections:
            writer.close()

        assert [line[9:12] for line in lines] == [b"422"] * 3 + [b""] + [b"422"] * 6

    serve(dispatcher(app.wsgi_app), clients)


def test_too_many_connections_are_told(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before they ask; those that are there are served, and there is room again once they leave."""
    monkeypatch.setattr("service.http.admission.CONNECTIONS", 2)

    async def clients(dispatcher: Dispatcher, port: int) -> None:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        while len(dispatcher.admission.connections) < 2:
            await asyncio.sleep(0.01)
        refused = await ask(port, b"")
        held[0][1].write(get("/v2/health/live"))

        assert (refused[0], json.loads(refused[2])["code"]) == (503, "overloaded")
        assert await held[0][0].readline() == b"HTTP/1.1 200 OK\r\n"
        for _, writer in held:
            writer.close()
        while dispatcher.admission.connections:
            await asyncio.sleep(0.01)
        assert (await ask(port, get("/v2/health/live")))[0] == 200

    serve(dispatcher(app.wsgi_app), clients)


def test_without_a_key_no_long_body_is_read(app: Flask, tmp_path: Path) -> None:
    """Nor one in chunks, of which nobody knows how long it will be."""
    keys = tmp_path / "keys"
    keys.write_text(f"predict {'k' * 32}\n")

    async def clients(_: Dispatcher, port: int) -> None:
        for body in (b"Content-Length: 100000", b"Transfer-Encoding: chunked"):
            status, headers, _body = await ask(port, post(b"", body, length=b""))

            assert (status, headers["connection"]) == (401, "close")

    serve(dispatcher(app.wsgi_app, Limits(), Access(keys)), clients)


def test_a_long_body_waits_unread_for_its_turn(app: Flask) -> None:
    """Until there is room, if that is soon; else it is refused, and the client need not connect again."""
    long = post(b" " * (1 << 17) + b"{}")

    async def clients(dispatcher: Dispatcher, port: int) -> None:
        admission = dispatcher.admission
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def status() -> int:
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]))
            return int(head.split()[1])

        try:
            admission.threaded += QUEUE
            writer.write(long)
            assert await status() == 503
            writer.write(long)
            while not admission.deferred:
                await asyncio.sleep(0)
            # What the loop had read already; what comes behind it stays with the client.
            assert admission.held <= len(long)
            admission.threaded -= QUEUE
            admission.let_in()
            # It is read, and longer than the application's own limit.
            assert await status() == 413
        finally:
            writer.close()

    serve(dispatcher(app.wsgi_app, Limits()), clients)


def test_no_client_waits_unread_for_longer_than_it_may() -> None:
    """Those whose time is up are refused and, a few at a tick, the last of those whose turn would not come in time."""
    admission = Admission(Limits(deadline_seconds=1.0))
    refused: list[int] = []

    class Waiting:
        due = 0.0

        def __init__(self, number: int) -> None:
            self.number = number

        def proceed(self, refusal: ServiceError | None) -> bool:
            assert isinstance(refusal, Overloaded)
            refused.append(self.number)
            return True

    admission.threaded = QUEUE
    admission.seconds_each = 0.1
    admission.deferred.extend((float(number >= 3), cast(Client, Waiting(number))) for number in range(15))
    admission.turn_away(1.5)
    assert refused == [0, 1, 2, 14, 13]
    admission.turn_away(1.6)
    assert refused == [0, 1, 2, 14, 13]
    admission.turn_away(2.5)
    assert len(refused) == 15


def test_a_process_that_slept_is_not_taken_for_a_slow_one(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """What two threads had in hand when the process was stopped says nothing of how long requests take."""
    front = cast(Front, app.wsgi_app)
    answered = front.predictions.answer
    stopped = f"kill -STOP {os.getpid()}; sleep 1.5; kill -CONT {os.getpid()}"

    def answer(predictions: Sequence[Prediction]) -> None:
        time.sleep(0.2)
        answered(predictions)

    monkeypatch.setattr(front.predictions, "answer", answer)
    body = gzip.compress(b'{"instances": []}')

    async def clients(dispatcher: Dispatcher, port: int) -> None:
        asked = [asyncio.create_task(ask(port, post(body, b"Content-Encoding: gzip"))) for _ in range(2)]
        while dispatcher.admission.threaded < 2:
            await asyncio.sleep(0.001)
        with subprocess.Popen(["sh", "-c", stopped]):
            assert [status for status, _, _ in await asyncio.gather(*asked)] == [422, 422]
        assert dispatcher.admission.seconds_each < 0.05
        assert (await ask(port, post(body, b"Content-Encoding: gzip")))[0] == 422
        assert 0.01 < dispatcher.admission.seconds_each < 0.1

    serve(dispatcher(front, Limits()), clients)


def test_the_metrics_tell_the_crowd(app: Flask) -> None:
    """Connections that are open, and requests that wait, as they are at the moment."""

    async def clients(_: Dispatcher, port: int) -> None:
        held = [(await asyncio.open_connection("127.0.0.1", port))[1] for _ in range(7)]
        await asyncio.sleep(3 * TICK_SECONDS)
        told = (await ask(port, get("/metrics")))[2].decode()
        for writer in held:
            writer.close()
        await asyncio.sleep(3 * TICK_SECONDS)
        later = (await ask(port, get("/metrics")))[2].decode()

        # The one that asks may be counted, or not yet.
        assert re.search(r"\nevenkeel_connections [78]\n", told)
        assert re.search(r"\nevenkeel_connections [01]\n", later)
        assert re.search(r"\nevenkeel_requests_waiting [01]\n", told)

    serve(dispatcher(app.wsgi_app, Limits()), clients)


def test_a_client_that_does_not_read_is_not_read_from(app: Flask) -> None:
    """Its requests wait with it; what they would be answered takes no memory here."""

    async def clients(dispatcher: Dispatcher, port: int) -> None:
        small = socket.socket()
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        small.connect(("127.0.0.1", port))
        _, writer = await asyncio.open_connection(sock=small)
        requests, sent = get("/v2/health/live") * 2000, 0
        with suppress(TimeoutError):
            while sent < 1 << 28:
                writer.write(requests)
                sent += len(requests)
                await asyncio.wait_for(writer.drain(), 0.5)
        (connection,) = dispatcher.admission.connections

        assert sent < 1 << 26
        assert connection._transport.get_write_buffer_size() < 1 << 21  # type: ignore[attr-defined]
        assert (await ask(port, get("/v2/health/live")))[0] == 200
        writer.transport.abort()

    serve(dispatcher(app.wsgi_app), clients)
