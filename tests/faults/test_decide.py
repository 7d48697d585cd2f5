"""Decisions about what serves that are killed, or refused by the disk, at each of their system calls."""

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from models.__main__ import main
from models.repository import ModelRepository
from tests.faults.conftest import Ended, Publisher, leftovers, numbered, whole_versions

# Each on a repository of three versions whose second is pinned, with a shadow.
DECISIONS = {
    "promote": ("promote", "plain", "1"),
    "newest": ("promote", "plain", "--newest"),
    "rollback": ("rollback", "plain"),
    "canary": ("canary", "plain", "3", "--share", "10%"),
    "shadow": ("shadow", "plain", "--off"),
}
CHANGING = ("write", "fsync", "rename")
LOST = "serving.json is changed, but the change may be lost in a power failure"


@pytest.fixture
def before(publisher: Publisher, tmp_path: Path) -> Path:
    """The repository that a decision finds."""
    root = tmp_path / "before"
    for _ in range(3):
        publisher.publish(root)
    for decision in (("promote", "plain", "2"), ("shadow", "plain", "1")):
        assert publisher.decide(root, *decision).code == 0
    return root


def serving(root: Path) -> bytes:
    return (root / "plain/serving.json").read_bytes()


def each_call(tracer: Publisher, before: Path, decision: Sequence[str], every: int) -> Iterator[tuple[Path, str, int]]:
    """Every so manieth system call of a decision, and each of those that may change the disk; with a repository that
    meets it.
    """
    counted = before.with_name("counted")
    shutil.copytree(before, counted)
    calls = numbered(tracer.traced(counted, decision=decision).calls, counted)
    assert Counter(name for name, _ in calls) >= Counter(fsync=1, rename=1)
    for index, (name, number) in enumerate(calls):
        if index % every == 0 or name in CHANGING:
            root = before.with_name(f"{name}-{number}")
            shutil.copytree(before, root)
            yield root, name, number


def check(before: Path, after: Path, root: Path, again: Publisher) -> bool:
    """serving.json is the old or the new one, it is shown, and it is decided about again. Whether it is the new one."""
    old, new, now = map(serving, (before, after, root))
    assert old != new
    assert now in (old, new)
    assert whole_versions(root) == [1, 2, 3]
    assert main(["--repository", str(root), "show", "plain"]) == 0
    assert again.decide(root, "promote", "plain", "3") == Ended([0], "")
    assert ModelRepository(root).serving_version("plain") == 3
    assert not leftovers(root)
    return now == new


@pytest.mark.parametrize("decision", DECISIONS.values(), ids=DECISIONS)
def test_a_decision_killed_at_any_call_leaves_the_old_or_the_new(
    tracer: Publisher, before: Path, every: int, decision: Sequence[str]
) -> None:
    """The next decision succeeds, and sweeps up what the killed one left."""
    outcomes = set()
    for root, call, number in each_call(tracer, before, decision, every):
        ended = tracer.traced(root, f"{call}:signal=KILL:when={number}", decision=decision)

        assert ended.code == -9
        outcomes.add(check(before, before.with_name("counted"), root, tracer))
    assert outcomes == {False, True}


@pytest.mark.parametrize(("decision", "error"), [*((name, "EIO") for name in DECISIONS), ("promote", "ENOSPC")])
def test_a_decision_that_the_disk_refuses_says_what_became_of_it(
    tracer: Publisher, before: Path, every: int, decision: str, error: str
) -> None:
    """One call fails: exit code 0 where the decision holds, else one sentence, which names the place, and says so where
    the disk did not confirm it; the next decision succeeds.
    """
    for root, call, number in each_call(tracer, before, DECISIONS[decision], every):
        ended = tracer.traced(root, f"{call}:error={error}:when={number}", decision=DECISIONS[decision])
        said = ended.said.splitlines()
        changed = check(before, before.with_name("counted"), root, tracer)

        assert len(said) == (ended.code != 0), ended
        assert all(sentence.startswith("models: ") and "plain" in sentence for sentence in said)
        assert changed == (ended.code == 0 or LOST in ended.said), ended
        assert ended.code in (0, 65, 74)


@pytest.mark.parametrize("fault", ["signal=KILL", "error=EIO"])
def test_a_prune_that_is_interrupted_leaves_whole_versions(
    tracer: Publisher, before: Path, every: int, fault: str
) -> None:
    """At any call: never a part of one, and never fewer than should stay. A refusal names the place and what became of
    the versions; the next prune removes what was left.
    """
    assert tracer.decide(before, "shadow", "plain", "--off").code == 0
    prune = ("prune", "plain", "--keep", "1")
    outcomes = set()
    for root, call, number in each_call(tracer, before, prune, every):
        ended = tracer.traced(root, f"{call}:{fault}:when={number}", decision=prune)
        after = whole_versions(root)
        outcomes.add(tuple(after))

        assert after in ([1, 2, 3], [2, 3])
        if fault == "error=EIO":
            assert (ended.code == 0) == (after == [2, 3] and "did not confirm" not in ended.said), ended
            assert not ended.code or "plain" in ended.said, ended
        assert tracer.decide(root, *prune) == Ended([0], "")
        assert whole_versions(root) == [2, 3]
        assert not leftovers(root)
    assert outcomes == {(1, 2, 3), (2, 3)}
