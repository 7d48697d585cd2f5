"""The prediction log, written by a real service over the published model."""

import csv
import io
import logging
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from errno import ENOSPC
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from models.machine import processor_class
from models.prediction_log import BrokenLine, Hashed, LoggedFeedback, LoggedPrediction, log_files, read_log
from models.repository import ModelRepository
from service.app import create_app
from service.errors import InvalidSetting
from service.prediction.prediction import Bounds
from service.processes.prediction_log import check_log, log_rules
from service.registry.registry import Registry
from service.settings import Settings
from service.telemetry import journal as journals
from service.telemetry.board import Board, Metrics
from service.telemetry.journal import Journal, LogRules
from service.telemetry.lines import Privacy
from service.telemetry.log_files import LogFiles
from tests.service.conftest import NUMBERS, PUBLISHED
from tests.service.test_metrics import in_a_fork, samples, value

Log = Callable[..., tuple[FlaskClient, Journal]]
PATIENCE_S = 10.0
ODD = {"island": 'Ä "%s"\u2028', "bill_length_mm": None, "sex": None}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def log(registry: Registry, folder: Path) -> Iterator[Log]:
    """A service with a prediction log, by the rules that are given."""
    with ExitStack() as stack:

        def service(**rules: Any) -> tuple[FlaskClient, Journal]:
            board = Board.create()
            journal = Journal(LogRules(folder, **rules), Metrics(board).count_prediction_log)
            stack.callback(journal.finish, PATIENCE_S)
            return create_app(registry, Bounds(1 << 20), board, journal=journal).test_client(), journal

        yield service


def predictions(folder: Path) -> list[LoggedPrediction]:
    return [line for _, line in read_log(log_files(folder)) if isinstance(line, LoggedPrediction)]


def counted(client: FlaskClient, outcome: str) -> float:
    return value(samples(client.get("/metrics").text), "prediction_log_lines_total", outcome=outcome)


def test_a_line_holds_what_it_takes_to_repeat_an_answer(log: Log, folder: Path, record: dict[str, Any]) -> None:
    """The row as a client would send it, bits and label; the digests of the model; who has reckoned, and when."""
    client, journal = log()
    began = time.time()
    answer = client.post("/predict", json={"instances": [record, record | ODD]}, headers={"X-Request-Id": "mine"})
    journal.feedback("mine", 1, "penguins", "Adelie")
    journal.finish(PATIENCE_S)
    *lines, label = [line for _, line in read_log(log_files(folder))]
    published = ModelRepository(PUBLISHED).read("penguins", 1)
    assert answer.json is not None

    assert isinstance(label, LoggedFeedback)
    assert (label.request_id, label.index, label.model, label.label) == ("mine", 1, "penguins", "Adelie")
    for index, (line, sent) in enumerate(zip(lines, (record, record | ODD), strict=True)):
        said = answer.json["predictions"][index]
        shown = np.array(list(said["probabilities"].values()), np.float32)
        assert isinstance(line, LoggedPrediction)
        assert (line.request_id, line.index, line.model, line.version) == ("mine", index, "penguins", 1)
        assert line.row == sent
        assert list(line.row) == [feature.name for feature in published.card.features]
        assert line.label == said["label"]
        assert np.array(line.probabilities, np.float32).tolist() == shown.tolist()
        assert (line.card_sha256, line.onnx_sha256) == (published.digest, published.card.files["model.onnx"].sha256)
        assert line.libraries["numpy"] == np.__version__
        assert line.processor == processor_class()
        assert began <= line.time.timestamp() <= time.time()


def test_every_protocol_leaves_the_same_line(log: Log, folder: Path, record: dict[str, Any]) -> None:
    """By name, by position, as tensors, as CSV: the row is what the model was given."""
    client, journal = log()
    table = io.StringIO()
    csv.writer(table).writerows([record.keys(), record.values()])
    numbers = [each for each in record.values() if not isinstance(each, str)]
    inputs = [
        {"name": "numeric", "shape": [1, 5], "datatype": "FP32", "data": numbers},
        {"name": "categorical", "shape": [1, 2], "datatype": "BYTES", "data": [record["island"], record["sex"]]},
    ]
    for path, sent in (
        ("/predict", {"json": {"instance": record}}),
        ("/predict", {"json": {"instances": [list(record.values())]}}),
        ("/v2/models/penguins/infer", {"json": {"inputs": inputs}}),
        ("/invocations", {"data": table.getvalue(), "content_type": "text/csv"}),
    ):
        assert client.post(path, **sent).status_code == 200, path
    journal.finish(PATIENCE_S)
    by_name, *others = [line.model_dump(exclude={"time", "request_id"}) for line in predictions(folder)]

    assert len(others) == 3
    assert all(other == by_name for other in others)


def test_a_model_of_numbers_alone_is_logged_too(folder: Path) -> None:
    """It has no texts; a request of many rows has a line for each."""
    registry = Registry(ModelRepository(NUMBERS))
    registry.refresh()
    journal = Journal(LogRules(folder))
    client = create_app(registry, Bounds(1 << 20), journal=journal).test_client()
    rows = [{"bill_length_mm": 40 + row / 7, "body_mass_g": None if row % 5 else row} for row in range(300)]
    assert client.post("/predict", json={"instances": rows}).status_code == 200
    journal.finish(PATIENCE_S)
    lines = predictions(folder)

    assert [line.index for line in lines] == list(range(300))
    assert [line.row["body_mass_g"] for line in lines] == [row["body_mass_g"] for row in rows]
    # As short as it can be, and the same 32-bit float.
    assert [np.float32(line.row["bill_length_mm"]) for line in lines] == [  # type: ignore[arg-type]
        np.float32(row["bill_length_mm"]) for row in rows
    ]


def test_rows_that_are_left_out_keep_the_places_of_the_others(log: Log, folder: Path, record: dict[str, Any]) -> None:
    """By which their labels are told later."""
    client, journal = log()
    asked = {"instances": [record, {}, record], "on_error": "null"}
    assert client.post("/predict", json=asked).status_code == 200
    journal.finish(PATIENCE_S)

    assert [line.index for line in predictions(folder)] == [0, 2]


def test_only_answers_are_logged(log: Log, folder: Path, record: dict[str, Any]) -> None:
    """No refusal, and no explanation."""
    client, journal = log()
    client.post("/predict", json={"instance": {}})
    client.post("/v1/models/penguins:explain", json={"instance": record})
    client.post("/predict", json={"instance": record})
    journal.finish(PATIENCE_S)

    assert len(predictions(folder)) == 1
    assert counted(client, "written") == 1


def test_fields_are_dropped_and_hashed(
    log: Log, folder: Path, record: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing of them is in a file; equal values have equal hashes under one key; a name that is no feature is told."""
    client, journal = log(privacy=Privacy({"island", "sexx"}, {"sex", "body_mass_g"}, b"0123456789abcdef"))
    client.post("/predict", json={"instances": [record, record, record | {"sex": "male"}, record | {"sex": None}]})
    journal.finish(PATIENCE_S)
    first, same, other, missing = [line.row for line in predictions(folder)]

    assert b"Biscoe" not in log_files(folder)[0].read_bytes()
    assert "island" not in first
    assert isinstance(first["sex"], Hashed)
    assert isinstance(first["body_mass_g"], Hashed)
    assert first["sex"] == same["sex"] != other["sex"] != missing["sex"]
    assert first["body_mass_g"] == other["body_mass_g"]
    assert first["year"] == 2007
    (warned,) = [entry for entry in caplog.records if entry.levelno == logging.WARNING]
    assert vars(warned)["names"] == ["sexx"]


def test_all_fields_can_be_dropped(log: Log, folder: Path, record: dict[str, Any]) -> None:
    """What is left is the answer."""
    client, journal = log(privacy=Privacy({"*"}))
    client.post("/predict", json={"instance": record})
    journal.finish(PATIENCE_S)
    (line,) = predictions(folder)

    assert (line.row, line.label) == ({}, "Gentoo")


def test_files_begin_anew_by_size_and_age(
    log: Log, folder: Path, record: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of whole lines; none is renamed, and none is lost. Those that are old enough are removed."""
    client, _ = log(file_bytes=20_000, file_seconds=3600.0, keep_seconds=86_400.0)
    client.post("/predict", json={"instances": [record] * 200})
    wait_for(lambda: counted(client, "written") == 200)
    by_size = log_files(folder)
    # What is written at once stays together.
    assert [len(list(read_log([file]))) for file in by_size] == [64, 64, 64, 8]
    now = time.time()
    monkeypatch.setattr("service.telemetry.log_files.time.time", lambda: now + 3601)
    client.post("/predict", json={"instance": record})
    wait_for(lambda: counted(client, "written") == 201)
    assert len(log_files(folder)) == len(by_size) + 1
    assert len(predictions(folder)) == 201

    monkeypatch.setattr("service.telemetry.log_files.time.time", lambda: now + 90_000)
    wait_for(lambda: not any(file.exists() for file in by_size))


def test_a_file_that_somebody_removed_begins_anew(log: Log, folder: Path, record: dict[str, Any]) -> None:
    """As a tool that cleans up does."""
    client, journal = log()
    client.post("/predict", json={"instance": record})
    wait_for(lambda: counted(client, "written") == 1)
    (removed,) = log_files(folder)
    removed.unlink()
    # Its place on the disk is free, also where no answer follows.
    open_files = Path("/proc/self/fd")
    wait_for(lambda: not any(os.path.realpath(one).startswith(str(removed)) for one in open_files.iterdir()))
    client.post("/predict", json={"instance": record})
    journal.finish(PATIENCE_S)

    assert len(predictions(folder)) == 1


def test_what_the_queue_has_no_room_for_is_counted(
    log: Log, folder: Path, record: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the answer is the same."""
    monkeypatch.setattr(journals, "MOST_BYTES", 3000)
    client, journal = log()
    assert client.post("/predict", json={"instances": [record] * 100}).status_code == 200
    client.post("/predict", json={"instance": record})
    journal.feedback("a", 0, "penguins", "Adelie" * 600)
    journal.finish(PATIENCE_S)

    assert len(predictions(folder)) == 1
    assert (counted(client, "queue"), counted(client, "written")) == (101, 1)


def test_texts_are_counted_by_what_they_take(log: Log, record: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A character may take four bytes of memory."""
    monkeypatch.setattr(journals, "GATHER_SECONDS", 60.0)
    monkeypatch.setattr(journals, "MOST_BYTES", 3000)
    client, journal = log()
    for text in ("a" * 1000, "\N{GRINNING FACE}" * 800):
        client.post("/predict", json={"instance": record | {"island": text}})
    journal.finish(PATIENCE_S)

    assert (counted(client, "queue"), counted(client, "written")) == (1, 1)


def test_a_share_of_the_requests_is_logged(log: Log, folder: Path, record: dict[str, Any]) -> None:
    """Whole ones."""
    client, journal = log(share=0.5)
    for _ in range(200):
        client.post("/predict", json={"instances": [record, record]})
    journal.finish(PATIENCE_S)
    found = [line.request_id for line in predictions(folder)]

    # Less likely otherwise than one in 10^8: six standard deviations of a coin.
    assert 57 <= len(set(found)) <= 143
    assert len(found) == 2 * len(set(found))


def test_a_full_disk_costs_lines_and_nothing_else(registry: Registry, folder: Path, record: dict[str, Any]) -> None:
    """Answers go on, what is written are whole lines, and the lost ones are counted: here no file may have more than
    4 KB.
    """
    board = Board.create(slots=2)
    told = create_app(registry, Bounds(4096), board).test_client()

    def answer() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        journal = Journal(LogRules(folder), Metrics(board.seat(0)).count_prediction_log)
        client = create_app(registry, Bounds(4096), board.seat(0), drift_seconds=0, journal=journal).test_client()
        for _ in range(12):
            assert client.post("/predict", json={"instance": record}).status_code == 200
            journal._drain()
        journal.finish(PATIENCE_S)

    in_a_fork(answer)
    lines = [line for _, line in read_log(log_files(folder))]

    assert not any(isinstance(line, BrokenLine) for line in lines)
    assert 5 <= len(lines) < 12
    assert (counted(told, "written"), counted(told, "disk")) == (len(lines), 12 - len(lines))


def test_lines_are_whole_however_little_is_taken_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is nearly full takes a part, and then another; a file that somebody has cut is not filled up with
    zeros when a line is taken back.
    """
    write, room = os.write, 1000

    def little(file: int, data: bytes) -> int:
        nonlocal room
        if not room:
            raise OSError(ENOSPC, "No space left on device")
        room -= (size := min(3, room, len(data)))
        return write(file, data[:size])

    monkeypatch.setattr(os, "write", little)
    files = LogFiles(tmp_path, 1 << 20, 3600, None)
    files.append(b"first line\n")
    (written,) = tmp_path.iterdir()
    assert written.read_bytes() == b"first line\n"

    os.truncate(written, 0)
    room = 4
    with pytest.raises(OSError, match="No space left"):
        files.append(b"second line\n")
    assert written.read_bytes() == b""


def test_without_a_folder_nothing_is_done(registry: Registry, record: dict[str, Any]) -> None:
    """No thread, no line."""
    journal = Journal()
    client = create_app(registry, Bounds(4096), journal=journal).test_client()
    client.post("/predict", json={"instance": record})

    assert not journal.on
    assert not any(thread.name == "prediction log" for thread in threading.enumerate())
    assert counted(client, "written") == 0


def test_a_log_that_cannot_be_written_is_refused_at_the_start(tmp_path: Path) -> None:
    """By the name of the variable, as a key that is missing is."""
    (tmp_path / "file").touch()
    with pytest.raises(InvalidSetting, match=r"^EVENKEEL_PREDICTION_LOG should be a folder \(Not a directory\)"):
        Settings.from_environment({"EVENKEEL_PREDICTION_LOG": str(tmp_path / "file" / "log")})
    rules = log_rules(Settings.from_environment({"EVENKEEL_PREDICTION_LOG": "/proc/log"}))
    assert rules is not None
    with pytest.raises(InvalidSetting, match=r"^EVENKEEL_PREDICTION_LOG names /proc/log, in which no .*: No such file"):
        check_log(rules)
    settings = {"EVENKEEL_PREDICTION_LOG": str(tmp_path / "log"), "EVENKEEL_PREDICTION_LOG_HASH": "sex"}
    with pytest.raises(InvalidSetting, match=r"^EVENKEEL_PREDICTION_LOG_HASH needs a key: let .*_KEY_FILE name"):
        log_rules(Settings.from_environment(settings))
    settings |= {"EVENKEEL_PREDICTION_LOG_KEY_FILE": str(tmp_path / "file")}
    with pytest.raises(InvalidSetting, match=r"^EVENKEEL_PREDICTION_LOG_KEY_FILE names a key of 0 bytes; it takes 16"):
        log_rules(Settings.from_environment(settings))


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)
