"""One real service of two workers, and bytes sent to it as they are."""

import json
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import find_free_port
from tests.end_to_end.conftest import Service, running
from tests.service.conftest import GENTOO, PUBLISHED

# Longer than what is read at once.
LIMIT = 1 << 18
BODY_SECONDS, IDLE_SECONDS = 2, 3
PATIENCE_S = 10.0
SILENCE_S = 0.2

GOLDEN = json.dumps({"instance": GENTOO}).encode()


class Answer(NamedTuple):
    """One response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        assert self.headers["content-type"] == "application/json"
        return json.loads(self.body)


class Connection:
    """A TCP connection to the service, which may be told nonsense."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        self.closed = False
        self._rest = b""

    def send(self, data: bytes) -> None:
        """Send; what the service no longer takes is lost."""
        with suppress(OSError):
            self.socket.sendall(data)

    def end(self) -> None:
        """Say that nothing more will be sent."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def readable(self, seconds: float) -> bool:
        """Whether the service says something, or closes, within so many seconds."""
        return bool(select.select([self.socket], [], [], seconds)[0])

    def answers(self, silence: float = SILENCE_S) -> list[Answer]:
        """Every response, until the service closes the connection or says nothing more."""
        found: list[Answer] = []
        while not self.closed:
            self.socket.settimeout(silence if found else PATIENCE_S)
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionResetError:
                data = b""
            except TimeoutError:
                break
            self.closed = not data
            self._rest += data
            found += self._parse()
        assert not self._rest, self._rest[:200]
        return found

    def one(self) -> Answer:
        """The next response."""
        while not (found := list(self._parse())):
            data = self.socket.recv(1 << 16)
            assert data, "closed without an answer"
            self._rest += data
        (answer,) = found
        return answer

    def _parse(self) -> Iterator[Answer]:
        while self._rest:
            head, end, rest = self._rest.partition(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            status = int(lines[0].removeprefix("HTTP/1.").split()[1])
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
            length = 0 if status == 100 else int(headers["content-length"]) if end else 0
            if not end or len(rest) < length:
                return
            self._rest = rest[length:]
            if status != 100:
                yield Answer(status, headers, rest[:length])


class Hostile(NamedTuple):
    """A service under attack."""

    service: Service
    port: int
    log: Path

    def connect(self) -> Connection:
        return Connection(self.port)

    def ask(self, data: bytes, end: bool = False) -> tuple[list[Answer], bool]:
        """Send bytes, and perhaps the end of all sending; every response, and whether the service closed."""
        connection = self.connect()
        with connection.socket:
            connection.send(data)
            if end:
                connection.end()
            return connection.answers(), connection.closed

    def golden(self) -> bytes:
        """The prediction that every other is compared with."""
        (answer,), _ = self.ask(post(GOLDEN, b"Connection: close"))
        assert answer.status == 200
        return answer.body


def post(body: bytes = b"", *headers: bytes, path: bytes = b"/predict", length: bytes | None = None) -> bytes:
    """A POST, with the right Content-Length unless another, or none (b""), is given."""
    length = str(len(body)).encode() if length is None else length
    lines = [b"POST " + path + b" HTTP/1.1", b"Host: localhost", b"Content-Type: application/json", *headers]
    if length:
        lines.append(b"Content-Length: " + length)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@contextmanager
def attacked(folder: Path, **settings: str) -> Iterator[Hostile]:
    """A service to be attacked."""
    port, log = find_free_port(), folder / "log"
    with log.open("wb") as stderr, running(PUBLISHED, port, stderr, **settings) as service:
        service.wait()
        yield Hostile(service, port, log)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    with attacked(
        tmp_path_factory.mktemp("hostile"),
        EVENKEEL_WORKERS="2",
        EVENKEEL_ACCESS_LOG="true",
        EVENKEEL_MAX_BODY_BYTES=str(LIMIT),
        EVENKEEL_BODY_SECONDS=str(BODY_SECONDS),
        EVENKEEL_IDLE_SECONDS=str(IDLE_SECONDS),
        # However busy the machine is that runs the tests.
        EVENKEEL_DEADLINE_SECONDS="20",
    ) as service:
        yield service


@pytest.fixture
def unharmed(hostile: Hostile) -> Iterator[None]:
    """After each test the service is ready, and predicts as before."""
    before = hostile.golden()
    yield
    assert hostile.service.ask("/v2/health/ready")[0] == 200
    assert hostile.golden() == before
