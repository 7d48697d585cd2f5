"""Disks that are full, or read-only, under a publisher and under the whole trainer."""

from pathlib import Path

import pytest

from models.repository import ModelRepository
from service.registry.registry import Registry
from tests.faults.conftest import Ended, Publisher, fill, fit, leftovers, make_read_only, whole_versions

FULL, READ_ONLY = "No space left on device", "Read-only file system"


def test_a_disk_that_fills_up_leaves_whole_versions(publisher: Publisher, disk: Path) -> None:
    """With more and more room, page by page, until a version fits: refused, refused, …, published."""
    store = disk / "store"
    publisher.publish(store)
    for pages in range(16):
        fill(disk, free=4096 * pages)
        ended = publisher.publish(store)
        assert not leftovers(store)
        if not ended.code:
            break
        assert ended == Ended([74], f"trainer: {store}/plain: nothing was published: {FULL}\n")
        assert whole_versions(store) == [1]

    assert pages >= 8  # Of model.onnx alone it takes seven.
    assert whole_versions(store) == [1, 2]


def test_a_read_only_repository_is_left_alone(publisher: Publisher, disk: Path) -> None:
    """The publisher says so; a service reads on."""
    store = disk / "store"
    publisher.publish(store)
    registry = Registry(ModelRepository(store))
    make_read_only(disk)
    ended = publisher.publish(store)
    registry.refresh()

    assert ended == Ended([74], f"trainer: {store}/plain: nothing was published: {READ_ONLY}\n")
    assert whole_versions(store) == [1]
    assert registry.predictor("plain").version == 1


@pytest.mark.parametrize("reason", [FULL, READ_ONLY])
def test_the_trainer_on_a_disk_that_refuses(penguins: Path, disk: Path, reason: str) -> None:
    """Exit code 74, one sentence that names the place, nothing visible; where there is room again, it succeeds."""
    store = disk / "store"
    if reason == FULL:
        fill(disk, free=0)
    else:
        make_read_only(disk)
    process = fit(penguins, store)

    assert process.returncode == 74, process.stderr
    assert process.stderr.splitlines()[-1].startswith(f"trainer: {store}"), process.stderr
    assert process.stderr.splitlines()[-1].endswith(reason), process.stderr
    assert "Traceback" not in process.stderr
    assert whole_versions(store) == []

    if reason == FULL:
        (disk / "filler").unlink()
        assert fit(penguins, store).returncode == 0
        assert whole_versions(store) == [1]
