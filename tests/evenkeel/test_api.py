"""From Python: a frame or a path in, a model out, which is published and asked without a command line."""

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import csv as arrow_csv
from pyarrow import parquet

import evenkeel
from evenkeel.model.fitted import Published
from evenkeel.model.settings import Settings
from models.repository import ModelRepository
from tests.evenkeel.conftest import Command, rows_of
from trainer.command_line import _parser, main

# What is compiled takes longer to load than these runs take without it.
QUICK: Any = {"epochs": 3, "members": 2, "hidden": (8,), "compiled": False}
FLAGS = ("--epochs", "3", "--members", "2", "--hidden", "8", "--compiled", "false")
# What is said of a model that has learned next to nothing is beside the point here.
pytestmark = pytest.mark.filterwarnings("ignore::evenkeel.EvenkeelWarning")

READERS: dict[str, Callable[[Path], Any]] = {
    "a path": lambda path: path,
    "pandas": pd.read_csv,
    "polars": lambda path: pl.read_csv(path, null_values=["NA"]),
    "pyarrow": lambda path: arrow_csv.read_csv(
        path, convert_options=arrow_csv.ConvertOptions(null_values=["NA"], strings_can_be_null=True)
    ),
}


def onnx_of(published: Published, root: Path) -> bytes:
    return ModelRepository(root).read(published.name, published.version).onnx


@pytest.fixture(scope="module")
def by_command(penguins: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The model.onnx that the command line makes of the penguins."""
    root = tmp_path_factory.mktemp("store")
    fit = ["fit", str(penguins), "--target", "species", "--name", "penguins", "--repository", str(root), *FLAGS]
    assert main(fit) == 0
    return ModelRepository(root).read("penguins", 1).onnx


@pytest.fixture(scope="module")
def fitted(penguins: Path) -> evenkeel.FittedModel:
    return evenkeel.fit(pd.read_csv(penguins), target="species", **QUICK)


@pytest.mark.parametrize("library", READERS)
def test_the_same_rows_are_the_same_bytes(library: str, penguins: Path, by_command: bytes, tmp_path: Path) -> None:
    """Of model.onnx, whoever holds the rows, and as the command line makes it."""
    model = evenkeel.fit(READERS[library](penguins), target="species", **QUICK)

    published = model.publish("penguins", repository=tmp_path)
    assert published == ("penguins", 1, "Version 1 serves.")
    assert onnx_of(published, tmp_path) == by_command


def test_more_threads_and_processes_are_the_same_bytes(penguins: Path, by_command: bytes, tmp_path: Path) -> None:
    """In a script that has let numpy have all cores, and does not guard itself by __name__."""
    script = tmp_path / "script.py"
    script.write_text(
        "import numpy, evenkeel\n"
        f"model = evenkeel.fit({str(penguins)!r}, target='species', jobs=2, **{QUICK!r})\n"
        f"model.publish('penguins', repository={str(tmp_path)!r})\n"
    )
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "4"}
    subprocess.run([sys.executable, "-W", "ignore", script], env=environment, check=True)

    assert onnx_of(Published("penguins", 1, ""), tmp_path) == by_command


def test_typed_columns_are_read_as_parquet_is(tmp_path: Path) -> None:
    """Booleans, categories, dates and missing cells: the same bytes from three libraries and a file."""
    rows = 60
    columns = {
        "flag": [None if row % 7 == 0 else row % 2 == 0 for row in range(rows)],
        "kind": [None if row % 11 == 0 else "abc"[row % 3] for row in range(rows)],
        "day": [None if row % 13 == 0 else date(2024, 1 + row % 12, 1 + row % 28) for row in range(rows)],
        "count": [None if row % 5 == 0 else row for row in range(rows)],
        "share": [row / 7 for row in range(rows)],
        "y": [("no", "yes")[row % 4 > 1] for row in range(rows)],
    }
    table = pa.table(columns)
    parquet.write_table(table, tmp_path / "t.parquet")
    frames: list[Any] = [
        tmp_path / "t.parquet",
        table,
        pl.DataFrame(columns).with_columns(pl.col("kind").cast(pl.Categorical)),
        pl.DataFrame(columns).with_columns(pl.col("kind").cast(pl.Enum(["c", "b", "a"]))),
        pd.DataFrame(columns).astype({"kind": "category", "count": "Int64", "flag": "boolean"}),
        # What is left of a frame after some rows were taken out has an index of odd numbers, which is no column.
        pd.DataFrame(columns).set_index(pd.Index(range(rows, 0, -1), name="number")),
    ]

    models = [evenkeel.fit(frame, target="y", **QUICK) for frame in frames]
    made = {onnx_of(model.publish("typed", repository=tmp_path), tmp_path) for model in models}
    assert len(made) == 1
    answers = {model.predict_proba(frame).tobytes() for model, frame in zip(models, frames, strict=True)}
    assert len(answers) == 1
    assert [feature.kind for feature in models[0].card.features] == [
        *("categorical", "categorical", "date", "numeric", "numeric")
    ]


def test_every_option_of_the_command_line_is_a_parameter() -> None:
    """But those that are about a command: which file, how much is said, and running it again."""
    fit = _parser("evenkeel")._subparsers._group_actions[0].choices["fit"]  # type: ignore[union-attr,index]
    flags = {
        option[2:].replace("-", "_")
        for action in fit._actions
        for option in action.option_strings
        if option[:2] == "--"
    }
    elsewhere = {"target", "jobs", "verbose"}
    published = {"name", "repository", "promote", "fail_below_baseline", "no_report"}
    commands = {"help", "quiet", "once", "resume", "from_log"}

    assert flags == Settings.__annotations__.keys() | elsewhere | published | commands


def test_answers_are_those_of_the_command_predict(
    predict: Command, repository: ModelRepository, penguins: Path
) -> None:
    """To a path and to frames, with columns that are no features; to the last bit."""
    model = evenkeel.load("penguins", repository=repository.root)
    expected = rows_of(predict(penguins).out)

    for read in READERS.values():
        table = read(penguins)
        probabilities = model.predict_proba(table)
        assert probabilities.tolist() == [
            [float(np.float32(row[f"probability_{name}"])) for name in model.classes] for row in expected
        ]
        assert model.predict(table).tolist() == [row["label"] for row in expected]
    records = pd.read_csv(penguins).astype(object)
    records = records.where(records.notna(), None).to_dict("records")
    assert model.predict(records).tolist() == [row["label"] for row in expected]
    assert model.predict([]).tolist() == []
    with pytest.raises(evenkeel.EvenkeelError, match="the list, row 2: the record has no 'species'"):
        model.predict([records[0], {"year": 2007}])


def test_a_version_is_loaded_as_it_serves_or_as_it_is_asked_for(
    repository: ModelRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVENKEEL_REPOSITORY", str(repository.root))

    assert (evenkeel.load("penguins").version, evenkeel.load("penguins", version=1).version) == (2, 1)
    assert "penguins, version 2" in repr(evenkeel.load("penguins"))
    assert "this model" in evenkeel.load("penguins")._repr_html_()


def test_what_is_fitted_answers_as_what_is_published(
    fitted: evenkeel.FittedModel, penguins: Path, tmp_path: Path
) -> None:
    """Before and after; and the model stays what it is."""
    frame = pl.read_csv(penguins, null_values=["NA"])
    before = fitted.predict_proba(frame)
    fitted.publish("renamed", repository=tmp_path)

    assert evenkeel.load(repository=tmp_path).predict_proba(frame).tobytes() == before.tobytes()
    assert fitted.predict_proba(frame).tobytes() == before.tobytes()
    assert fitted.version is None


def test_the_report_is_text_objects_and_a_picture(fitted: evenkeel.FittedModel) -> None:
    """The text has what the command prints; the page is whole, in a frame of its own."""
    text = str(fitted.report)
    metrics = fitted.metrics["test"]

    assert "species predicted from the frame; not published yet" in text
    assert f"{metrics.log_loss:.4f}" in text
    assert fitted.report.evaluation.accuracy == metrics.accuracy
    assert fitted.report.html.startswith("<!doctype html>")
    assert fitted._repr_html_().startswith('<iframe srcdoc="&lt;!doctype html&gt;')


def test_an_unusual_row_is_warned_of_and_one_without_an_answer_is_none(
    repository: ModelRepository, penguins: Path
) -> None:
    """As the command does: it stops, or leaves the answer out where that is asked for."""
    model = evenkeel.load("penguins", repository=repository.root)
    frame = pd.read_csv(penguins).head(3).astype({"bill_length_mm": object})
    odd = frame.assign(island=["Torgersen", "Atlantis", "Biscoe"])
    with pytest.warns(evenkeel.EvenkeelWarning, match=r"warnings in 1 of 3 rows: island: unseen_category \(1\)"):
        model.predict(odd)

    bad = frame.assign(bill_length_mm=["39.1", "long", "40.3"])
    sentence = "row 2, feature 'bill_length_mm': 'long' .*on_error=\"null\""
    with pytest.raises(evenkeel.EvenkeelError, match=sentence) as refused:
        model.predict(bad)
    assert refused.value.code == "invalid_table"
    with pytest.warns(evenkeel.EvenkeelWarning, match="1 of 3 rows have no answer, first row 2"):
        labels = model.predict(bad, on_error="null")
    with pytest.warns(evenkeel.EvenkeelWarning, match="1 of 3 rows"):
        probabilities = model.predict_proba(bad, on_error="null")
    assert [label is None for label in labels] == [False, True, False]
    assert np.isnan(probabilities).all(axis=1).tolist() == [False, True, False]
    with pytest.raises(evenkeel.EvenkeelError, match="on_error should be 'stop' or 'null', not 'skip'"):
        model.predict(frame, on_error="skip")  # type: ignore[arg-type]
    assert model.predict(frame.head(0)).tolist() == []


def test_a_version_serves_only_if_it_is_better(penguins: Path, tmp_path: Path) -> None:
    """A frame is read again in memory where texts are to be compared; the sentence says why."""
    frame = pd.read_csv(penguins)
    good = evenkeel.fit(frame, target="species", **QUICK | {"epochs": 20})
    bad = evenkeel.fit(frame, target="species", **QUICK | {"epochs": 1, "learning_rate": 1e-6})
    good.publish("m", repository=tmp_path)
    second = bad.publish("m", repository=tmp_path, promote="if-better", report=False)

    assert second.version == 2
    assert second.serving.startswith("Version 1 keeps serving: log-loss ")
    assert evenkeel.load("m", repository=tmp_path).version == 1
    assert (tmp_path / "m/1/report.html").exists()
    assert not (tmp_path / "m/2/report.html").exists()


def test_a_test_frame_has_the_test_rows(penguins: Path) -> None:
    frame = pl.read_csv(penguins, null_values=["NA"])

    model = evenkeel.fit(frame[::2], target="species", test_table=frame[1::2], **QUICK)
    assert model.metrics["test"].rows == len(frame[1::2])


def test_the_label_keeps_to_the_threshold() -> None:
    """Of two classes, by the threshold that was chosen in training."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=200)
    frame = pd.DataFrame({"x": x, "y": np.where(x + rng.normal(size=200) > 1, "ill", "well")})

    model = evenkeel.fit(frame, target="y", positive="ill", threshold="cost=50:1", **QUICK)
    labels, probabilities = model.predict(frame), model.predict_proba(frame)[:, 0]
    assert model.card.threshold is not None
    assert ((labels == "ill") == (probabilities >= model.card.threshold)).all()
    assert (labels == "ill").sum() > (probabilities > 0.5).sum()
