"""Writers that can be stopped at each of their system calls, and disks that are full or read-only."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from models.repository import ModelRepository
from tests.conftest import ROOT

# What concerns memory and signals, whose number may differ from time to time, is not counted.
CALLS = "trace=!brk,mmap,munmap,mremap,madvise,futex,getrandom,rt_sigaction,rt_sigprocmask,rt_sigreturn,exit_group"
CALL = re.compile(r"^(\w+)\(.*\) += ", re.MULTILINE)


@dataclass(frozen=True)
class Ended:
    """How publishers ended: an exit code each, negative for a signal; what they said; what they called."""

    codes: list[int]
    said: str
    calls: str = ""

    @property
    def code(self) -> int:
        (code,) = self.codes
        return code


@dataclass
class Publisher:
    """A process that publishes the model `plain`, or decides about it, in forks of its own."""

    log: Path
    process: subprocess.Popen[str] = field(init=False)

    def __post_init__(self) -> None:
        command = [sys.executable, "-m", "tests.faults.publisher"]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert self._hear() == "ready"

    def publish(self, root: Path, times: int = 1, longest_file: int = 0) -> Ended:
        """Publish, `times` at once."""
        children = self._order(root, times, longest_file)
        for child in children:
            os.kill(child, signal.SIGCONT)
        return Ended(*self._hear())

    def decide(self, root: Path, *decision: str) -> Ended:
        """Run a command of `python -m models`."""
        (child,) = self._order(root, decision=decision)
        os.kill(child, signal.SIGCONT)
        return Ended(*self._hear())

    def traced(self, root: Path, *faults: str, decision: Sequence[str] = ()) -> Ended:
        """Publish, or decide, under strace, which injects `faults`."""
        (child,) = self._order(root, decision=decision)
        options = [word for fault in faults for word in ("-e", f"inject={fault}")]
        command = ["strace", "-qq", "-y", "-s", "0", "-o", str(self.log), "-e", CALLS, *options, "-p", str(child)]
        with subprocess.Popen(command) as strace:
            _wait(lambda: "TracerPid:\t0" not in _status(child) or strace.poll() is not None)
            os.kill(child, signal.SIGCONT)
            codes, said = self._hear()
        return Ended(codes, said, self.log.read_text())

    def close(self) -> None:
        self.process.communicate(timeout=10)

    def _order(self, root: Path, times: int = 1, longest_file: int = 0, decision: Sequence[str] = ()) -> list[int]:
        assert self.process.stdin is not None
        order = {"root": str(root), "times": times, "longest_file": longest_file, "decision": decision}
        self.process.stdin.write(json.dumps(order) + "\n")
        children: list[int] = self._hear()
        for child in children:
            _wait(lambda child=child: "State:\tT" in _status(child))  # type: ignore[misc]
        return children

    def _hear(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())


def _status(process: int) -> str:
    return Path(f"/proc/{process}/status").read_text()


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def memory() -> Path | None:
    """Where files are in memory, if anywhere: faults are injected, and a real disk would only take its time to sync."""
    place = Path("/dev/shm")
    return place if place.is_dir() else None


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder of a test's own, in memory, that every user may look into."""
    with tempfile.TemporaryDirectory(prefix="faults-", dir=memory()) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="session")
def publisher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Publisher]:
    with contextlib.closing(Publisher(tmp_path_factory.mktemp("strace") / "log")) as one:
        yield one


@pytest.fixture(scope="session")
def tracer(publisher: Publisher) -> Publisher:
    """The publisher, where strace works."""
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    allowed = subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], capture_output=True, check=False)
    if allowed.returncode:
        pytest.skip("needs the right to trace processes")
    return publisher


@pytest.fixture(scope="session")
def every(pytestconfig: pytest.Config) -> int:
    """Of calls that change nothing, every so manieth is met by a fault; with --long, all of them are."""
    return 1 if pytestconfig.getoption("--long") else 8


def numbered(calls: str, root: Path) -> list[tuple[str, int]]:
    """Each call of a trace that is about a repository: its name, and the how manieth of its name it is."""
    counts: Counter[str] = Counter()
    found = []
    for call in CALL.finditer(calls):
        counts[call[1]] += 1
        if str(root) in call[0]:
            found.append((call[1], counts[call[1]]))
    return found


def whole_versions(root: Path) -> list[int]:
    """The versions that a reader sees; each is read, and none differs from what was published."""
    repository = ModelRepository(root)
    versions = repository.versions("plain")
    for version in versions:
        repository.read("plain", version)
    return versions


def leftovers(root: Path) -> list[str]:
    """What lies beside the versions."""
    return [str(path.relative_to(root)) for path in root.glob("*/.*")]


def fit(penguins: Path, store: Path, *tracer: str) -> subprocess.CompletedProcess[str]:
    """Train the model `plain` in a process of its own, perhaps under a tracer."""
    # What is compiled takes longer to load than this run takes without it.
    flags = ("--name", "plain", "--members", "1", "--epochs", "3", "--compiled", "false", "--repository", str(store))
    command = [*tracer, sys.executable, "-m", "trainer", "fit", str(penguins), "--target", "species", *flags]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = _mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder))
    if mounted.returncode:
        pytest.skip("needs the right to mount")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, free: int) -> None:
    """Leave so many bytes of a disk free; it counts in pages of 4096."""
    filler = disk / "filler"
    filler.unlink(missing_ok=True)
    room = os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize
    filler.write_bytes(bytes(room - free))


def make_read_only(disk: Path) -> None:
    assert not _mount("-o", "remount,ro", str(disk)).returncode


def _mount(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    command: Sequence[str] = ["mount", *arguments]
    try:
        return subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        return subprocess.CompletedProcess(command, 127)
