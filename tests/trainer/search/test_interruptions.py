"""Searches that are killed, interrupted, left alone by their workers or by the disk, as processes."""

import resource
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.trainer.search.processes import SearchProcess, leaderboard, searching, wait_until_gone

FLAGS = ("--hidden", "8", "--epochs", "30", "--members", "1", "--seeds", "0", "--stage", "8", "--trials", "16")

Start = Callable[..., SearchProcess]


@pytest.fixture(scope="module")
def left_alone(penguins: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """The leaderboard of a search of 16 trials that nobody disturbed."""
    store = tmp_path_factory.mktemp("alone")
    with searching(penguins, store, *FLAGS, "--jobs", "1") as search:
        assert search.end() == 0, search.said()
    return leaderboard(store)


@pytest.fixture
def start(penguins: Path, tmp_path: Path) -> Iterator[Start]:
    """Start a search in the test's own folder, with flags that come last; it is killed after the test."""
    with ExitStack() as stack:
        yield lambda *flags, before=lambda: None: stack.enter_context(
            searching(penguins, tmp_path, *FLAGS, "--jobs", "2", *flags, before=before)
        )


@pytest.mark.thorough
def test_a_worker_that_is_killed_is_replaced(start: Start, tmp_path: Path, left_alone: list[dict[str, str]]) -> None:
    """kill -9 of a worker, twice: its trial is taken up, none is lost, none is double."""
    search = start()
    for trials in (2, 4):
        search.wait_for_trials(trials)
        search.kill_a_worker()

    assert search.end() == 0, search.said()
    assert leaderboard(tmp_path) == left_alone


@pytest.mark.thorough
def test_all_killed_the_same_command_goes_on(start: Start, tmp_path: Path, left_alone: list[dict[str, str]]) -> None:
    """kill -9 of the one that was started: its workers end by themselves, and what was finished stays finished."""
    for trials in (3, 6):
        search = start()
        search.wait_for_trials(trials)
        workers = search.workers()
        search.kill()
        wait_until_gone(workers)
    search = start()

    assert search.end() == 0, search.said()
    assert "were finished before" in search.said().splitlines()[0]
    assert leaderboard(tmp_path) == left_alone
    assert not list((tmp_path / ".searches/penguins").glob("rows-*"))


def test_ctrl_c_leaves_a_leaderboard_and_the_same_command_goes_on(
    start: Start, tmp_path: Path, left_alone: list[dict[str, str]]
) -> None:
    """Exit code 130, one sentence, no traceback, no worker left."""
    search = start()
    search.wait_for_trials(5)
    workers = search.workers()
    search.interrupt()

    assert search.end() == 130, search.said()
    assert search.said().splitlines()[-1] == "trainer: interrupted; nothing was published"
    assert "Traceback" not in search.said()
    wait_until_gone(workers)
    assert 5 <= len(leaderboard(tmp_path)) < 16
    search = start()
    assert search.end() == 0, search.said()
    assert leaderboard(tmp_path) == left_alone


@pytest.mark.thorough
def test_a_full_disk_costs_the_trial_under_way_and_no_other(
    start: Start, tmp_path: Path, left_alone: list[dict[str, str]]
) -> None:
    """A journal that may grow no further stops the search with one sentence; with room again it goes on."""

    def fill() -> None:
        # The rows, mapped files of their own, are smaller.
        resource.setrlimit(resource.RLIMIT_FSIZE, (14_000, 14_000))

    search = start(before=fill)

    assert search.end() == 74, search.said()
    assert "File too large" in search.said().splitlines()[-1]
    assert "Traceback" not in search.said()
    journal = tmp_path / ".searches/penguins/study.journal"
    assert 1_000 < journal.stat().st_size <= 14_000
    search = start()
    assert search.end() == 0, search.said()
    assert leaderboard(tmp_path) == left_alone


def test_rows_that_do_not_fit_on_the_disk_begin_no_search(start: Start, tmp_path: Path) -> None:
    """One sentence with the disk's own reason, and nothing of them is left."""
    search = start(before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, 8_000)))

    assert (search.end(), search.said()) == (74, "trainer: File too large\n")
    assert not list((tmp_path / ".searches/penguins").glob("rows-*"))


def test_a_time_limit_ends_the_search_and_publishes(start: Start, tmp_path: Path) -> None:
    """The best of what there was in time, which is one trial at least; more time later goes on."""
    search = start("--trials", "5000", "--jobs", "1", "--epochs", "5", "--seeds", "1", "--time-limit", "1s")

    assert search.end() == 0, search.said()
    assert 0 < len(leaderboard(tmp_path)) < 5000
    assert f"Published in {tmp_path}/penguins/1" in search.printed()
