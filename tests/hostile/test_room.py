"""Room is bounded by what requests take, however they are sent: memory, and the time of the event loop."""

import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.hostile.conftest import GOLDEN, Connection, Hostile, attacked, post
from tests.hostile.vitals import Vitals

MB = 1 << 20
LIMIT = 4 * MB
# What a worker may take for all requests in flight, in longest bodies: the budget and the reserve of short ones.
BUDGET = 16
GET = b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    folder = tmp_path_factory.mktemp("room")
    with attacked(
        folder, EVENKEEL_WORKERS="1", EVENKEEL_MAX_BODY_BYTES=str(LIMIT), EVENKEEL_DEADLINE_SECONDS="20"
    ) as hostile:
        hostile.golden()
        yield hostile


@pytest.fixture
def worker(service: Hostile) -> int:
    """The process that answers, once it has noticed that the clients of the test before are gone."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        (answer,), _ = service.ask(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        if re.search(rb"\nevenkeel_connections [01]\n", answer.body):
            break
        time.sleep(0.1)
    supervisor = service.service.process.pid
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    return int(children[0])


@contextmanager
def peak(worker: int) -> Iterator[Callable[[], float]]:
    """The megabytes by which the worker's memory has risen at most since the beginning."""
    Path(f"/proc/{worker}/clear_refs").write_text("5")
    before = _megabytes(worker, "VmRSS")
    yield lambda: _megabytes(worker, "VmHWM") - before


def _megabytes(worker: int, what: str) -> float:
    for line in Path(f"/proc/{worker}/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(what)


def test_announced_bodies_are_counted_from_their_heads_on(service: Hostile, worker: int) -> None:
    """Eighty clients that all send their heads first, and then nearly a longest body each: some have room, the others
    are told at once, and nobody else notices.
    """
    length = LIMIT - 1000
    with ExitStack() as stack, peak(worker) as risen:
        clients = [stack.enter_context(service.connect().socket) for _ in range(80)]
        for client in clients:
            client.sendall(post(b"", length=str(length).encode()))
        time.sleep(0.3)
        for client in clients:
            client.setblocking(False)
        _push(clients, length - 10)
        answered = Counter(_status(client) for client in clients)
        assert service.golden()

        assert risen() < BUDGET * LIMIT / MB
    assert answered[None] >= 8
    assert answered[503] == 80 - answered[None]


def _push(clients: list[socket.socket], each: int, data: bytes | None = None) -> None:
    """Send so many bytes on each connection, blanks or those of `data`, as far as the other end takes them soon."""
    left = dict.fromkeys(clients, each)
    view, until = memoryview(data or b" " * each), time.monotonic() + 3
    while left and time.monotonic() < until:
        for client in list(left):
            start = each - left[client]
            try:
                left[client] -= client.send(view[start : start + (1 << 18)])
            except BlockingIOError:
                continue
            except OSError:
                left[client] = 0
            if left[client] <= 0:
                del left[client]


def _status(client: socket.socket) -> int | None:
    """The status of the response that is there; None where there is none."""
    try:
        said = client.recv(1 << 16)
    except BlockingIOError:
        return None
    except OSError:
        return 503  # It was closed behind its answer, which our own bytes have swept away.
    return int(said.split()[1])


def test_small_chunks_take_what_they_hold(service: Hostile, worker: int) -> None:
    """A longest body in chunks of two bytes."""
    chunks = b"2\r\n  \r\n" * (LIMIT // 2 // 8) + b"0\r\n\r\n"
    with peak(worker) as risen:
        (answer,), _ = service.ask(post(b"", b"Transfer-Encoding: chunked", length=b"") + chunks)
        rise = risen()

    assert answer.status == 400
    assert rise < 2 * LIMIT / MB


def test_half_heads_are_counted(service: Hostile, worker: int) -> None:
    """Thousands of heads that are never whole have a bounded part of the memory, and one of their own is answered."""
    half = b"GET /ping HTTP/1.1\r\nHost: localhost\r\nX-A: " + b"a" * 59_000
    with ExitStack() as stack, peak(worker) as risen:
        clients: list[Connection] = []
        for _ in range(1500):
            clients.append(service.connect())
            stack.enter_context(clients[-1].socket)
            clients[-1].send(half)
        time.sleep(0.5)

        assert service.golden()
        assert risen() < BUDGET * LIMIT / MB


def test_what_is_sent_ahead_waits_with_its_client(service: Hostile, worker: int) -> None:
    """Of requests behind each other only the first is read; the bodies of the others take no memory here."""
    ahead = post(b" " * (LIMIT - 1000))
    with ExitStack() as stack, peak(worker) as risen:
        clients = [stack.enter_context(service.connect().socket) for _ in range(40)]
        for client in clients:
            client.setblocking(False)
        _push(clients, 2 * len(ahead), ahead + ahead)

        assert service.golden()
        assert risen() < BUDGET * LIMIT / MB


@pytest.mark.parametrize("said", [GET, post(b"{}"), post(b"{}", b"Connection: Upgrade", b"Upgrade: h2c")])
def test_a_read_full_of_requests_holds_up_nobody(service: Hostile, said: bytes) -> None:
    """Eight thousand requests behind each other; the loop has others in between, and each is answered."""
    many, vitals = 8000, Vitals(service.service, service.port, LIMIT)

    def ask() -> None:
        connection = service.connect()
        with connection.socket:
            sender = threading.Thread(target=connection.send, args=(said * many,))
            sender.start()
            counted, tail = 0, b""
            while counted < many:
                data = connection.socket.recv(1 << 20)
                assert data, f"closed after {counted} answers"
                counted += (tail + data).count(b"HTTP/1.1 ")
                tail = (tail + data)[-8:]
            sender.join()
        assert counted == many

    try:
        vitals.hold("requests behind each other", ask)
    finally:
        vitals.close()


def test_a_client_that_reads_slowly_is_not_cut(tmp_path: Path) -> None:
    """Only time without progress counts."""
    rows = json.dumps({"instances": [json.loads(GOLDEN)["instance"]] * 20_000}).encode()
    settings = {"EVENKEEL_WORKERS": "1", "EVENKEEL_IDLE_SECONDS": "1", "EVENKEEL_DEADLINE_SECONDS": "20"}
    with attacked(tmp_path, **settings) as service:
        connection = service.connect()
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        with connection.socket as client:
            client.settimeout(10)
            client.sendall(post(rows))
            head = client.recv(4096)
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            left = length - len(head.partition(b"\r\n\r\n")[2])
            began = time.monotonic()
            while left:
                # Three times as slow as the time that it may be silent.
                time.sleep(3 / 40)
                data = client.recv(max(length // 40, 1))
                assert data, f"cut with {left} of {length} bytes left"
                left -= len(data)

        assert time.monotonic() - began > 2


def test_the_next_request_does_not_cut_the_one_before(tmp_path: Path) -> None:
    """A head that is sent ahead, whose body never comes, begins its own time only when it is read."""
    rows = json.dumps({"instances": [json.loads(GOLDEN)["instance"]] * 20_000}).encode()
    settings = {"EVENKEEL_WORKERS": "1", "EVENKEEL_BODY_SECONDS": "0.5", "EVENKEEL_DEADLINE_SECONDS": "20"}
    with attacked(tmp_path, **settings) as service:
        connection = service.connect()
        with connection.socket:
            connection.socket.settimeout(20)
            connection.send(post(rows) + post(b"", length=b"9"))
            first, second = connection.one(), connection.one()

        assert (first.status, second.status) == (200, 408)
