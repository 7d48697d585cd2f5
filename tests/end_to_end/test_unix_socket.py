"""A service on a Unix socket, which all its workers have in common."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.errors import InvalidSetting
from service.processes.listening import listening
from service.settings import Settings
from tests.end_to_end.conftest import PATIENCE_S, ROOT, running
from tests.service.conftest import GENTOO, PUBLISHED


class OverUnix(http.client.HTTPConnection):
    """A connection to a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


def ask(path: Path, route: str, document: object = None) -> tuple[int, Any]:
    """GET, or POST a JSON document, on a connection of its own."""
    client = OverUnix(path)
    try:
        body = None if document is None else json.dumps(document)
        client.request("GET" if body is None else "POST", route, body, {"Content-Type": "application/json"})
        answer = client.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        client.close()


def wait(path: Path) -> None:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            if ask(path, "/readyz")[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.02)
    raise TimeoutError("the service does not answer")


def workers(supervisor: int) -> set[int]:
    found = subprocess.run(["pgrep", "-P", str(supervisor)], capture_output=True, text=True, check=False)
    return {int(one) for one in found.stdout.split()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "socket"


@pytest.fixture
def process(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A service of two workers."""
    settings = {"EVENKEEL_HOST": f"unix:{path}", "EVENKEEL_WORKERS": "2"}
    with running(PUBLISHED, 1, None, **settings) as service:
        wait(path)
        yield service.process


def test_workers_share_a_unix_socket(path: Path, process: subprocess.Popen[bytes]) -> None:
    """Predictions are answered while workers are killed and renewed; a stop leaves no file behind."""
    predicted = [ask(path, "/predict", {"instance": GENTOO})[1]["prediction"]["label"] for _ in range(4)]
    before = workers(process.pid)
    os.kill(min(before), signal.SIGKILL)
    process.send_signal(signal.SIGHUP)
    until = time.monotonic() + PATIENCE_S
    while (workers(process.pid) & before or len(workers(process.pid)) != 2) and time.monotonic() < until:
        assert ask(path, "/v2/health/live")[0] == 200
        time.sleep(0.01)

    assert predicted == ["Gentoo"] * 4
    assert len(workers(process.pid) - before) == 2
    assert path.is_socket()
    assert path.stat().st_mode & 0o777 == 0o666
    process.terminate()
    process.wait(PATIENCE_S)
    assert not path.exists()


def test_a_socket_that_was_left_behind_is_taken(path: Path) -> None:
    """One that somebody listens on is not, nor is any other file."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
        left.listen()
        assert "already in use" in refused(path)
    with running(PUBLISHED, 1, None, EVENKEEL_HOST=f"unix:{path}"):
        wait(path)
    path.write_text("mine")
    assert "already in use" in refused(path)
    assert path.read_text() == "mine"


def refused(path: Path) -> str:
    """What the service says where it cannot start."""
    environment = os.environ | {"EVENKEEL_HOST": f"unix:{path}", "EVENKEEL_REPOSITORY": str(PUBLISHED)}
    command = [sys.executable, "-m", "service"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 74
    assert f"unix:{path}" in done.stderr
    return done.stderr.lower()


@pytest.mark.parametrize("path", ["run/socket", "", f"/{'x' * 107}"])
def test_a_path_that_is_none_stops_the_start(path: str) -> None:
    with pytest.raises(InvalidSetting, match=r"^EVENKEEL_HOST should be unix: and a whole path of at most 107 bytes"):
        Settings.from_environment({"EVENKEEL_HOST": f"unix:{path}"})


def test_a_file_is_scored_through_a_proxy(penguins: Path) -> None:
    """`evenkeel predict` speaks TCP, and says so."""
    command = [sys.executable, "-m", "evenkeel", "predict", str(penguins), "--url"]
    environment = os.environ | {"EVENKEEL_HOST": "unix:/run/evenkeel"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 64
    assert "EVENKEEL_HOST is a Unix socket" in done.stderr


def test_a_socket_of_a_service_that_only_begins_is_not_taken(tmp_path: Path) -> None:
    """Of two that are started together one stops, even before the other's workers listen."""
    host = f"unix:{tmp_path}/socket"
    with listening(host, 0, 1) as (one,), one, pytest.raises(OSError, match="in use"), listening(host, 0, 1):
        pass
