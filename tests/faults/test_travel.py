"""Imports, exports and backups that are killed, or refused by the disk, at each of their system calls."""

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from models.archive import unpack
from models.repository import ModelRepository
from tests.conftest import ROOT
from tests.faults.conftest import Ended, Publisher, fill, leftovers, numbered, whole_versions

CHANGING = ("mkdir", "write", "fsync", "rename")
FAULTS = ("signal=KILL", "error=EIO", pytest.param("error=ENOSPC", marks=pytest.mark.thorough))
LOST = "may be lost in a power failure"


@pytest.fixture
def source(publisher: Publisher, tmp_path: Path) -> Path:
    """A repository of two versions, of which the first is pinned, and an archive of the second beside it."""
    root = tmp_path / "source"
    for _ in range(2):
        publisher.publish(root)
    assert publisher.decide(root, "promote", "plain", "1").code == 0
    assert publisher.decide(root, "export", "plain:2", str(root.with_suffix(".tar.gz"))).code == 0
    return root


def each_call(
    tracer: Publisher, before: Path, command: Sequence[str], every: int, least: Counter[str]
) -> Iterator[tuple[Path, str, int]]:
    """Every so manieth system call of a command, and each that changes the disk; with a copy of a folder for it.

    In the command `HERE` stands for the folder.
    """
    counted = before.with_name("counted")
    shutil.copytree(before, counted)
    calls = numbered(tracer.traced(counted, decision=placed(command, counted)).calls, counted)
    assert Counter(name for name, _ in calls) >= least
    for index, (name, number) in enumerate(calls):
        if index % every == 0 or name in CHANGING:
            here = before.with_name(f"{name}-{number}")
            shutil.copytree(before, here)
            yield here, name, number


def placed(command: Sequence[str], here: Path) -> list[str]:
    return [word.replace("HERE", str(here)) for word in command]


@pytest.fixture(params=["new", "beside another", "in the place of a corrupt one"])
def before(request: pytest.FixtureRequest, publisher: Publisher, source: Path) -> Path:
    """The repository that an import finds."""
    root = source.with_name("before")
    root.mkdir()
    if request.param != "new":
        publisher.publish(root)
    if request.param == "in the place of a corrupt one":
        shutil.copytree(source / "plain/2", root / "plain/2")
        (root / "plain/2/model.onnx").write_bytes(b"")
    return root


@pytest.mark.parametrize("fault", FAULTS)
def test_an_import_is_whole_or_not_at_all(
    tracer: Publisher, source: Path, before: Path, every: int, fault: str
) -> None:
    """Killed or refused at any call, what was published stays, and what is new is whole; the next import succeeds and
    sweeps up. A refusal is one sentence that says which of the two it is.
    """
    command = ("import", str(source.with_suffix(".tar.gz")))
    others = {*ModelRepository(before).versions("plain")} - {2}
    outcomes = set()
    for root, call, number in each_call(tracer, before, command, every, Counter(mkdir=1, write=2, fsync=4, rename=1)):
        ended = tracer.traced(root, f"{call}:{fault}:when={number}", decision=command)
        repository = ModelRepository(root)
        published = repository.intact("plain", 2)
        outcomes.add(published)

        assert all(repository.intact("plain", version) for version in others)
        assert {*repository.versions("plain")} <= {*others, 2}
        if fault != "signal=KILL":
            assert len(ended.said.splitlines()) == (ended.code != 0), ended
            assert published == (ended.code == 0 or LOST in ended.said), ended
            assert ended.code in (0, 65, 74)
        assert tracer.decide(root, *command) == Ended([0], "")
        assert whole_versions(root) == sorted({*others, 2})
        assert (root / "plain/2/card.json").read_bytes() == (source / "plain/2/card.json").read_bytes()
        assert not leftovers(root)
    assert outcomes == {False, True}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_export_is_the_old_archive_or_the_new(tracer: Publisher, source: Path, every: int, fault: str) -> None:
    """Killed or refused at any call, the archive that was there is still whole; the next export sweeps up."""
    before = source.with_name("archives")
    before.mkdir()
    assert tracer.decide(source, "export", "plain:1", str(before / "plain.tar")).code == 0
    command = ("export", "plain:2", "HERE/plain.tar", "--repository", str(source))
    outcomes = set()
    for here, call, number in each_call(tracer, before, command, every, Counter(write=1, fsync=1, rename=1)):
        ended = tracer.traced(here, f"{call}:{fault}:when={number}", decision=placed(command, here))
        version = unpack((here / "plain.tar").read_bytes(), "plain.tar").version
        outcomes.add(version)

        if fault != "signal=KILL":
            assert len(ended.said.splitlines()) == (ended.code != 0), ended
            assert (version == 2) == (ended.code == 0 or LOST in ended.said), ended
        assert tracer.decide(here, *placed(command, here)) == Ended([0], "")
        assert [path.name for path in here.iterdir()] == ["plain.tar"]
    assert outcomes == {1, 2}


def test_a_backup_that_is_killed_at_any_call_is_finished_by_the_next(
    tracer: Publisher, source: Path, every: int
) -> None:
    """What has arrived is whole, and never serves in another's place: the pinned version comes first."""
    before = source.with_name("backup")
    before.mkdir()
    command = ("copy", "--all", "--from", str(source), "--to", "HERE")
    arrived = set()
    for here, call, number in each_call(tracer, before, command, every, Counter(mkdir=3, write=5, fsync=9, rename=3)):
        assert tracer.traced(here, f"{call}:signal=KILL:when={number}", decision=placed(command, here)).code == -9
        versions = whole_versions(here)
        arrived.add(tuple(versions))

        assert not versions or ModelRepository(here).serving_version("plain") == 1
        assert tracer.decide(here, *placed(command, here)) == Ended([0], "")
        assert whole_versions(here) == [1, 2]
        assert (here / "plain/serving.json").read_bytes() == (source / "plain/serving.json").read_bytes()
        assert not leftovers(here)
    assert arrived == {(), (1,), (1, 2)}


def test_a_disk_that_fills_up_takes_no_half_of_a_version(publisher: Publisher, source: Path, disk: Path) -> None:
    """With more and more room, page by page: refused, refused, …, published; exported likewise."""
    archive = str(source.with_suffix(".tar.gz"))
    for command in (("import", archive), ("export", "plain:2", f"{disk}/plain.tar", "--repository", str(source))):
        refused = 0
        for pages in range(24):
            fill(disk, free=4096 * pages)
            ended = publisher.decide(disk / "store", *command)
            if not ended.code:
                break
            refused += 1
            assert ended.code == 74
            assert ended.said.endswith("No space left on device\n")
            assert {path.name for path in disk.iterdir()} <= {"filler", "store"}
        assert refused >= 7
        assert whole_versions(disk / "store") == [2]
    assert unpack((disk / "plain.tar").read_bytes(), "plain.tar").version == 2


def test_imports_at_once_publish_one_version(source: Path) -> None:
    """Six processes: each ends well, and one of them has published."""
    root = source.with_name("shared")
    command = [sys.executable, "-m", "models", "--repository", str(root), "import", str(source.with_suffix(".tar.gz"))]
    processes = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    said = [process.communicate(timeout=60)[0] for process in processes]

    assert {process.returncode for process in processes} == {0}
    assert sorted(said) == [*[f"plain 2: is already in {root}\n"] * 5, f"plain 2: published in {root}\n"]
    assert whole_versions(root) == [2]
