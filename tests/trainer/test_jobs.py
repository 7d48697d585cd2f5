"""Members of a bag that are trained at the same time, in processes: the same outcome, whatever becomes of them."""

import errno
import fcntl
import os
import pty
import re
import resource
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.card import ModelCard
from models.repository import ModelRepository
from tests.conftest import ROOT
from tests.trainer.fits import FitProcess, arguments, fitting, wait_until_gone
from trainer.command_line import main
from trainer.fitting import parallel
from trainer.job.job import prepare
from trainer.settings.config import TrainingConfig

# Candidates would be told of between the members.
ALL = ("--members", "3", "--selection", "false")
LONG = (*ALL, "--epochs", "120", "--patience", "120")
ENDLESS = (*ALL, "--epochs", "100000", "--patience", "100000", "--warm-up", "0")

Begin = Callable[..., FitProcess]


@pytest.fixture
def begin(penguins: Path, tmp_path: Path) -> Iterator[Begin]:
    """Start a fit of the penguins in a repository of the test's own; it is killed after the test."""
    with ExitStack() as stack:
        yield lambda *flags, before=lambda: None: stack.enter_context(
            fitting(penguins, tmp_path / "store", "--verbose", *flags, before=before)
        )


@pytest.fixture(scope="module")
def left_alone(penguins: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The model of the long run, trained in one process that nobody disturbed."""
    store = tmp_path_factory.mktemp("alone")
    assert main(arguments(penguins, store, *LONG, "--jobs", "1")) == 0
    return model(store)


def model(store: Path) -> bytes:
    return ModelRepository(store).read("m", 1).onnx


def card(store: Path) -> ModelCard:
    return ModelRepository(store).read("m", 1).card


PLAIN = ("--members", "4", "--epochs", "5")
ODD = (
    "--weight",
    "year",
    "--class-weight",
    "balanced",
    "--one-hot",
    "0",
    "--dropout",
    "0.2",
    "--distil",
    "false",
)


@pytest.mark.parametrize("flags", [PLAIN, (*PLAIN, *ODD)], ids=["plain", "weighted, embedded, not distilled"])
def test_any_number_of_jobs_gives_the_same_bytes(penguins: Path, tmp_path: Path, flags: tuple[str, ...]) -> None:
    """One process that trains them all, two and three beside it, and more than there are members."""
    for jobs in (1, 2, 3, 9):
        assert main(arguments(penguins, tmp_path / str(jobs), *flags, "--jobs", str(jobs))) == 0

    assert len({model(tmp_path / str(jobs)) for jobs in (1, 2, 3, 9)}) == 1
    assert {entry.name for entry in (tmp_path / "3").iterdir()} == {"m"}


def test_one_job_starts_no_process(penguins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does a bag of one network that tries nothing, nor one that is trained in a moment, whatever the machine."""
    started: list[object] = []
    monkeypatch.setattr(parallel, "Worker", lambda *arguments: started.append(arguments))
    monkeypatch.setattr(parallel, "available_cores", lambda: 8)
    alone = ("--members", "1", "--selection", "false", "--jobs", "4")
    for place, flags in enumerate((("--jobs", "1"), alone, ("--members", "3"))):
        assert main(arguments(penguins, tmp_path / str(place), "--epochs", "2", *flags)) == 0

    assert started == []


@pytest.mark.parametrize(("settings", "most"), [(("--members", "1"), 4), (PLAIN, 16)], ids=["one member", "four"])
def test_candidates_are_trained_side_by_side(
    penguins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: tuple[str, ...], most: int
) -> None:
    """With the networks of the defaults, in processes of which there are no more than networks; with the same bytes."""
    begun: list[parallel.Worker] = []
    worker = parallel.Worker

    def begin() -> parallel.Worker:
        begun.append(worker())
        return begun[-1]

    monkeypatch.setattr(parallel, "Worker", begin)
    for jobs in (1, 20):
        assert main(arguments(penguins, tmp_path / str(jobs), "--epochs", "5", *settings, "--jobs", str(jobs))) == 0

    assert len(begun) == most
    assert card(tmp_path / "20").selection == card(tmp_path / "1").selection != ()
    assert model(tmp_path / "20") == model(tmp_path / "1")


def test_a_process_that_cannot_be_started_says_what_to_type(
    penguins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No descriptor is left of it, and those that were started end."""
    popen, started = subprocess.Popen, list[subprocess.Popen[bytes]]()

    def second_fails(*arguments: Any, **how: Any) -> subprocess.Popen[bytes]:
        if started:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        started.append(popen(*arguments, **how))
        return started[0]

    monkeypatch.setattr(subprocess, "Popen", second_fails)
    opened, pair = list[socket.socket](), socket.socketpair

    def remembered() -> list[socket.socket]:
        opened.extend(pair())
        return opened[-2:]

    monkeypatch.setattr(parallel, "socketpair", remembered)
    assert main(arguments(penguins, tmp_path / "store", *ALL, "--epochs", "2", "--jobs", "3")) == 74

    said = "process 2 of 3 that train networks cannot be started: Resource temporarily unavailable; say fewer --jobs"
    assert said in capsys.readouterr().err
    assert [one.fileno() for one in opened] == [-1] * 4
    assert started[0].returncode == -signal.SIGKILL


@pytest.mark.parametrize(("epochs", "cores", "jobs"), [(2000, 8, 8), (2000, 2, 2), (2000, 1, 1), (20, 8, 1)])
def test_as_many_jobs_as_cores_where_that_is_worth_it(
    penguins: Path, monkeypatch: pytest.MonkeyPatch, epochs: int, cores: int, jobs: int
) -> None:
    """344 rows have 7 steps an epoch, in each of five."""
    monkeypatch.setattr(parallel, "available_cores", lambda: cores)
    config = TrainingConfig.of(table=penguins, target="species", name="m", epochs=epochs)

    assert parallel.jobs_for(config, prepare(config)[1]) == jobs


@pytest.mark.parametrize("jobs", ["0", "-1", "two", "1.5"])
def test_a_number_of_jobs_that_is_none_is_refused(
    penguins: Path, tmp_path: Path, jobs: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(penguins, tmp_path / "store", f"--jobs={jobs}")) == 64
    assert f"--jobs should be a whole number from 1 to 1000000, not {jobs!r}" in capsys.readouterr().err


def epochs_in(said: str) -> dict[int, list[int]]:
    """By member, from 1, the epochs that --verbose has told of."""
    told = re.findall(r"member (\d) of 3  epoch +(\d+) ", said)
    return {member: [int(epoch) for which, epoch in told if int(which) == member] for member in (1, 2, 3)}


@pytest.mark.thorough
@pytest.mark.parametrize("jobs", ["1", "3"])
def test_killed_another_number_of_jobs_takes_it_up_to_the_same_end(
    begin: Begin, penguins: Path, tmp_path: Path, left_alone: bytes, jobs: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """kill -9 of the one that was started: its workers end by themselves, and no epoch that was over is run again."""
    fit = begin(*LONG, "--jobs", "2")
    fit.wait_for_epoch(10, 1, 2)
    workers = fit.workers()
    fit.kill()
    wait_until_gone(workers)
    before = epochs_in(fit.said())
    capfd.readouterr()

    assert len(workers) == 2
    assert main(arguments(penguins, tmp_path / "store", "--verbose", *LONG, "--jobs", jobs, "--resume")) == 0
    after = epochs_in(capfd.readouterr().err)
    for member in (1, 2, 3):
        # A worker is ahead of what the one that was killed had said.
        behind, began = max(before[member], default=0), min(after[member], default=0)
        assert not after[member] or behind < began
        assert after[member] == list(range(began, began + len(after[member])))
    assert after[3]
    assert model(tmp_path / "store") == left_alone
    assert [entry.name for entry in (tmp_path / "store").iterdir()] == ["m"]


@pytest.mark.thorough
def test_a_worker_that_is_killed_ends_the_run_which_can_be_taken_up(
    begin: Begin, penguins: Path, tmp_path: Path, left_alone: bytes
) -> None:
    """Exit code 70, and a sentence that says whose process it was and what to do; the other worker ends too."""
    fit = begin(*LONG, "--jobs", "2")
    fit.wait_for_epoch(10, 1, 2)
    workers = fit.workers()
    os.kill(workers[1], signal.SIGKILL)

    assert fit.end() == 70
    wait_until_gone(workers)
    # On a busy machine it may be done with member 2 before it is killed.
    assert re.fullmatch(
        r"trainer: the process of member [23] of 3 was killed by SIGKILL; if there is too little memory, fewer --jobs "
        r"need less, and with --resume the same command goes on after the last epoch",
        fit.said().splitlines()[-1],
    )
    assert "Traceback" not in fit.said()
    assert [entry.name for entry in (tmp_path / "store").iterdir()] == [".checkpoints"]
    assert main(arguments(penguins, tmp_path / "store", *LONG, "--jobs", "2", "--resume")) == 0
    assert model(tmp_path / "store") == left_alone


@pytest.mark.parametrize(
    "send", [os.kill, os.killpg], ids=["the one that was started", "its group, as a terminal does"]
)
def test_ctrl_c_publishes_the_members_so_far(begin: Begin, tmp_path: Path, send: Callable[[int, int], None]) -> None:
    """All that are being trained stop at their best epoch; the third of three was never begun."""
    fit = begin(*ENDLESS, "--jobs", "2")
    fit.wait_for_epoch(15, 1, 2)
    workers = fit.workers()
    send(fit.process.pid, signal.SIGINT)

    assert fit.end() == 0, fit.said()
    wait_until_gone(workers)
    assert "interrupted; best so far" in fit.printed()
    assert "Traceback" not in fit.said()
    assert len(card(tmp_path / "store").frozen_statistics) == 2
    assert card(tmp_path / "store").metrics["test"].accuracy > 0.9
    assert [entry.name for entry in (tmp_path / "store").iterdir()] == ["m"]


def test_ctrl_c_before_an_epoch_publishes_nothing(begin: Begin, tmp_path: Path) -> None:
    """While the workers load what they need: exit code 130, and nothing is left."""
    fit = begin(*ENDLESS, "--jobs", "2")
    fit.wait_until(lambda: len(fit.workers()) == 2)
    workers = fit.workers()
    fit.process.send_signal(signal.SIGINT)

    assert fit.end() == 130
    wait_until_gone(workers)
    assert fit.said() == "trainer: interrupted; nothing was published\n"
    assert not (tmp_path / "store").exists()


def test_a_terminal_shows_the_members_that_are_trained_together(penguins: Path, tmp_path: Path) -> None:
    """A growing line and a line of scores for each, one below the other; Ctrl-C typed there publishes."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "trainer", *arguments(penguins, tmp_path, *ENDLESS, "--jobs", "2")],
        cwd=ROOT,
        stdin=terminal,
        stdout=subprocess.DEVNULL,
        stderr=terminal,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "80"},
        preexec_fn=_own_the_terminal,
        start_new_session=True,
    )
    os.close(terminal)
    shown = _read_until(controller, rb"member 1 of 3  epoch \d\d.*\n?.*member 2 of 3  epoch \d\d")
    os.write(controller, b"\x03")
    shown += _read_until(controller, None)

    assert process.wait() == 0
    lines = re.sub("\x1b\\[[^a-zA-Z]*[a-zA-Z]", "", shown.decode()).splitlines()
    together = [
        lines[place : place + 4] for place, line in enumerate(lines[:-4]) if line.startswith(("█", "▁", "▂", "▃", "▄"))
    ]
    assert [four for four in together if four[1].startswith("member 1 of 3") and four[3].startswith("member 2 of 3")]
    done = [line for line in lines if re.match(r"member \d of 3  \d+ epochs, best \d+: validation log-loss", line)]
    assert sorted(line[:13] for line in done) == ["member 1 of 3", "member 2 of 3"]


def _own_the_terminal() -> None:
    """Ctrl-C typed there is for the group of this process, the first of its session."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _read_until(controller: int, wanted: bytes | None) -> bytes:
    shown = b""
    while wanted is None or not re.search(wanted, re.sub(b"\x1b\\[[^a-zA-Z]*[a-zA-Z]", b"", shown), re.DOTALL):
        try:
            chunk = os.read(controller, 65536)
        except OSError:  # Linux's way to say that the terminal was closed.
            chunk = b""
        if not chunk:
            assert wanted is None, shown.decode()
            return shown
        shown += chunk
    return shown


def test_a_member_that_diverges_stops_all(begin: Begin, tmp_path: Path) -> None:
    """The sentence and the exit code are those of one process; no checkpoint is left, and no worker."""
    fit = begin("--members", "3", "--jobs", "2", "--learning-rate", "1e38")

    assert fit.end() == 65
    assert fit.said().splitlines()[-1].startswith("trainer: training diverged in epoch")
    assert "Traceback" not in fit.said()
    assert "Warning" not in fit.said()
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(("bytes_", "place"), [(8_000, "/tmp"), (30_000, ".checkpoints")], ids=["rows", "checkpoint"])
def test_a_full_disk_is_named(begin: Begin, tmp_path: Path, bytes_: int, place: str) -> None:
    """Where the shared rows go, or a worker's checkpoint: exit code 74, one sentence."""
    limit = (bytes_, bytes_)
    fit = begin(*ENDLESS, "--jobs", "2", before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))

    assert fit.end() == 74
    assert re.match(rf"trainer: .*{re.escape(place)}.*: File too large", fit.said().splitlines()[-1]), fit.said()
    assert "Traceback" not in fit.said()
    assert not (tmp_path / "store").exists() or not list((tmp_path / "store").rglob("*.onnx"))


def test_the_encoded_table_is_not_copied(tmp_path: Path) -> None:
    """A wide table lies once in memory: the workers map its pages, and have hardly more of their own than with a narrow
    one of as many rows.
    """
    rows = 20_000
    own, mapped = {}, {}
    for columns in (2, 302):
        rng = np.random.default_rng(0)
        values = {f"x{column}": rng.normal(size=rows).astype(np.float32) for column in range(columns)}
        pq.write_table(pa.table({**values, "y": rng.choice(["a", "b"], rows)}), tmp_path / f"{columns}.parquet")
        flags = ("--members", "2", "--jobs", "2", "--periodic", "0", "--epochs", "3", "--verbose")
        with fitting(tmp_path / f"{columns}.parquet", tmp_path / "store", *flags, target="y") as fit:
            fit.wait_for_epoch(1, 1, 2)
            maps = [Path(f"/proc/{pid}/smaps").read_text() for pid in fit.workers()]
        own[columns] = max(_kilobytes(each, "Anonymous") for each in maps)
        mapped[columns] = [_kilobytes(each, "Shared_Clean|Shared_Dirty", mapping="deleted") for each in maps]

    table = 300 * rows * 4 >> 10
    assert own[302] - own[2] < 0.25 * table
    assert min(mapped[302]) > 0.9 * table


def _kilobytes(smaps: str, what: str, mapping: str = "") -> int:
    """The sum of some figures of the mappings whose names hold a word."""
    total, counts = 0, False
    for line in smaps.splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            counts = mapping in line
        elif counts and (found := re.match(rf"(?:{what}): +(\d+) kB", line)):
            total += int(found[1])
    return total


def test_a_worker_takes_no_modules_of_somebody_else(penguins: Path, tmp_path: Path) -> None:
    """The working folder may hold a models.py, or a module by the name of one of Python's own."""
    for name in ("models", "trainer", "numpy", "selectors"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('somebody else')")
    command = [sys.executable, "-P", "-m", "trainer", *arguments(penguins, tmp_path / "store", "--epochs", "1")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [*command, "--members", "2", "--jobs", "2"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    assert "somebody else" not in ended.stderr
