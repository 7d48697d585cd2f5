"""A search as a process of its own, which a test may kill together with its workers."""

import csv
import fcntl
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO

from tests.conftest import ROOT
from trainer.search.claims import FIRST_TRIAL

PATIENCE_S = 180.0
# What is compiled takes longer to load than these trials take without it.
LIGHT = ("--compiled", "false")
# Linux's `struct flock`: kind, whence, start, length, process.
LOCK = "hhqqi4x"


@dataclass(frozen=True)
class SearchProcess:
    """A running `python -m trainer search` of the penguins; what it says goes to files."""

    process: subprocess.Popen[bytes]
    folder: Path
    stdout: IO[str]
    stderr: IO[str]

    def workers(self) -> list[int]:
        """The workers that are up; not what keeps count of the parent's resources."""
        tasks = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(task) for task in tasks if b"spawn_main" in _command_of(task)]

    def at_work(self) -> int | None:
        """A worker that has a claim on a trial of a study in a journal, as the kernel says."""
        with (self.folder / "claims").open("rb") as file:
            question = struct.pack(LOCK, fcntl.F_WRLCK, os.SEEK_SET, FIRST_TRIAL, 0, 0)
            kind, *_, holder = struct.unpack(LOCK, fcntl.fcntl(file, fcntl.F_GETLK, question))
        return None if kind == fcntl.F_UNLCK else holder

    def recorded(self) -> int:
        """How many trials its journal holds."""
        journal = self.folder / "study.journal"
        return journal.read_text().count('"user_attrs":{"index":') if journal.exists() else 0

    def wait_until(self, condition: Callable[[], object], pause: float = 0.005) -> None:
        """Wait until something is so, which it must be before the search ends."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert self.process.poll() is None, f"it ended early, with {self.process.returncode}:\n{self.said()}"
            assert time.monotonic() < deadline, f"nothing comes of it:\n{self.said()}"
            time.sleep(pause)

    def wait_for_trials(self, number: int) -> None:
        """Wait until the journal holds so many."""
        self.wait_until(lambda: self.recorded() >= number)

    def kill_a_worker(self) -> None:
        """kill -9 of one that has a trial under way."""

        def kill() -> bool:
            if worker := self.at_work():
                os.kill(worker, signal.SIGKILL)
            return worker is not None

        self.wait_until(kill)

    def kill(self) -> None:
        """kill -9 of the one that was started, and of nobody else."""
        self.process.kill()
        self.process.wait()

    def interrupt(self) -> None:
        """As Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)

    def end(self) -> int:
        """Wait for the end; the exit code."""
        return self.process.wait(PATIENCE_S)

    def said(self) -> str:
        """What stands on stderr so far."""
        return _content(self.stderr)

    def printed(self) -> str:
        """What stands on stdout so far."""
        return _content(self.stdout)


@contextmanager
def searching(
    penguins: Path,
    store: Path,
    *flags: str,
    environment: Mapping[str, str] = MappingProxyType({}),
    before: Callable[[], object] = lambda: None,
) -> Iterator[SearchProcess]:
    """Start a search; it is killed when the test is done with it."""
    command = [sys.executable, "-m", "trainer", "search", str(penguins), "--target", "species", "--name", "penguins"]

    def prepare() -> None:
        # Whoever runs the tests in the background has SIGINT ignored, which a child would inherit.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        before()

    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        process = subprocess.Popen(
            [*command, "--repository", str(store), *LIGHT, *flags],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            stdout=stdout,
            stderr=stderr,
            preexec_fn=prepare,
        )
        search = SearchProcess(process, store / ".searches/penguins", stdout, stderr)
        try:
            yield search
        finally:
            search.kill()


def wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while any(_state(pid) not in "ZX" for pid in pids):
        assert time.monotonic() < deadline, "a worker outlives who started it"
        time.sleep(0.05)


def leaderboard(store: Path) -> list[dict[str, str]]:
    """The leaderboard without what differs from run to run."""
    with (store / ".searches/penguins/leaderboard.csv").open(newline="") as file:
        return [{name: cell for name, cell in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def _content(file: IO[str]) -> str:
    # By another descriptor: the place in the file is the process's own, too.
    return Path(f"/proc/self/fd/{file.fileno()}").read_text()


def _command_of(pid: str) -> bytes:
    """Empty for one that has just ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"
