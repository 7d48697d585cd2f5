"""The format of the prediction log, held against what a service wrote."""

import json
import os
from pathlib import Path

import pytest

from models.prediction_log import (
    BrokenLine,
    LoggedFeedback,
    LoggedPrediction,
    NoLog,
    decoded,
    encoded,
    log_files,
    read_log,
)

FEEDBACK = {
    "kind": "feedback",
    "time": "2026-11-26T17:49:24.498087Z",
    "request_id": "a",
    "index": 1,
    "model": "penguins",
    "label": "Adélie\ud800",
}
PREDICTION = FEEDBACK | {
    "kind": "prediction",
    "version": 3,
    "bits": "3f4000003e800000",
    "row": {"island": "Biscoe", "mass": 4.5, "sex": None, "id": {"hash": "ab"}},
    "card_sha256": "c",
    "onnx_sha256": "d",
    "libraries": {"numpy": "2"},
    "processor": "x86_64-avx2",
}


def test_a_line_says_what_was_written() -> None:
    """Whatever stands in it, and the bits are the probabilities."""
    answer, label = decoded(encoded(PREDICTION)), decoded(encoded(FEEDBACK))

    assert isinstance(answer, LoggedPrediction)
    assert answer.probabilities == (0.75, 0.25)
    assert answer.model_dump(mode="json") | {"label": FEEDBACK["label"]} == PREDICTION | {"label": FEEDBACK["label"]}
    assert isinstance(label, LoggedFeedback)
    assert (label.request_id, label.index, label.model) == ("a", 1, "penguins")
    assert json.loads(encoded(FEEDBACK)).items() >= FEEDBACK.items()


def test_every_altered_character_is_found() -> None:
    """Of the line and of its check, and a value that was put in the place of another."""
    line = encoded(FEEDBACK | {"label": "Adelie"})
    for place in range(len(line)):
        assert decoded(line[:place] + bytes([line[place] ^ 1]) + line[place + 1 :]) is None, place
    assert decoded(line.replace(b"Adelie", b"Gentoo")) is None
    assert decoded(line) is not None


def test_a_folder_is_read_line_by_line(tmp_path: Path) -> None:
    """Its files by name; an altered line and a torn one are told with their places, an erased one is passed over."""
    line = encoded(FEEDBACK)
    (tmp_path / "b.jsonl").write_bytes(line + line[:-9])
    (tmp_path / "a.jsonl").write_bytes(line + b" " * 40 + b"\n" + line.replace(b":1", b":2") + line)
    (tmp_path / "other.txt").write_text("no log")
    read = [(str(place), type(one)) for place, one in read_log(log_files(tmp_path))]
    broken = [one for _, one in read_log(log_files(tmp_path)) if isinstance(one, BrokenLine)]

    assert read == [
        (f"{tmp_path}/a.jsonl, line 1", LoggedFeedback),
        (f"{tmp_path}/a.jsonl, line 3", BrokenLine),
        (f"{tmp_path}/a.jsonl, line 4", LoggedFeedback),
        (f"{tmp_path}/b.jsonl, line 1", LoggedFeedback),
        (f"{tmp_path}/b.jsonl, line 2", BrokenLine),
    ]
    assert [one.torn for one in broken] == [False, True]
    assert [place.number for place, _ in read_log(log_files(tmp_path / "b.jsonl"))] == [1, 2]


def test_where_no_log_is_it_says_so(tmp_path: Path) -> None:
    """No folder, or none with a log."""
    os.mkfifo(tmp_path / "pipe.jsonl")
    with pytest.raises(NoLog, match=r"no file in it ends with \.jsonl"):
        log_files(tmp_path)
    with pytest.raises(NoLog, match="is no file; name the folder"):
        log_files(tmp_path / "pipe.jsonl")
    with pytest.raises(NoLog, match="is not there; name the folder that EVENKEEL_PREDICTION_LOG names"):
        log_files(tmp_path / "absent")
