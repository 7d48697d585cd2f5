"""What is remembered of a prediction log at the start."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.prediction_log import encoded
from models.repository import ModelRepository
from service.processes.remembered import recall
from service.telemetry.answers import key_of
from service.telemetry.board import Board, Metrics
from service.telemetry.drift import Watch
from tests.service.conftest import PUBLISHED

REPOSITORY = ModelRepository(PUBLISHED)
FACTS = {
    "card_sha256": REPOSITORY.digest("penguins", 1),
    "onnx_sha256": "",
    "libraries": {},
    "processor": "",
    "row": {},
}


def answer(number: int, **changes: Any) -> bytes:
    """A line of the log, a second after the one before it."""
    bits = np.array([0.7, 0.2, 0.1], ">f4").tobytes().hex()
    told: dict[str, Any] = {"kind": "prediction", "time": f"2026-01-01T00:{number // 60:02}:{number % 60:02}Z"}
    told |= {"request_id": f"r{number}", "index": 0, "model": "penguins", "version": 1, "label": "Adelie"}
    return encoded(told | {"bits": bits} | FACTS | changes)


def label(number: int, name: str, minute: int = 30) -> bytes:
    told: dict[str, Any] = {
        "kind": "feedback",
        "time": f"2026-01-01T00:{minute}:00Z",
        "request_id": f"r{number}",
        "index": 0,
    }
    return encoded(told | {"model": "penguins", "label": name})


def remembered(folder: Path | None, ids: int, rows: int = 100) -> list[str]:
    """What becomes of a first label of each of so many answers."""
    metrics = Metrics(Board.create(slots=1, rows=rows))
    recall(metrics.feedback, folder, REPOSITORY)
    assert metrics.feedback.on == (rows > 0)
    return list(metrics.feedback.take([key_of(f"r{number}") for number in range(ids)], lambda *_: 0))


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    """A line that was altered or torn, a version that is gone, another number of classes, a label that is no class or
    of nobody; all else is there, the last label of each answer, whichever file it is in.
    """
    altered = answer(1).replace(b"Adelie", b"Gentoo")
    strange = [answer(2, version=9), answer(3, model="nobody"), answer(4, bits="3f800000"), b'{"kind":"prediction"\n']
    # Another model had the number before.
    strange.append(answer(8, card_sha256="0" * 64))
    (tmp_path / "a.jsonl").write_bytes(b"".join([answer(0), altered, *strange, answer(5), answer(6), answer(7)[:-9]]))
    labels = [label(0, "Gentoo", 31), label(0, "Adelie"), label(5, "Dodo"), label(6, "Adelie"), label(99, "Adelie")]
    (tmp_path / "b.jsonl").write_bytes(b"".join(labels))
    (tmp_path / "other.txt").write_bytes(answer(7))

    unknown = ["unknown"] * 4
    assert remembered(tmp_path, 9) == ["corrected", *unknown, "counted", "repeated", "unknown", "unknown"]


def test_the_newest_are_remembered(tmp_path: Path) -> None:
    """As many as there is room for; the figures have them by the time at which the labels came."""
    (tmp_path / "a.jsonl").write_bytes(b"".join(map(answer, range(20))))
    assert remembered(tmp_path, 20, rows=5) == ["unknown"] * 15 + ["counted"] * 5

    (tmp_path / "b.jsonl").write_bytes(label(19, "Gentoo"))
    metrics = Metrics(Board.create(slots=1))
    recall(metrics.feedback, tmp_path, REPOSITORY)
    watch = Watch(REPOSITORY.card("penguins", 1), 1)
    assert [one.verdict.labels for one in metrics.feedback.live([watch])[0]] == [0, 0]


@pytest.mark.parametrize("rows", [0, 5])
def test_without_a_log_nothing_is(tmp_path: Path, rows: int, caplog: pytest.LogCaptureFixture) -> None:
    """No folder, an empty one, or one that is no folder; a file that cannot be read is said."""
    metrics = Metrics(Board.create(slots=1, rows=rows))
    for folder in (None, tmp_path, tmp_path / "nowhere"):
        recall(metrics.feedback, folder, REPOSITORY)
    assert caplog.records == []
    (tmp_path / "a.jsonl").mkdir()
    with caplog.at_level(logging.WARNING):
        recall(metrics.feedback, tmp_path, REPOSITORY)
    assert [one.getMessage() for one in caplog.records] == (
        ["no earlier answer is remembered: the prediction log cannot be read"] if rows else []
    )
