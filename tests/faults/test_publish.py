"""Publishers that are killed, or refused by the disk, at each of their system calls."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.conftest import Ended, Publisher, leftovers, numbered, whole_versions

# Disks answer with these; the last one interrupts a call, and most calls are then made again.
ERRORS = ("EIO", "ENOSPC", "EROFS", "EDQUOT", "EINTR")
LOST = "is published, but may be lost in a power failure"


@dataclass(frozen=True)
class Case:
    """A repository with as many versions as asked for, and one call of the next publish."""

    root: Path
    call: str
    number: int


def each_call(publisher: Publisher, folder: Path, versions: int, every: int) -> Iterator[Case]:
    """Every so manieth system call of a publish, and each of those that change the disk."""
    counted = prepared(publisher, folder / "counted", versions)
    calls = numbered(publisher.traced(counted).calls, counted)
    assert Counter(name for name, _ in calls) >= Counter(mkdir=1, write=2, fsync=4, rename=1)
    for index, (name, number) in enumerate(calls):
        if index % every == 0 or name in ("mkdir", "write", "fsync", "rename"):
            yield Case(prepared(publisher, folder / f"{name}-{number}", versions), name, number)


def prepared(publisher: Publisher, root: Path, versions: int) -> Path:
    for _ in range(versions):
        assert publisher.publish(root).code == 0
    return root


def check(ended: Ended, versions: int, root: Path) -> None:
    """The repository shows what it did before, or one whole version more, and the exit code says which of the two."""
    after = whole_versions(root)
    assert after == list(range(1, len(after) + 1))
    published = len(after) > versions
    assert ended.code == (0 if published and LOST not in ended.said else 74), ended
    if ended.code:
        (sentence,) = ended.said.splitlines()
        assert sentence.startswith(f"trainer: {root}"), sentence
        assert (LOST in sentence) is published
    assert not leftovers(root)


def check_again(publisher: Publisher, root: Path) -> None:
    """The next publish adds one whole version, and leaves nothing else."""
    before = whole_versions(root)
    assert publisher.publish(root) == Ended([0], "")
    assert whole_versions(root) == [*before, len(before) + 1]
    assert not leftovers(root)


@pytest.mark.parametrize("versions", [0, 1])
def test_a_publisher_killed_at_any_call_leaves_whole_versions(
    tracer: Publisher, tmp_path: Path, every: int, versions: int
) -> None:
    """Old, or old and new; the next publish succeeds, and sweeps up what the killed one left."""
    outcomes = set()
    for case in each_call(tracer, tmp_path, versions, every):
        ended = tracer.traced(case.root, f"{case.call}:signal=KILL:when={case.number}")
        after = whole_versions(case.root)
        outcomes.add(len(after) - versions)

        assert ended.code == -9
        assert after == list(range(1, len(after) + 1))
        check_again(tracer, case.root)
    assert outcomes == {0, 1}


@pytest.mark.parametrize(("versions", "error"), [(0, "EIO"), *((1, error) for error in ERRORS)])
def test_a_refusal_of_the_disk_at_any_call_leaves_whole_versions(
    tracer: Publisher, tmp_path: Path, every: int, versions: int, error: str
) -> None:
    """One call fails: exit code 74 and one sentence that says what became of the version, or it is published after all;
    nothing else is left behind, and the next publish succeeds.
    """
    for case in each_call(tracer, tmp_path, versions, every):
        ended = tracer.traced(case.root, f"{case.call}:error={error}:when={case.number}")
        check(ended, versions, case.root)
        check_again(tracer, case.root)


def test_a_disk_that_dies_leaves_whole_versions(tracer: Publisher, tmp_path: Path, every: int) -> None:
    """From some call on every call of its kind fails, those that would clean up too."""
    for case in each_call(tracer, tmp_path, 1, every):
        ended = tracer.traced(case.root, f"{case.call}:error=EIO:when={case.number}+")

        assert "Traceback" not in ended.said
        assert whole_versions(case.root) in ([1], [1, 2])
        check_again(tracer, case.root)


def test_a_version_that_the_disk_did_not_confirm_is_not_called_unpublished(tracer: Publisher, tmp_path: Path) -> None:
    """The folder cannot be synced after the rename: readers see the version, and the sentence says what is unknown."""
    calls = numbered(tracer.traced(prepared(tracer, tmp_path, versions=1)).calls, tmp_path)
    last = max(number for name, number in calls if name == "fsync")
    ended = tracer.traced(tmp_path, f"fsync:error=EIO:when={last}")

    assert whole_versions(tmp_path) == [1, 2, 3]
    assert ended == Ended([74], f"trainer: {tmp_path}/plain: version 3 {LOST}: Input/output error\n", ended.calls)


def test_twenty_publishers_at_once(publisher: Publisher, tmp_path: Path) -> None:
    """Twenty processes, let go together: twenty whole versions, each its own."""
    ended = publisher.publish(tmp_path, times=20)

    assert ended == Ended([0] * 20, "")
    assert whole_versions(tmp_path) == list(range(1, 21))
    assert not leftovers(tmp_path)


def test_a_write_that_is_cut_short_is_noticed(publisher: Publisher, tmp_path: Path) -> None:
    """The system takes 4096 of the model's 26 000 bytes, and no more."""
    publisher.publish(tmp_path)
    ended = publisher.publish(tmp_path, longest_file=4096)

    assert ended == Ended([74], f"trainer: {tmp_path}/plain: nothing was published: File too large\n")
    assert whole_versions(tmp_path) == [1]
    assert not leftovers(tmp_path)
