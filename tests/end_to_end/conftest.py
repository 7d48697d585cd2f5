"""Real processes: a trainer that runs to its end, a service that listens until the test is over."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest

from models.objects import Objects
from tests.conftest import find_free_port
from tests.end_to_end.browser import Tab, browsing
from tests.end_to_end.storage import Between, environment, seaweed
from tests.service.conftest import PUBLISHED
from tests.service.test_metrics import Samples, samples

ROOT = Path(__file__).parents[2]
PATIENCE_S = 20.0
# Where any model will do.
QUICK = ("--hidden", "8", "--epochs", "3", "--members", "1")


@dataclass(frozen=True)
class Service:
    """A running `python -m service`."""

    url: str
    process: subprocess.Popen[bytes]

    def ask(self, path: str, document: object = None) -> tuple[int, Any]:
        """GET, or POST a JSON document; the status and the JSON that came back."""
        data = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=5) as response:
                return response.status, json.loads(response.read())
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, json.loads(refusal.read())

    def metrics(self) -> Samples:
        """What whichever worker is asked tells of all."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=5) as response:
            return samples(response.read().decode())

    def wait(self, path: str = "/v2/health/ready", status: int = 200) -> float:
        """Wait until a path answers with a status; the seconds it took."""
        started = time.monotonic()
        while time.monotonic() - started < PATIENCE_S:
            try:
                if self.ask(path)[0] == status:
                    return time.monotonic() - started
            except OSError:
                pass
            time.sleep(0.01)
        raise TimeoutError(f"{path} did not answer with {status} within {PATIENCE_S} s")


@contextmanager
def running(repository: Path | str, port: int, stderr: IO[bytes] | None = None, **settings: str) -> Iterator[Service]:
    variables = {"EVENKEEL_REPOSITORY": str(repository), "EVENKEEL_PORT": str(port), "EVENKEEL_WORKERS": "1"}
    variables |= {"EVENKEEL_DRAIN_SECONDS": "0"} | settings
    command = [sys.executable, "-m", "service"]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | variables, stderr=stderr)
    try:
        yield Service(f"http://127.0.0.1:{port}", process)
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            if condition():
                return
        except OSError:  # The connection was at a worker that ended.
            pass
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def published() -> Iterator[Service]:
    """A service of the published penguins, for those tests of a file that change nothing of it."""
    with running(PUBLISHED, find_free_port()) as service:
        service.wait()
        yield service


@pytest.fixture
def serve(free_port: int) -> Iterator[Callable[..., Service]]:
    """Start a service on a repository; it is stopped after the test."""
    with ExitStack() as stack:
        yield lambda repository, **settings: stack.enter_context(running(repository, free_port, **settings))


def train(table: Path, repository: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """Run the batch job in a process of its own."""
    # What is compiled takes longer to load than these models take without it.
    quick = ("--compiled", "false", "--repository", str(repository))
    command = [sys.executable, "-m", "trainer", "fit", str(table), *quick, *flags]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """A browser with one tab, for the tests of a file."""
    with browsing(tmp_path_factory.mktemp("browser")) as tab:
        yield tab


@pytest.fixture
def tab(browser: Tab) -> Iterator[Tab]:
    """A tab as it opens. Nothing that a test opens in it may raise an error, or be refused."""
    browser.start_again()
    yield browser
    assert browser.errors == []


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with seaweed(tmp_path_factory.mktemp("weed") / "s3") as port:
        yield port


@pytest.fixture
def between(storage: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Between]:
    """What the client is told is the server."""
    with closing(Between(storage)) as one:
        for name, value in environment(one.port).items():
            monkeypatch.setenv(name, value)
        Objects("s3://models").put("made", b"")
        yield one


@pytest.fixture
def url(between: Between, tmp_path: Path) -> str:
    """A place of a test's own, at the server behind `between`."""
    assert between.requests
    return f"s3://models/{tmp_path.name}"
