"""A file scored through a service: a real one, which refuses, stalls, dies and comes back."""

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pyarrow import parquet

from evenkeel import client
from models.repository import ModelRepository
from tests.conftest import ROOT, find_free_port
from tests.end_to_end.conftest import Service, running
from tests.evenkeel.conftest import Command
from tests.service.conftest import PUBLISHED


@pytest.fixture
def table(penguins: Path, tmp_path: Path) -> Path:
    """The penguins sixty times: some blocks, and a good many requests."""
    header, *lines = penguins.read_text().splitlines()
    table = tmp_path / "table.csv"
    table.write_text("\n".join([header, *lines * 60]))
    return table


@pytest.fixture
def expected(command: Command, table: Path, tmp_path: Path) -> bytes:
    """What the command writes without a service."""
    output = tmp_path / "expected.csv"
    assert command("predict", table, "--model", "penguins", "-o", output).code == 0
    return output.read_bytes()


def begun(table: Path, output: Path, url: str, *flags: str) -> subprocess.Popen[str]:
    given = [str(table), "--url", url, "--model", "penguins", "-o", str(output), *flags]
    command = [sys.executable, "-m", "evenkeel", "predict", *given]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


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
        with client, socket.create_connection(("127.0.0.1", self._port)) as service:
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


@pytest.fixture(scope="module")
def shared(repository: ModelRepository) -> Iterator[Service]:
    # However busy the machine is, no request waits for its turn for so long that it is refused, and said to be.
    settings = {"EVENKEEL_DEFAULT_MODEL": "penguins", "EVENKEEL_DEADLINE_SECONDS": "20"}
    with running(repository.root, find_free_port(), None, **settings) as service:
        service.wait()
        # A version that does not serve is loaded after the service is ready.
        service.wait("/v1/models/penguins/versions/1")
        yield service


def test_a_service_answers_as_the_file_does(
    command: Command, shared: Service, table: Path, expected: bytes, tmp_path: Path
) -> None:
    """The same bytes, by the version that serves and by one that is named."""
    output = tmp_path / "out.csv"
    ended = command("predict", table, "--url", shared.url, "--model", "penguins", "-o", output)

    assert (ended.code, ended.err) == (0, "")
    assert output.read_bytes() == expected
    older = command("predict", table, "--url", shared.url, "--model", "penguins", "--version", "1")
    assert older.out == command("predict", table, "--model", "penguins", "--version", "1").out != output.read_text()


def test_the_address_comes_from_the_settings(
    command: Command, shared: Service, penguins: Path, monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    """Where --url says none; and what cannot be reached is named by it."""
    monkeypatch.setenv("EVENKEEL_HOST", "0.0.0.0")
    monkeypatch.setenv("EVENKEEL_PORT", shared.url.rpartition(":")[2])
    assert command("predict", penguins, "--model", "penguins", "--url").code == 0
    monkeypatch.setenv("EVENKEEL_PORT", str(free_port))
    ended = command("predict", penguins, "--model", "penguins", "--url")

    assert ended.code == 74
    assert ended.err == (
        f"evenkeel: http://127.0.0.1:{free_port} cannot be reached: connection refused; is it running there?\n"
    )
    for address in ("ftp://x", "penguins.csv", "http://127.0.0.1:no", "http://"):
        ended = command("predict", penguins, "--url", address)
        assert ended.code == 64
        assert "is no address of a service; it should look like http://127.0.0.1:8080" in ended.err


def test_what_the_service_refuses_is_told_in_its_words(command: Command, shared: Service, penguins: Path) -> None:
    """With the address before them; nothing is tried again."""
    ended = command("predict", penguins, "--url", shared.url, "--model", "walruses")

    assert ended.code == 65
    assert ended.err.startswith(f"evenkeel: {shared.url}: no such model is served")


@pytest.mark.parametrize(
    "limits",
    [
        {"EVENKEEL_MAX_ROWS": "50"},
        {"EVENKEEL_MAX_BODY_BYTES": "3000"},
        {"EVENKEEL_MAX_ANSWER_BYTES": "1500"},
        {"EVENKEEL_MAX_ROWS": "1"},
    ],
)
def test_requests_are_as_long_as_the_service_takes(
    command: Command, repository: ModelRepository, penguins: Path, limits: dict[str, str]
) -> None:
    """Halved until they are taken, and then the same answers."""
    with running(repository.root, find_free_port(), None, **limits) as service:
        service.wait()
        ended = command("predict", penguins, "--url", service.url, "--model", "penguins")

    assert (ended.code, ended.err) == (0, "")
    assert ended.out == command("predict", penguins, "--model", "penguins").out


def test_a_row_that_the_service_will_not_take_is_named(
    command: Command, repository: ModelRepository, penguins: Path, tmp_path: Path
) -> None:
    """Its cell alone is longer than a request may be: by line, or without an answer."""
    header, *lines = penguins.read_text().splitlines()
    lines[100] = lines[100].replace("Dream", "x" * 5000).replace("Biscoe", "x" * 5000).replace("Torgersen", "x" * 5000)
    table = tmp_path / "t.csv"
    table.write_text("\n".join([header, *lines]))
    with running(repository.root, find_free_port(), EVENKEEL_MAX_BODY_BYTES="3000") as service:
        service.wait()
        asked = ("predict", table, "--url", service.url, "--model", "penguins")
        stopped, output = command(*asked), tmp_path / "out.parquet"
        going = command(*asked, "--on-error", "null", "-o", output)

    assert stopped.code == 65
    assert "line 102: " in stopped.err
    assert "(413)" in stopped.err
    assert going.code == 80
    assert parquet.read_table(output)["label"].null_count == 1


def test_long_texts_are_sent_a_few_at_a_time(
    command: Command, shared: Service, penguins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No request is longer than a megabyte."""
    header, *lines = penguins.read_text().splitlines()
    table = tmp_path / "t.csv"
    table.write_text("\n".join([header, *(line.replace("Biscoe", "y" * 20_000) for line in lines)]))
    sent = []
    plain = client._request

    def watched(*arguments: object) -> tuple[int, bytes]:
        head, body = plain(*arguments)  # type: ignore[arg-type]
        sent.append(len(body))
        return head, body

    monkeypatch.setattr(client, "_request", watched)
    ended = command("predict", table, "--url", shared.url, "--model", "penguins")

    assert ended.code == 0
    assert ended.out == command("predict", table, "--model", "penguins").out
    assert len([size for size in sent if size <= client.MOST_BYTES]) >= 4


def test_a_service_that_refuses_for_now_is_asked_again(
    shared: Service, table: Path, expected: bytes, tmp_path: Path
) -> None:
    """After as long as Retry-After says, from the first request on."""
    output, refusals = tmp_path / "out.csv", {1: 1, 4: 2, 5: 1}

    with relayed(shared, lambda number, client: number in refusals and refused(client, refusals[number])) as relay:
        started = time.monotonic()
        process = begun(table, output, relay.url)
        _, said = process.communicate(timeout=60)

    assert process.returncode == 0
    assert time.monotonic() - started > sum(refusals.values())
    assert f"{relay.url}: there is more to do than can be done in time (503); trying again for 60 s" in said
    assert output.read_bytes() == expected


def test_a_service_that_goes_on_refusing_is_given_up(shared: Service, table: Path, tmp_path: Path) -> None:
    """After the patience, with the address, the reason and what to type; nothing is left."""
    output = tmp_path / "out.csv"
    with relayed(shared, lambda number, client: number > 2 and refused(client, 1)) as relay:
        process = begun(table, output, relay.url, "--patience", "2")
        _, said = process.communicate(timeout=60)

    assert process.returncode == 74
    assert f"{relay.url} has not answered for 2 seconds; try again later, or say --patience with more: " in said
    assert said.endswith("(503); nothing was written\n")
    assert not output.exists()
    assert not list(tmp_path.glob(".staging*"))


def test_a_connection_that_is_cut_is_made_anew(shared: Service, table: Path, expected: bytes, tmp_path: Path) -> None:
    """Every third request is lost on its way."""
    output = tmp_path / "out.csv"
    with relayed(shared, lambda number, client: number % 3 == 0) as relay:
        process = begun(table, output, relay.url)
        process.communicate(timeout=60)

    assert process.returncode == 0
    assert relay.requests > 6
    assert output.read_bytes() == expected


def test_a_service_that_stalls_is_waited_for(
    repository: ModelRepository, table: Path, expected: bytes, tmp_path: Path
) -> None:
    """Stopped in the middle, every process of it, and let go on: the same bytes."""
    output = tmp_path / "out.csv"
    with running(repository.root, find_free_port(), EVENKEEL_MAX_ROWS="20") as service:
        service.wait()
        process = begun(table, output, service.url, "--patience", "9")
        until(lambda: answered(service) > 500)
        family = [service.process.pid, *children(service.process.pid)]
        for pid in family:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(4)
        assert process.poll() is None
        for pid in family:
            os.kill(pid, signal.SIGCONT)
        _, said = process.communicate(timeout=120)

    assert process.returncode == 0, said
    assert "no answer in time; trying again for 9 s" in said
    assert output.read_bytes() == expected


def test_a_service_that_dies_and_comes_back_is_waited_for(
    repository: ModelRepository, table: Path, expected: bytes, tmp_path: Path
) -> None:
    """kill -9 of every process of it in the middle, and a new one at the same address."""
    output, port = tmp_path / "out.csv", find_free_port()
    with running(repository.root, port, EVENKEEL_MAX_ROWS="20") as service:
        service.wait()
        process = begun(table, output, service.url)
        until(lambda: answered(service) > 500)
        for pid in [service.process.pid, *children(service.process.pid)]:
            os.kill(pid, signal.SIGKILL)
        service.process.wait()
        time.sleep(1)
        assert process.poll() is None
        assert not output.exists()
    with running(repository.root, port, EVENKEEL_MAX_ROWS="20"):
        _, said = process.communicate(timeout=120)

    assert process.returncode == 0, said
    assert "trying again for 60 s" in said
    assert output.read_bytes() == expected


def test_ctrl_c_does_not_wait_for_a_service(shared: Service, table: Path, tmp_path: Path) -> None:
    """Not even for one that refuses for an hour."""
    output = tmp_path / "out.csv"
    with relayed(shared, lambda number, client: number > 2 and refused(client, 3600)) as relay:
        process = begun(table, output, relay.url, "--patience", "4000")
        until(lambda: relay.requests > 2)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=5)

    assert process.returncode == 130
    assert not output.exists()


def test_the_key_comes_from_the_environment_or_a_file(
    command: Command, penguins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that asks for one refuses without, in its own words."""
    key, keys, own = "k" * 40, tmp_path / "keys", tmp_path / "own"
    keys.write_text(f"predict {key}\n")
    own.write_text(f"{key}\n")
    with running(PUBLISHED, find_free_port(), EVENKEEL_API_KEYS_FILE=str(keys)) as service:
        service.wait()
        asked = ("predict", penguins, "--url", service.url)
        without, by_file = command(*asked), command(*asked, "--key-file", own)
        monkeypatch.setenv("EVENKEEL_API_KEY", key)
        by_environment = command(*asked)
    own.write_text("short")

    assert without.code == 65
    assert "(401)" in without.err
    assert (by_file.code, by_environment.code) == (0, 0)
    assert command(*asked, "--key-file", own).code == 64


def answered(service: Service) -> int:
    """How many rows the service has answered."""
    with urllib.request.urlopen(f"{service.url}/metrics", timeout=5) as reply:
        lines = reply.read().decode().splitlines()
    return int(sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("evenkeel_rows_total")))


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]
