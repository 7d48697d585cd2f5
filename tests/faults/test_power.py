"""Power failures: from a trace of a publish, every state that the disk may be in afterwards.

What was not synced may be there or not, each piece for itself: an entry of a folder until the folder is synced, the
contents of a file until the file is (POSIX promises no more; ext4 keeps some order). The states are built one by one
and opened with the reader. How it is done at length: Pillai et al., All File Systems Are Not Created Equal, OSDI 2014.
"""

import math
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest

from models.errors import CorruptModel
from tests.faults.conftest import Publisher, whole_versions

CALL = re.compile(r"^(mkdir|openat|write|fsync|rename)\((.*)\) += \d+", re.MULTILINE)
PATH = re.compile(r'"([^"]+)"|\b\d+<([^>]+)>')


@dataclass(frozen=True)
class Change:
    """A change of the disk: when it was made, and by which later call it was made durable."""

    kind: str
    paths: tuple[Path, ...]
    made: int
    synced: float

    def shares(self, instant: int) -> tuple[float, ...]:
        """How much of it may be there after so many calls."""
        if self.made >= instant:
            return (0.0,)
        if self.synced < instant:
            return (1.0,)
        return (0.0, 0.5, 1.0) if self.kind == "write" else (0.0, 1.0)


State = list[tuple[Change, float]]


def changes_in(trace: str, base: Path) -> tuple[list[Change], int]:
    """What a publish changed below a folder, and how many calls it made there."""
    calls = []
    for name, arguments in CALL.findall(trace):
        named = [Path(first or second) for first, second in PATH.findall(arguments)]
        inside = tuple(path for path in named if path.is_relative_to(base))
        if inside and (name != "openat" or "O_CREAT" in arguments):
            calls.append((name, inside))
    changes = []
    for made, (name, paths) in enumerate(calls):
        if name != "fsync":
            # Bytes are made durable by a sync of their file, an entry by one of its folder.
            synced_by = ("fsync", (paths[0] if name == "write" else paths[-1].parent,))
            later = [number for number, call in enumerate(calls) if number > made and call == synced_by]
            changes.append(Change(name, paths, made, min(later, default=math.inf)))
    return changes, len(calls)


def states(changes: list[Change], instant: int) -> Iterator[State]:
    """Every state that a power failure after so many calls may leave."""
    for shares in product(*(change.shares(instant) for change in changes)):
        yield list(zip(changes, shares, strict=True))


def build(state: State, contents: dict[str, bytes], moved: Callable[[Path], Path]) -> None:
    """Make a state; a change within a folder that is lost is lost with it."""
    for change, share in state:
        first, *others = map(moved, change.paths)
        if not share or not first.parent.exists():
            continue
        if change.kind == "mkdir":
            first.mkdir()
        elif change.kind == "openat":
            first.touch()
        elif first.exists():
            if change.kind == "rename":
                first.rename(others[0])
            else:
                data = contents[first.name]
                first.write_bytes(data[: int(len(data) * share)])


def found_after_failures(trace: str, base: Path, before: Path, folder: Path) -> Iterator[tuple[bool, list[int]]]:
    """What a reader finds in each state, and whether the publisher had ended by then.

    :raises CorruptModel: a version is not whole.
    """
    newest = max((base / "store/plain").iterdir(), key=lambda path: int(path.name))
    contents = {path.name: path.read_bytes() for path in newest.iterdir()}
    changes, calls = changes_in(trace, base)
    for instant in range(calls + 1):
        for number, state in enumerate(states(changes, instant)):
            disk = folder / f"{instant}-{number}"
            shutil.copytree(before, disk)
            build(state, contents, lambda path, disk=disk: disk / path.relative_to(base))  # type: ignore[misc]
            yield instant == calls, whole_versions(disk / "store")
            shutil.rmtree(disk)


@pytest.fixture(params=[0, 1], ids=["first", "second"])
def traced(tracer: Publisher, tmp_path: Path, request: pytest.FixtureRequest) -> tuple[str, Path, Path, int]:
    """The trace of a publish, the folder it went into, that folder as it was before, and how many versions it held."""
    base = tmp_path / "base"
    base.mkdir()
    for _ in range(request.param):
        tracer.publish(base / "store")
    shutil.copytree(base, tmp_path / "before")
    return tracer.traced(base / "store").calls, base, tmp_path / "before", request.param


def test_no_power_failure_shows_half_a_version(traced: tuple[str, Path, Path, int], tmp_path: Path) -> None:
    """Old versions, or old ones and the new one, whole; once the publisher has ended, the new one in every state."""
    trace, base, before, versions = traced
    outcomes = list(found_after_failures(trace, base, before, tmp_path / "states"))

    old, new = list(range(1, versions + 1)), list(range(1, versions + 2))
    assert len(outcomes) > 50
    assert all(found in (old, new) for _, found in outcomes)
    assert {tuple(found) for _, found in outcomes} == {tuple(old), tuple(new)}
    assert all(found == new for ended, found in outcomes if ended)


def test_every_sync_is_needed(traced: tuple[str, Path, Path, int], tmp_path: Path) -> None:
    """Without any one of them some power failure would show half a version, or lose a published one."""
    trace, base, before, versions = traced
    lines = trace.splitlines(keepends=True)
    syncs = [number for number, line in enumerate(lines) if line.startswith("fsync(")]
    assert len(syncs) == (4 if versions else 6)
    for left_out in syncs:
        shorter = "".join(lines[:left_out] + lines[left_out + 1 :])
        try:
            outcomes = list(found_after_failures(shorter, base, before, tmp_path / f"without-{left_out}"))
        except CorruptModel:
            continue
        assert any(len(found) == versions for ended, found in outcomes if ended), lines[left_out]


def test_no_power_failure_shows_half_a_decision(tracer: Publisher, tmp_path: Path) -> None:
    """The old serving.json or the new; once the command has ended, the new one; without either sync, something else."""
    base, before, serving = tmp_path / "store", tmp_path / "before", "plain/serving.json"
    for _ in range(2):
        tracer.publish(base)
    tracer.decide(base, "promote", "plain", "2")
    shutil.copytree(base, before)
    trace = tracer.traced(base, decision=("promote", "plain", "1")).calls
    old, new = (before / serving).read_bytes(), (base / serving).read_bytes()

    def found(trace: str) -> set[tuple[bool, bytes]]:
        """Whether the command had ended, and what serving.json said then."""
        changes, calls = changes_in(trace, base)
        (staged,) = [change.paths[0] for change in changes if change.kind == "write"]
        outcomes = set()
        for instant in range(calls + 1):
            for state in states(changes, instant):
                disk = Path(shutil.copytree(before, tmp_path / "disk"))
                build(state, {staged.name: new}, lambda path, disk=disk: disk / path.relative_to(base))  # type: ignore[misc]
                outcomes.add((instant == calls, (disk / serving).read_bytes()))
                shutil.rmtree(disk)
        return outcomes

    assert found(trace) == {(False, old), (False, new), (True, new)}
    syncs = re.findall(r"^fsync.*\n", trace, re.MULTILINE)
    assert len(syncs) == 2
    for sync in syncs:
        assert found(trace.replace(sync, "")) - {(False, old), (False, new), (True, new)}
