"""Disks that are full, or read-only, under a publisher and under the whole trainer."""

from pathlib import Path

import pytest

from models.prediction_log import BrokenLine, log_files, read_log
from models.repository import ModelRepository
from service.app import create_app
from service.prediction.prediction import Bounds
from service.registry.registry import Registry
from service.telemetry.board import Board, Metrics
from service.telemetry.journal import Journal, LogRules
from tests.faults.conftest import Ended, Publisher, fill, fit, leftovers, make_read_only, whole_versions
from tests.service.conftest import GENTOO, PUBLISHED
from tests.service.test_metrics import samples, value

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


def test_a_full_disk_costs_lines_of_the_prediction_log_alone(disk: Path) -> None:
    """Every request is answered; what was written are whole lines, what was not is counted, and where there is room
    again, the log goes on.
    """
    registry, board = Registry(ModelRepository(PUBLISHED)), Board.create()
    registry.refresh()
    journal = Journal(LogRules(disk / "log"), Metrics(board).count_prediction_log)
    client = create_app(registry, Bounds(1 << 20), board, journal=journal).test_client()

    def answer(rows: int) -> tuple[float, float]:
        assert client.post("/predict", json={"instances": [GENTOO] * rows}).status_code == 200
        journal._drain()
        read = samples(client.get("/metrics").text)
        written, lost = (value(read, "prediction_log_lines_total", outcome=one) for one in ("written", "disk"))
        return written, lost

    assert answer(20) == (20, 0)
    fill(disk, free=0)
    written, lost = answer(200)
    assert written + lost == 220
    assert lost > 100
    (disk / "filler").unlink()
    assert answer(30) == (written + 30, lost)
    journal.finish(10)
    lines = [line for _, line in read_log(log_files(disk / "log"))]
    assert len(lines) == written + 30
    assert not any(isinstance(line, BrokenLine) for line in lines)
