"""Prediction sets in files, in Python, and from a service: the same classes everywhere."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from pyarrow import parquet

import evenkeel
from evenkeel.command_line import main as console
from models.repository import ModelRepository
from tests.conftest import find_free_port
from tests.end_to_end.conftest import Service, running
from tests.evenkeel.conftest import OURS, rows_of
from tests.service.conftest import PUBLISHED, SETS
from trainer.data.table import read_table
from trainer.errors import InvalidSetting

CLASSES = ("Adelie", "Chinstrap", "Gentoo")


@pytest.fixture(scope="module")
def members(penguins: Path) -> Any:
    """Which classes are in the sets of the penguins, by the graph alone."""
    rows = read_table(penguins, "species").examples.rows
    session = onnxruntime.InferenceSession(ModelRepository(SETS).read("penguins", 1).onnx)
    (found,) = session.run(["set"], {"numeric": rows.numeric, "categorical": rows.texts()})
    return found


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with running(SETS, find_free_port()) as service:
        service.wait()
        yield service


def named(members: Any) -> list[tuple[str, ...]]:
    return [tuple(label for label, inside in zip(CLASSES, row, strict=True) if inside) for row in members]


def test_a_scored_file_has_a_column_of_sets(
    members: Any, penguins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A list in JSON for each row, in CSV and in Parquet."""
    flags = ["--repository", str(SETS), "--model", "penguins"]
    assert console(["predict", str(penguins), *flags]) == 0
    rows = rows_of(capsys.readouterr().out)
    assert console(["predict", str(penguins), *flags, "-o", str(tmp_path / "out.parquet")]) == 0
    column = parquet.read_table(tmp_path / "out.parquet").column("set").to_pylist()

    assert list(rows[0])[-len(OURS) - 1 :] == [*OURS[:-1], "set", "warnings"]
    assert [tuple(json.loads(row["set"])) for row in rows] == named(members)
    assert [row["set"] for row in rows] == column
    assert {len(one) for one in named(members)} >= {1, 2}


def test_a_row_without_an_answer_has_no_set(penguins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty cell, as of its label."""
    header, first, *lines = penguins.read_text().splitlines()
    path = tmp_path / "bad.csv"
    path.write_text("\n".join([header, first.replace("39.1", "long"), *lines[:5]]))
    flags = ["--repository", str(SETS), "--on-error", "null"]

    assert console(["predict", str(path), *flags]) == 80
    rows = rows_of(capsys.readouterr().out)
    assert (rows[0]["label"], rows[0]["set"]) == ("", "")
    assert all(json.loads(row["set"]) for row in rows[1:])


def test_python_has_them_with_a_service_and_without(members: Any, penguins: Path, service: Service) -> None:
    """A tuple for each row, whoever is asked; of a frame a Series with its index."""
    frame = pd.read_csv(penguins).set_index(pd.Index([f"bird {place}" for place in range(344)]))
    model = evenkeel.load(repository=SETS)
    with evenkeel.Client(service.url) as client:
        asked, of_frame = client.predict_set(penguins), client.predict_set(frame)

    assert model.predict_set(penguins).tolist() == asked.tolist() == named(members)
    assert of_frame.tolist() == named(members)
    assert of_frame.index.equals(frame.index)


def test_a_model_without_sets_says_how_to_get_some(penguins: Path) -> None:
    """What to train it with."""
    model = evenkeel.load(repository=PUBLISHED)
    with pytest.raises(InvalidSetting, match="penguins has no prediction sets; train it with --coverage"):
        model.predict_set(penguins)


def test_fit_has_them_at_once(penguins: Path) -> None:
    """Before anything is published; a third output of its graph."""
    quick: dict[str, Any] = {"epochs": 3, "members": 1, "hidden": [8], "compiled": False}
    with pytest.warns(evenkeel.EvenkeelWarning):
        model = evenkeel.fit(penguins, target="species", coverage=0.9, **quick)

    sets = model.predict_set(penguins)
    assert model.card.sets is not None
    assert model.card.sets.rows == 34
    assert np.mean([species in one for species, one in zip(pd.read_csv(penguins)["species"], sets, strict=True)]) > 0.8


def test_later_rows_tell_whether_the_sets_hold(
    members: Any, penguins: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`evaluate` counts them, in a sentence and in JSON."""
    assert console(["evaluate", "--repository", str(SETS), "penguins", str(penguins)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert console(["evaluate", "--repository", str(SETS), "penguins", str(penguins), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["sets"]
    hits = [species in one for species, one in zip(pd.read_csv(penguins)["species"], named(members), strict=True)]

    assert found["rows"] == 344
    assert found["coverage"] == pytest.approx(np.mean(hits), abs=1e-6)
    assert f"0.95 are to hold the true class; of these rows' {np.mean(hits):.4f} do" in said


def test_the_card_and_the_drift_are_told(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    """By `models show` and by `drift`, in a line each."""
    assert console(["models", "--repository", str(SETS), "show", "penguins"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert console(["drift", "penguins", "--url", service.url]) == 0

    assert "0.95 are to hold the true class; by the 34 rows for them" in shown
    assert "sets: promised: 0.95 of the sets hold the true class" in capsys.readouterr().out
