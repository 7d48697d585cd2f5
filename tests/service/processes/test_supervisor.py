"""The supervisor, with workers that do little: each writes its process id to whoever connects."""

import os
import pty
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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
supervisor.RENEWAL_SECONDS = 0.2

class Record:
    seat = None
    def note(self, amounts): pass
    def vacate(self, seat): self.seat = seat
    def count_exit(self, cause):
        print("of an occupied seat" if self.seat is None else cause, flush=True)
        self.seat = None

def work(listening, seat, beat, lifeline):
    told = []
    for number in (signal.SIGTERM, signal.SIGINT, supervisor.RETIRE):
        signal.signal(number, lambda *_: told.append(1))
    {start}
    listening.listen(100)
    listening.settimeout(0.01)
    while not told:
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

Supervisor(work, [bound() for _ in range({workers})], patience={patience}, record=Record()).run()
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

    def told(self) -> list[str]:
        """Why workers have ended, once the supervisor has, which gets a moment to see the last of them."""
        time.sleep(0.3)
        self.process.terminate()
        output, _ = self.process.communicate(timeout=PATIENCE_S)
        return output.split()

    def answering(self) -> set[int]:
        """Who answers, of many times."""
        return {self.ask() for _ in range(30)}


@contextmanager
def supervised(workers: int = 2, start: str = "", patience: float = 5) -> Iterator[Supervised]:
    port = find_free_port()
    script = SCRIPT.format(port=port, workers=workers, start=start, patience=patience)
    command = [sys.executable, "-c", script]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    service = Supervised(process, port)
    try:
        yield service
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if process.poll() is None:
                process.send_signal(number)
                with_end(process)
        for output in (process.stdout, process.stderr):
            assert output is not None
            output.close()


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


@pytest.mark.parametrize(
    ("number", "cause"),
    [(signal.SIGKILL, "signal"), (signal.SIGSTOP, "hang"), (signal.SIGTERM, "code")],
    ids=["killed", "hung", "ended"],
)
def test_a_worker_that_is_gone_is_replaced(number: signal.Signals, cause: str) -> None:
    """Whether it died or only stands still, and the cause is counted; the other one serves on."""
    with supervised() as service:
        before = ready(service)
        lost, kept = sorted(before)
        os.kill(lost, number)
        service.until(lambda: lost not in service.children() and len(service.children()) == 2)

        assert kept in ready(service)
        assert lost not in service.children()
        assert service.told() == [cause]


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
        assert service.told() == ["renewal", "renewal"]


@pytest.mark.parametrize("keeps_on", [False, True], ids=["plain", "nohup"])
def test_a_closed_terminal_stops_the_service(keeps_on: bool) -> None:
    """No supervisor stays behind to hold the port, unless nohup has SIGHUP ignored."""
    port = find_free_port()
    # Set either way: the tests themselves may run under nohup.
    meaning = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_{'IGN' if keeps_on else 'DFL'})"
    script = meaning + SCRIPT.format(port=port, workers=1, start="", patience=5)
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(ROOT)
        os.execv(sys.executable, [sys.executable, "-c", script])
    try:
        until_listening(port)
        os.close(terminal)
        deadline = time.monotonic() + (1 if keeps_on else PATIENCE_S)
        ended = (0, 0)
        while ended[0] == 0 and time.monotonic() < deadline:
            ended = os.waitpid(process, os.WNOHANG)
            time.sleep(0.02)

        assert ended == ((0, 0) if keeps_on else (process, 0))
    finally:
        # With its workers, which a killed one would leave behind.
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(process, signal.SIGTERM)
            os.waitpid(process, 0)


def until_listening(port: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), PATIENCE_S).close()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        else:
            return


def test_there_is_never_more_than_one_worker_too_many() -> None:
    """However often all are to be renewed, and however long those that were take to end."""
    with supervised(start="signal.signal(supervisor.RETIRE, lambda *_: (time.sleep(0.3), told.append(1)))") as service:
        before = ready(service)
        seen = []
        for _ in range(5):
            service.process.send_signal(signal.SIGHUP)
            time.sleep(0.05)
            seen.append(len(service.children()))
        service.until(lambda: seen.append(len(service.children())) or not service.children() & before)  # type: ignore[func-returns-value]

        assert max(seen) == 3


def test_a_renewal_that_fails_is_told_and_tried_again(tmp_path: Path) -> None:
    """Whose successor dies before it serves; until there is a better one, the old worker serves on."""
    first, broken = tmp_path / "first", tmp_path / "broken"
    start = f"time.sleep(0.05); open({str(broken)!r}).read() and (open({str(first)!r}, 'a').write('x'), sys.exit(7))"
    broken.write_text("")
    with supervised(start=start) as service:
        before = ready(service)
        broken.write_text("yes")
        service.process.send_signal(signal.SIGHUP)
        service.until(lambda: first.exists() and len(first.read_text()) >= 3)
        assert ready(service) >= before
        broken.write_text("")
        service.until(lambda: not service.children() & before)

        service.process.terminate()
        output, errors = service.process.communicate(timeout=PATIENCE_S)
        causes = output.split()
        assert 3 <= causes.count("failed_renewal") <= 5
        assert causes[-2:] == ["renewal", "renewal"]
        assert "worker not renewed" in errors


def test_a_successor_that_dies_is_replaced_while_its_predecessor_still_ends(tmp_path: Path) -> None:
    """Who is about to end takes nobody's place."""
    ending = tmp_path / "ending"
    start = f"signal.signal(supervisor.RETIRE, lambda *_: (open({str(ending)!r}, 'w'), time.sleep(1), told.append(1)))"
    with supervised(workers=1, start=start) as service:
        (old,) = ready(service, 1)
        service.process.send_signal(signal.SIGHUP)
        service.until(ending.exists)
        (successor,) = service.children() - {old}
        os.kill(successor, signal.SIGKILL)
        service.until(lambda: not service.children() & {old, successor})

        assert len(ready(service, 1)) == 1
        assert service.told() == ["signal", "renewal"]


def test_a_worker_that_was_renewed_and_does_not_end_is_killed() -> None:
    """Once its patience is over; the next is renewed then."""
    with supervised(start="signal.signal(supervisor.RETIRE, signal.SIG_IGN)", patience=0.3) as service:
        before = ready(service)
        service.process.send_signal(signal.SIGHUP)
        service.until(lambda: not service.children() & before)

        assert service.told() == ["renewal", "renewal"]


def test_a_closed_terminal_does_not_kill_the_workers() -> None:
    """It sends SIGHUP to all processes; only the supervisor takes it for a renewal."""
    with supervised() as service:
        before = ready(service)
        for worker in before:
            os.kill(worker, signal.SIGHUP)
        time.sleep(0.2)

        assert ready(service) == before


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
