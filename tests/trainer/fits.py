"""A fit as a process of its own, which a test may kill, interrupt and look into together with its workers."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.conftest import ROOT

PATIENCE_S = 120.0
# What is compiled takes longer to load than these networks take without it.
LIGHT = ("--compiled", "false", "--hidden", "8")


@dataclass(frozen=True)
class FitProcess:
    """A running `python -m trainer fit`; what it says goes to files."""

    process: subprocess.Popen[bytes]
    stdout: IO[str]
    stderr: IO[str]

    def workers(self) -> list[int]:
        """The processes that it has started."""
        try:
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        except OSError:
            return []
        return [int(child) for child in children.split()]

    def wait_until(self, condition: Callable[[], object], pause: float = 0.002) -> None:
        """Wait until something is so, which it must be before the fit ends."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert self.process.poll() is None, f"it ended early, with {self.process.returncode}:\n{self.said()}"
            assert time.monotonic() < deadline, f"nothing comes of it:\n{self.said()}"
            time.sleep(pause)

    def wait_for_epoch(self, number: int, *members: int) -> None:
        """Wait until each of these members, counted from 1, has so many epochs behind it; --verbose tells."""
        names = [f"member {member} of " for member in members]

        def reached() -> bool:
            lines = self.said().splitlines()
            return all(any(name in line and f"epoch {number:4d} " in line for line in lines) for name in names)

        self.wait_until(reached)

    def end(self) -> int:
        """Wait for the end; the exit code."""
        return self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        """kill -9 of the one that was started, and of nobody else."""
        self.process.kill()
        self.process.wait()

    def said(self) -> str:
        """What stands on stderr so far."""
        return _content(self.stderr)

    def printed(self) -> str:
        """What stands on stdout so far."""
        return _content(self.stdout)


@contextmanager
def fitting(
    table: Path, store: Path, *flags: str, target: str = "species", before: Callable[[], object] = lambda: None
) -> Iterator[FitProcess]:
    """Start a fit, as the leader of a group of processes; it is killed when the test is done with it."""

    def prepare() -> None:
        # Whoever runs the tests in the background has SIGINT ignored, which a child would inherit.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        before()

    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "trainer", *arguments(table, store, *flags, target=target)],
            cwd=ROOT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            stdout=stdout,
            stderr=stderr,
            preexec_fn=prepare,
            start_new_session=True,
        )
        fit = FitProcess(process, stdout, stderr)
        try:
            yield fit
        finally:
            workers = fit.workers()
            fit.kill()
            wait_until_gone(workers)


def arguments(table: Path, store: Path, *flags: str, target: str = "species") -> list[str]:
    """The words behind `python -m trainer`."""
    return ["fit", str(table), "--target", target, "--name", "m", "--repository", str(store), *LIGHT, *flags]


def wait_until_gone(pids: list[int]) -> None:
    """Fail if one of these processes goes on."""
    deadline = time.monotonic() + PATIENCE_S
    while any(_state(pid) not in "ZX" for pid in pids):
        if time.monotonic() > deadline:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            raise AssertionError("a worker outlives who started it")
        time.sleep(0.02)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def _content(file: IO[str]) -> str:
    # By another descriptor: the place in the file is the process's own, too.
    return Path(f"/proc/self/fd/{file.fileno()}").read_text()
