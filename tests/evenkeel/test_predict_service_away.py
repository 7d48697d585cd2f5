"""A file scored through a service that refuses for now, stalls, dies and comes back."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from models.repository import ModelRepository
from tests.conftest import ROOT, find_free_port
from tests.end_to_end.conftest import Service, running
from tests.evenkeel.relay import answered, children, refused, relayed, until


def begun(table: Path, output: Path, url: str, *flags: str) -> subprocess.Popen[str]:
    given = [str(table), "--url", url, "--model", "penguins", "-o", str(output), *flags]
    command = [sys.executable, "-m", "evenkeel", "predict", *given]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


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


@pytest.mark.thorough
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
