"""The log of a real service, and whoever reads it."""

import fcntl
import http.client
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from service.telemetry.logs import MOST_LINES
from tests.conftest import find_free_port
from tests.end_to_end.conftest import PATIENCE_S, Service, running
from tests.end_to_end.test_stopping import workers
from tests.service.conftest import PUBLISHED
from tests.service.test_metrics import value


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe that is full after a page."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    yield reader, writer
    os.close(writer)
    os.close(reader)


def ask(service: Service, times: int, path: str = "/ping") -> list[int]:
    """The statuses of so many answers on one connection."""
    connection = http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=5)
    statuses = []
    for _ in range(times):
        connection.request("GET", path)
        with connection.getresponse() as answer:
            answer.read()
            statuses.append(answer.status)
    connection.close()
    return statuses


def dropped(service: Service) -> float:
    return value(service.metrics(), "log_lines_dropped_total")


@pytest.mark.thorough
def test_nobody_waits_for_a_reader_that_does_not_read(pipe: tuple[int, int]) -> None:
    """With a full pipe as stderr and each request a line: requests are answered, what is lost is counted, a worker that
    dies is replaced, and a stop ends everything.
    """
    _, writer = pipe
    with (
        os.fdopen(os.dup(writer), "wb") as stderr,
        running(PUBLISHED, find_free_port(), stderr, EVENKEEL_ACCESS_LOG="true") as service,
    ):
        service.wait()
        assert set(ask(service, MOST_LINES + 1500)) == {200}
        assert dropped(service) > 500

        (worker,) = workers(service)
        os.kill(int(worker), signal.SIGKILL)
        deadline = time.monotonic() + PATIENCE_S
        while workers(service) in ({worker}, set()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        service.wait()
        assert dropped(service) > 500

        began = time.monotonic()
        service.process.terminate()
        assert service.process.wait(PATIENCE_S) == 0
        assert time.monotonic() - began < 5


def test_a_reader_that_reads_gets_every_line(serve: Callable[..., Service], capfd: pytest.CaptureFixture[str]) -> None:
    """Up to the last one before the end, in their order."""
    service = serve(PUBLISHED, EVENKEEL_ACCESS_LOG="true")
    service.wait()
    ask(service, 700, "/v2/health/live")
    service.process.terminate()
    assert service.process.wait(PATIENCE_S) == 0

    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    found = [line for line in lines if line.get("path") == "/v2/health/live"]
    assert len(found) == 700
    assert {line["client"] for line in found} == {"127.0.0.1"}
    assert [line["request_id"] for line in found] == sorted(line["request_id"] for line in found)


@pytest.mark.parametrize(("host", "address"), [("::1", "http://[::1]:"), ("127.0.0.1", "http://127.0.0.1:")])
def test_an_address_is_logged_as_it_stands_in_a_url(tmp_path: Path, host: str, address: str) -> None:
    """IPv6 in brackets; and what is listened on is taken as Host."""
    port = find_free_port()
    with (tmp_path / "log").open("wb") as stderr, running(PUBLISHED, port, stderr, EVENKEEL_HOST=host) as service:
        at_host = Service(f"{address}{port}", service.process)
        at_host.wait()

    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["address"] for line in lines if line["event"] == "serving"] == [f"{address}{port}/"]
