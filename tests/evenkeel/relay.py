"""A service that refuses, stalls or is away now and then: a relay before a real one, and what its processes are."""

import select
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.end_to_end.conftest import Service


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds
        time.sleep(0.005)


class Relay:
    """Stands before a service and passes on what comes, but for the requests that it is told to spoil."""

    def __init__(self, service: Service, spoil: Callable[[int, socket.socket], bool]) -> None:
        self._port, self._spoil = int(service.url.rpartition(":")[2]), spoil
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests, self._open = 0, True
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._open = False
        self._listener.close()

    def _accept(self) -> None:
        while self._open:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        """One connection: what the client sends first of a request is looked at, the rest goes through."""
        # Whichever side has gone; nobody hears what this thread would raise.
        with suppress(OSError), client, socket.create_connection(("127.0.0.1", self._port)) as service:
            while True:
                for ready in select.select([client, service], [], [])[0]:
                    try:
                        data = ready.recv(1 << 16)
                    except OSError:
                        data = b""
                    if not data:
                        return
                    if ready is client and data.startswith((b"POST", b"GET")):
                        self.requests += 1
                        if self._spoil(self.requests, client):
                            return
                    (service if ready is client else client).sendall(data)


@contextmanager
def relayed(service: Service, spoil: Callable[[int, socket.socket], bool]) -> Iterator[Relay]:
    relay = Relay(service, spoil)
    try:
        yield relay
    finally:
        relay.close()


def refused(client: socket.socket, wait: int) -> bool:
    body = b'{"error": "there is more to do than can be done in time", "code": "overloaded"}'
    head = f"HTTP/1.1 503 Busy\r\nRetry-After: {wait}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    client.sendall(head.encode() + body)
    client.shutdown(socket.SHUT_WR)
    # Closed when the client has read it: a request that lies unread would make the kernel reset the connection.
    while client.recv(1 << 16):
        pass
    return True


def answered(service: Service) -> int:
    """How many rows the service has answered."""
    with urllib.request.urlopen(f"{service.url}/metrics", timeout=5) as reply:
        lines = reply.read().decode().splitlines()
    return int(sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("evenkeel_rows_total")))


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]
