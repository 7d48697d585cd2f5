"""The end of a service, and the change from one to another, as their clients see them."""

import http.client
import json
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.conftest import find_free_port
from tests.end_to_end.conftest import PATIENCE_S, Service, running, wait_for
from tests.service.conftest import GENTOO, PUBLISHED
from tests.service.test_metrics import value

BODY = json.dumps({"instance": GENTOO}).encode()
HEAD = (
    b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    % len(BODY)
)


def port_of(service: Service) -> int:
    return int(service.url.rpartition(":")[2])


def received(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def test_a_stop_is_announced_and_loses_nothing(serve: Callable[..., Service]) -> None:
    """Not ready at once, predictions for a while and without keep-alive, a slow body to its end, exit code 0."""
    service = serve(PUBLISHED, EVENKEEL_WORKERS="2", EVENKEEL_DRAIN_SECONDS="2")
    service.wait()
    with ExitStack() as stack:
        slow = stack.enter_context(socket.create_connection(("127.0.0.1", port_of(service)), PATIENCE_S))
        slow.sendall(HEAD + BODY[:9])
        kept = http.client.HTTPConnection("127.0.0.1", port_of(service), timeout=PATIENCE_S)
        stack.callback(kept.close)
        kept.request("GET", "/v1/models")
        kept.getresponse().read()

        began = time.monotonic()
        service.process.terminate()
        # Each worker is told by a signal of its own, and any of them answers.
        wait_for(lambda: value(service.metrics(), "workers_ready") == 0)
        assert [service.ask(path)[0] for path in ("/v2/health/ready", "/ping", "/v2/health/live")] == [503, 503, 200]
        kept.request("POST", "/predict", BODY, {"Content-Type": "application/json"})
        with kept.getresponse() as answer:
            assert (answer.status, answer.headers["Connection"]) == (200, "close")
        assert time.monotonic() - began < 2

        time.sleep(max(0.0, began + 3 - time.monotonic()))
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port_of(service)), PATIENCE_S)
        slow.sendall(BODY[9:])
        assert received(slow).startswith(b"HTTP/1.1 200")
        assert service.process.wait(PATIENCE_S) == 0
        assert time.monotonic() - began < 15


@pytest.mark.parametrize(
    ("seconds", "signals"),
    [("0", [signal.SIGTERM]), ("60", [signal.SIGTERM, signal.SIGTERM]), ("60", [signal.SIGINT])],
    ids=["no drain", "told twice", "interrupted"],
)
def test_a_stop_need_not_be_waited_for(
    serve: Callable[..., Service], seconds: str, signals: list[signal.Signals]
) -> None:
    """Where no time is to be waited, when told again, and by Ctrl-C."""
    service = serve(PUBLISHED, EVENKEEL_DRAIN_SECONDS=seconds)
    service.wait()
    for number in signals:
        service.process.send_signal(number)
        time.sleep(0.2)

    assert service.process.wait(PATIENCE_S) == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 0)])
def test_who_was_never_ready_has_not_done_its_work(
    serve: Callable[..., Service], tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """Swarm takes a replica that ends with 0 for one that ran, and ends an old one in its place. Ctrl-C is no fault."""
    service = serve(tmp_path, EVENKEEL_WORKERS="2")
    service.wait("/v2/health/live")
    service.process.send_signal(number)

    assert service.process.wait(PATIENCE_S) == code


class Client(threading.Thread):
    """Asks whichever service says that it is ready, as a load balancer does, until told to stop."""

    def __init__(self, ports: list[int]) -> None:
        super().__init__()
        self.ports, self.ready = ports, dict.fromkeys(ports, False)
        self.statuses: list[int] = []
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.is_set():
            for port in self.ports:
                self.ready[port] = self._ask(port, "GET", "/v2/health/ready") == 200
            for port in [port for port in self.ports if self.ready[port]][:1]:
                self.statuses += [self._ask(port, "POST", "/predict") for _ in range(20)]

    def go_on(self, times: int) -> None:
        """Wait until so many more requests were answered."""
        until = len(self.statuses) + times
        while len(self.statuses) < until:
            time.sleep(0.05)

    def _ask(self, port: int, method: str, path: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, BODY if method == "POST" else None, {"Content-Type": "application/json"})
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()


@contextmanager
def asking(ports: list[int]) -> Iterator[Client]:
    client = Client(ports)
    client.start()
    try:
        yield client
    finally:
        client.over.set()
        client.join()


@pytest.mark.thorough
def test_a_rolling_restart_loses_no_request() -> None:
    """Two services, each stopped and started in its turn; whoever follows readiness gets an answer every time."""
    ports = [find_free_port(), find_free_port()]
    with ExitStack() as stack:
        services = {port: stack.enter_context(running(PUBLISHED, port, EVENKEEL_DRAIN_SECONDS="1")) for port in ports}
        for service in services.values():
            service.wait()
        with asking(ports) as client:
            for port in ports:
                client.go_on(100)
                services[port].process.terminate()
                assert services[port].process.wait(PATIENCE_S) == 0
                services[port] = stack.enter_context(running(PUBLISHED, port, EVENKEEL_DRAIN_SECONDS="1"))
                services[port].wait()
            client.go_on(100)

    assert set(client.statuses) == {200}


def test_new_workers_take_over_under_load(serve: Callable[..., Service]) -> None:
    """SIGHUP replaces every worker under load, with hardly a request lost."""
    service = serve(PUBLISHED, EVENKEEL_WORKERS="2")
    service.wait()
    with asking([port_of(service)]) as client:
        before = workers(service)
        service.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 3 * PATIENCE_S
        while workers(service) & before or len(workers(service)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        client.go_on(100)

    # The kernel may reset a connection that waits for a worker which no longer listens.
    assert client.statuses.count(200) >= 0.99 * len(client.statuses)


class Kept(threading.Thread):
    """Asks for predictions and readiness in turn over one connection, which only the service ends; until told."""

    def __init__(self, port: int, pause: float) -> None:
        super().__init__()
        self.port, self.pause = port, pause
        self.answers: list[tuple[int, str | None]] = []
        self.broken: list[OSError | http.client.HTTPException] = []
        self.over = threading.Event()

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        while not self.over.wait(self.pause):
            try:
                for method, path in (("POST", "/predict"), ("GET", "/v2/health/ready")):
                    body = BODY if method == "POST" else None
                    connection.request(method, path, body, {"Content-Type": "application/json"})
                    with connection.getresponse() as answer:
                        answer.read()
                        self.answers.append((answer.status, answer.headers["Connection"]))
            except (OSError, http.client.HTTPException) as error:
                self.broken.append(error)
                connection.close()
        connection.close()


@pytest.mark.thorough
def test_a_renewal_cuts_no_connection(serve: Callable[..., Service]) -> None:
    """SIGHUP: kept-alive clients are told with an answer that the connection ends, and that the service is ready."""
    service = serve(PUBLISHED, EVENKEEL_WORKERS="2", EVENKEEL_DRAIN_SECONDS="2")
    service.wait()
    clients = [Kept(port_of(service), pause) for pause in (0.0, 0.001, 0.05, 0.3) for _ in range(2)]
    for client in clients:
        client.start()
    try:
        # Who connects only while the workers are renewed may meet a new one at once, which tells it nothing.
        wait_for(lambda: all(client.answers for client in clients))
        before = workers(service)
        service.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 3 * PATIENCE_S
        while workers(service) & before or len(workers(service)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        for client in clients:
            client.over.set()
            client.join()

    assert [error for client in clients for error in client.broken] == []
    assert {status for client in clients for status, _ in client.answers} == {200}
    assert all("close" in {connection for _, connection in client.answers} for client in clients)


def workers(service: Service) -> set[str]:
    return set(Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text().split())
