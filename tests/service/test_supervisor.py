"""The supervisor, with workers that do little: each writes its process id to whoever connects."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import find_free_port
from tests.end_to_end.conftest import ROOT

PATIENCE_S = 15.0
SCRIPT = """
import os, signal, socket, sys, threading, time
from service.processes import supervisor
from service.processes.supervisor import Supervisor

supervisor.LOOK_SECONDS, supervisor.HUNG_LOOKS, supervisor.RESTART_SECONDS = 0.05, 10, 0.1

def work(listening, beat, lifeline):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    signal.signal(signal.SIGINT, lambda *_: sys.exit())
    {start}
    listening.listen(100)
    listening.settimeout(0.01)
    while True:
        beat()
        try:
            connection, _ = listening.accept()
        except TimeoutError:
            continue
        connection.sendall(str(os.getpid()).encode())
        connection.close()

def bound():
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listening.bind(("127.0.0.1", {port}))
    return listening

Supervisor(work, [bound() for _ in range({workers})], patience={patience}).run()
"""


class Supervised:
    """A supervisor's process, and the port on which its workers answer."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process, self._port = process, port

    def ask(self) -> int:
        """The process id of the worker that answers."""
        with socket.create_connection(("127.0.0.1", self._port), PATIENCE_S) as connection:
            return int(b"".join(iter(lambda: connection.recv(64), b"")))

    def children(self) -> set[int]:
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return {int(child) for child in path.read_text().split()}

    def until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def answering(self) -> set[int]:
        """Who answers, of many times."""
        return {self.ask() for _ in range(30)}


@contextmanager
def supervised(workers: int = 2, start: str = "", patience: float = 5) -> Iterator[Supervised]:
    port = find_free_port()
    script = SCRIPT.format(port=port, workers=workers, start=start, patience=patience)
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    service = Supervised(process, port)
    try:
        yield service
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if process.poll() is None:
                process.send_signal(number)
                with_end(process)
        assert process.stderr is not None
        process.stderr.close()


def with_end(process: subprocess.Popen[str]) -> None:
    """Wait a while for a process to end."""
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)


def ready(service: Supervised, workers: int = 2) -> set[int]:
    def all_answer() -> bool:
        try:
            return len(service.answering()) == workers
        except ConnectionRefusedError:
            return False

    service.until(all_answer)
    return service.children()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["dead", "hung"])
def test_a_worker_that_is_gone_is_replaced(number: signal.Signals) -> None:
    """Whether it died or only stands still; the other one serves on."""
    with supervised() as service:
        before = ready(service)
        lost, kept = sorted(before)
        os.kill(lost, number)
        service.until(lambda: lost not in service.children() and len(service.children()) == 2)

        assert kept in ready(service)
        assert lost not in service.children()


def test_who_waits_for_a_dead_worker_is_served_by_its_successor() -> None:
    """The socket outlives the worker: a connection that nobody had taken is not reset."""
    with supervised(workers=1) as service:
        (worker,) = ready(service, 1)
        os.kill(worker, signal.SIGSTOP)
        with socket.create_connection(("127.0.0.1", service._port), PATIENCE_S) as waiting:
            os.kill(worker, signal.SIGKILL)

            assert int(waiting.recv(64)) != worker


def test_all_are_renewed_without_a_connection_lost() -> None:
    """SIGHUP replaces each worker by one that serves already."""
    with supervised() as service:
        before = ready(service)
        service.process.send_signal(signal.SIGHUP)
        service.until(lambda: not service.answering() & before)
        service.until(lambda: not service.children() & before)

        assert len(service.children()) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_stops_everything(number: signal.Signals) -> None:
    """With exit code 0, and nobody listens any more."""
    with supervised() as service:
        workers = ready(service)
        service.process.send_signal(number)

        assert service.process.wait(PATIENCE_S) == 0
        assert not [worker for worker in workers if Path(f"/proc/{worker}").exists()]
        with pytest.raises(ConnectionRefusedError):
            service.ask()


def test_a_worker_that_will_not_stop_is_killed() -> None:
    """Once its patience is over."""
    with supervised(start="signal.signal(signal.SIGTERM, signal.SIG_IGN)", patience=0.3) as service:
        ready(service)
        service.process.send_signal(signal.SIGTERM)

        assert service.process.wait(PATIENCE_S) == 0


def test_a_service_that_cannot_start_ends() -> None:
    """It is not started again and again; whoever started it learns of it."""
    with supervised(start="sys.exit(3)") as service:
        assert service.process.wait(PATIENCE_S) == 1
        assert service.process.stderr is not None
        assert "ended with code 3 before it served" in service.process.stderr.read()


def test_a_worker_that_dies_again_and_again_is_not_hurried(tmp_path: Path) -> None:
    """The others serve meanwhile, and whoever connects comes to them."""
    first = tmp_path / "first"
    start = (
        f"open({str(first)!r}, 'a').write('x'); time.sleep(0.3); len(open({str(first)!r}).read()) > 2 and sys.exit(3)"
    )
    with supervised(start=start) as service:
        before = ready(service)
        os.kill(min(before), signal.SIGKILL)
        time.sleep(2)

        assert 3 < len(first.read_text()) < 10
        assert service.answering() == {max(before)} & service.children()
