"""Searches that are killed, interrupted, left alone by their workers or by the disk, as processes."""

import csv
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FLAGS = ("--hidden", "8", "--epochs", "30", "--seeds", "0", "--stage", "8")
PATIENCE_S = 180.0


def start(
    penguins: Path, store: Path, *flags: str, before: Callable[[], object] = lambda: None
) -> subprocess.Popen[str]:
    arguments = ["search", str(penguins), "--target", "species", "--name", "penguins", "--repository", str(store)]

    def prepare() -> None:
        # Whoever runs the tests in the background has SIGINT ignored, which a child would inherit.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        before()

    return subprocess.Popen(
        [sys.executable, "-m", "trainer", *arguments, *FLAGS, *flags],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=prepare,
    )


def wait_for_trials(process: subprocess.Popen[str], number: int) -> None:
    assert process.stderr is not None
    for _ in range(number):
        line = process.stderr.readline()
        assert line.startswith("trial "), f"it ended early: {line}"


def children(process: subprocess.Popen[str]) -> list[int]:
    """The workers; not what keeps count of the parent's resources."""
    tasks = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(task) for task in tasks if b"spawn_main" in Path(f"/proc/{task}/cmdline").read_bytes()]


def wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while any(Path(f"/proc/{pid}/stat").exists() and _state(pid) != "Z" for pid in pids):
        assert time.monotonic() < deadline, "a worker outlives who started it"
        time.sleep(0.05)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def leaderboard(store: Path) -> list[dict[str, str]]:
    with (store / ".searches/penguins/leaderboard.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def without_time(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{name: cell for name, cell in row.items() if name != "seconds"} for row in rows]


@pytest.fixture(scope="module")
def left_alone(penguins: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """The leaderboard of a search of 24 trials that nobody disturbed."""
    store = tmp_path_factory.mktemp("alone")
    process = start(penguins, store, "--trials", "24", "--jobs", "1")
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return without_time(leaderboard(store))


def test_a_worker_that_is_killed_is_replaced(penguins: Path, tmp_path: Path, left_alone: list[dict[str, str]]) -> None:
    """kill -9 of a worker, three times: its trial is taken up, none is lost, none is double."""
    process = start(penguins, tmp_path, "--trials", "24", "--jobs", "2")
    for _ in range(3):
        wait_for_trials(process, 4)
        os.kill(children(process)[0], signal.SIGKILL)
    _, errors = process.communicate()

    assert process.returncode == 0, errors
    assert without_time(leaderboard(tmp_path)) == left_alone


def test_all_killed_the_same_command_goes_on(penguins: Path, tmp_path: Path, left_alone: list[dict[str, str]]) -> None:
    """kill -9 of the one that was started: its workers end by themselves, and what was finished stays finished."""
    for trials in (3, 6):
        process = start(penguins, tmp_path, "--trials", "24", "--jobs", "2")
        if trials > 3:
            assert process.stderr is not None
            assert "were finished before" in process.stderr.readline()
        wait_for_trials(process, trials)
        workers = children(process)
        process.kill()
        process.communicate()
        wait_until_gone(workers)
    process = start(penguins, tmp_path, "--trials", "24", "--jobs", "2")
    _, errors = process.communicate()

    assert process.returncode == 0, errors
    assert without_time(leaderboard(tmp_path)) == left_alone
    assert not list((tmp_path / ".searches/penguins").glob("rows-*"))


def test_ctrl_c_leaves_a_leaderboard_and_the_same_command_goes_on(
    penguins: Path, tmp_path: Path, left_alone: list[dict[str, str]]
) -> None:
    """Exit code 130, one sentence, no traceback, no worker left."""
    process = start(penguins, tmp_path, "--trials", "24", "--jobs", "2")
    wait_for_trials(process, 5)
    workers = children(process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 130
    assert errors.splitlines()[-1] == "trainer: interrupted; nothing was published"
    assert "Traceback" not in errors
    wait_until_gone(workers)
    assert 5 <= len(leaderboard(tmp_path)) < 24
    process = start(penguins, tmp_path, "--trials", "24", "--jobs", "2")
    process.communicate()
    assert without_time(leaderboard(tmp_path)) == left_alone


def test_a_full_disk_costs_the_trial_under_way_and_no_other(
    penguins: Path, tmp_path: Path, left_alone: list[dict[str, str]]
) -> None:
    """A journal that may grow no further stops the search with one sentence; with room again it goes on."""

    def fill() -> None:
        # The rows, mapped files of their own, are smaller.
        resource.setrlimit(resource.RLIMIT_FSIZE, (24_000, 24_000))

    process = start(penguins, tmp_path, "--trials", "24", "--jobs", "2", before=fill)
    _, errors = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 74
    assert "File too large" in errors.splitlines()[-1]
    assert "Traceback" not in errors
    journal = tmp_path / ".searches/penguins/study.journal"
    assert 1_000 < journal.stat().st_size <= 24_000
    process = start(penguins, tmp_path, "--trials", "24", "--jobs", "2")
    process.communicate()
    assert without_time(leaderboard(tmp_path)) == left_alone


def test_a_time_limit_ends_the_search_and_publishes(penguins: Path, tmp_path: Path) -> None:
    """The best of what there was in time, which is one trial at least; more time later goes on."""
    flags = ("--trials", "5000", "--jobs", "1", "--epochs", "5", "--seeds", "1", "--time-limit", "1s")
    process = start(penguins, tmp_path, *flags)
    output, errors = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 0, errors
    assert 0 < len(leaderboard(tmp_path)) < 5000
    assert f"Published in {tmp_path}/penguins/1" in output
