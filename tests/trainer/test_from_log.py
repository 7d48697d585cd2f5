"""`fit --from-log`: training on the labelled rows of a prediction log, written here as a service writes it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.prediction_log import encoded
from models.repository import ModelRepository
from trainer.command_line import main
from trainer.data.logged import ANSWERED, read_logged
from trainer.data.table import read_table

ROWS = 90
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
QUICK = ("--hidden", "4", "--members", "1", "--epochs", "3", "--compiled", "false", "--no-report")
Line = dict[str, Any]


def cells() -> Iterator[tuple[str, list[str], dict[str, Any], datetime]]:
    """Rows with every kind of cell: the class, the cells as the table has them, the record, and when it was asked."""
    rng = np.random.default_rng(7)
    for row in range(ROWS):
        label = "ab"[int(rng.integers(2))]
        size = float(np.float32(rng.normal(3 if label == "a" else 5)))
        day = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=int(rng.integers(900)))
        colour, sold, flag = rng.choice(["rot", "blau"]), rng.choice(["ja", "nein"]), int(rng.integers(2))
        missing = row % 9 == 0
        yield (
            label,
            ["NA" if missing else f"{size!r}".replace(".", ","), f"{day:%d.%m.%Y}", str(colour), str(sold), str(flag)],
            {
                "size": None if missing else size,
                "day": f"{day:%Y-%m-%d}",
                "colour": str(colour),
                "sold": str(sold),
                "flag": float(flag),
            },
            BEGAN + timedelta(minutes=row),
        )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository that holds a model of a German table."""
    folder = tmp_path_factory.mktemp("store")
    lines = [f"size;day;colour;sold;flag;class;{ANSWERED}"]
    lines += [";".join([*row, label, f"{when:%Y-%m-%d %H:%M:%S}"]) for label, row, _, when in cells()]
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    given = ("--target", "class", "--name", "german", "--time", ANSWERED, "--repository", str(folder), *QUICK)
    assert main(["fit", str(folder / "table.csv"), *given]) == 0
    return folder


def prediction(record: dict[str, Any], when: datetime, request_id: str, index: int = 0, **fields: Any) -> Line:
    return {
        "kind": "prediction",
        "time": when.isoformat(),
        "request_id": request_id,
        "index": index,
        "model": "german",
        "version": 1,
        "label": "a",
        "bits": "3f0000003f000000",
        "row": record,
        "card_sha256": "",
        "onnx_sha256": "",
        "libraries": {},
        "processor": "",
    } | fields


def feedback(label: str, when: datetime, request_id: str, index: int = 0, model: str = "german") -> Line:
    return {
        "kind": "feedback",
        "time": when.isoformat(),
        "request_id": request_id,
        "index": index,
        "model": model,
        "label": label,
    }


def logged() -> tuple[list[Line], list[Line]]:
    """The rows as two requests a service has answered, the second first, and their labels."""
    rows = list(cells())
    where = [("one", row) if row < 40 else ("two", row - 40) for row in range(ROWS)]
    answers = [prediction(record, when, *where[at]) for at, (_, _, record, when) in enumerate(rows)]
    labels = [feedback(label, when + timedelta(days=1), *where[at]) for at, (label, _, _, when) in enumerate(rows)]
    return answers[40:] + answers[:40], labels


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write the lines of some files of a log; its folder."""
    folder = tmp_path / "log"
    folder.mkdir()

    def files(*files: list[Line]) -> Path:
        for number, lines in enumerate(files):
            (folder / f"{number}.jsonl").write_bytes(b"".join(map(encoded, lines)))
        return folder

    return files


def fit(folder: Path, store: Path, *flags: str) -> int:
    return main(["fit", "--from-log", str(folder), "--name", "german", "--repository", str(store), *flags, *QUICK])


def test_a_log_trains_what_its_table_would(
    write: Callable[..., Path], store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Numbers, dates, texts and booleans, read as the card says: the features, the metrics and the golden answers are
    those of a training on the same rows from their table; the newest are the test set, on which the two are compared.
    """
    folder = write(*logged())
    assert fit(folder, store, "--promote", "if-better") == 0
    said = capsys.readouterr().out
    repository = ModelRepository(store)
    table, log = (repository.card("german", version) for version in repository.versions("german")[:2])

    assert log.features == table.features
    assert log.metrics == table.metrics
    assert log.golden == table.golden
    assert log.provenance.target == "class"
    assert log.provenance.table == "log"
    assert log.provenance.table_schema["columns"]["size"]["decimal"] == ","
    assert "on the same 18 test rows" in said
    assert repository.serving_version("german") == 1


def test_the_latest_label_counts(write: Callable[..., Path], store: Path) -> None:
    """In whichever file it stands; of another model it is none, and an answer without a label is no row."""
    rows = [(record, when) for _, _, record, when in cells()]
    answers = [prediction(record, when, f"r{at}") for at, (record, when) in enumerate(rows[:4])]
    labels = [
        feedback("b", BEGAN + timedelta(days=2), "r0"),
        feedback("a", BEGAN + timedelta(days=1), "r0"),
        feedback("a", BEGAN, "r1"),
        feedback("b", BEGAN, "r2", model="other"),
        feedback("b", BEGAN, "r3", index=1),
    ]
    folder = write(labels, answers)
    decoded = read_logged(folder, ModelRepository(store), "german")
    table = read_table(folder, "class", divide=("time", ANSWERED), frames={folder: decoded})

    assert len(table.examples) == 2
    assert [table.examples.classes[label] for label in table.examples.labels] == ["b", "a"]
    assert decoded.place(1) == f"{folder}, 1.jsonl, line 2"


def test_what_is_not_there_is_refused(
    write: Callable[..., Path], store: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """No log, no answer of the model, no label, a feature that was dropped: what to do is said."""

    def refusal(folder: Path, *flags: str) -> str:
        assert fit(folder, store, *flags) in (65, 66)
        return capsys.readouterr().err.splitlines()[-1]

    answers, labels = logged()
    assert refusal(tmp_path / "absent").endswith(
        "is not there; name the folder that EVENKEEL_PREDICTION_LOG names for the service"
    )
    assert "has no answer of german; it has answers of other" in refusal(
        write([line | {"model": "other"} for line in answers])
    )
    assert 'has 90 answers of german and no label for any: send labels with POST /v1/feedback {"id"' in refusal(
        write(answers)
    )
    dropped = [line | {"row": line["row"] | {"sold": {"hash": "ab"}}} for line in answers]
    assert refusal(write(dropped, labels)).endswith(
        "has the feature 'sold', which the service dropped or hashed; leave it out with --drop sold"
    )
    assert fit(write(dropped, labels), store, "--drop", "sold") == 0


def test_lines_that_cannot_be_used_are_told(
    write: Callable[..., Path], store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An altered one with its place, and rows that lack a feature; a torn one is no fault."""
    answers, labels = logged()
    del answers[0]["row"]["size"]
    folder = write(answers, labels)
    file = folder / "0.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    lines[4] = lines[4].replace(b'"label":"a"', b'"label":"b"')
    file.write_bytes(b"".join(lines) + lines[0][:-9])
    decoded = read_logged(folder, ModelRepository(store), "german")
    said = capsys.readouterr().err

    assert decoded.rows == ROWS - 2
    assert f"warning: 1 lines of the log were altered and are left out: {file}, line 5" in said
    assert "warning: 1 labelled rows of the log lack a feature and are left out" in said
