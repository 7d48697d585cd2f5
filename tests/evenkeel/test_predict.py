"""A file scored without a service: what is written, where to, and by which model."""

import gzip
import io
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow as pa
import pytest
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from evenkeel.command_line import main as console
from evenkeel.scoring.local import answers
from models.repository import ModelRepository
from tests.conftest import ROOT
from tests.evenkeel.conftest import OURS, Command, rows_of
from trainer.command_line import main
from trainer.data.table import read_table


def test_a_file_comes_back_with_its_answers(predict: Command, repository: ModelRepository, penguins: Path) -> None:
    """Every row with all its cells, then label, probability, each class's, and warnings: the predictor's own."""
    ended = predict(penguins)
    rows, lines = rows_of(ended.out), rows_of(penguins.read_text())
    table = read_table(penguins, "species").examples
    expected = answers(repository.read("penguins", 2), table.rows)
    found = np.array([[row[name] for name in OURS[2:5]] for row in rows], np.float32)

    assert (ended.code, ended.err) == (0, "")
    assert list(rows[0]) == [*lines[0], *OURS]
    assert [{name: row[name] for name in lines[0]} for row in rows] == lines
    assert found.tobytes() == expected.tobytes()
    assert [row["label"] for row in rows] == [table.classes[place] for place in expected.argmax(axis=1)]
    assert [np.float32(row["probability"]) for row in rows] == expected.max(axis=1).tolist()


@pytest.mark.parametrize("end", [".csv", ".csv.gz", ".parquet", ".txt"])
def test_what_is_written_is_what_the_name_says(predict: Command, penguins: Path, tmp_path: Path, end: str) -> None:
    """The same rows and answers in every format, and nothing beside the file."""
    output = tmp_path / "new" / f"out{end}"
    ended = predict(penguins, "-o", output)
    expected = predict(penguins).out

    assert (ended.code, ended.out) == (0, "")
    assert list(output.parent.iterdir()) == [output]
    if end == ".parquet":
        table = parquet.read_table(output)
        assert table.schema.field("probability").type == pa.float32()
        buffer = io.BytesIO()
        arrow_csv.write_csv(table, buffer)
        assert rows_of(buffer.getvalue().decode()) == rows_of(expected)
    else:
        data = output.read_bytes()
        assert (gzip.decompress(data) if end == ".csv.gz" else data).decode() == expected


def test_names_that_are_taken_get_a_prefix(predict: Command, penguins: Path, tmp_path: Path) -> None:
    """A scored file can be scored again, and no name stands twice."""
    first, second, third = (tmp_path / f"{number}.csv" for number in range(3))
    assert predict(penguins, "-o", first).code == 0
    assert predict(first, "-o", second).code == 0
    assert predict(second, "-o", third).code == 0
    names = third.read_text().splitlines()[0].split(",")

    assert names[-18:] == [*OURS, *(f"predicted_{name}" for name in OURS), *(f"predicted_predicted_{n}" for n in OURS)]
    assert len(set(names)) == len(names)


def test_where_it_is_read_it_is_not_written(
    predict: Command, repository: ModelRepository, penguins: Path, tmp_path: Path
) -> None:
    """By its own name, through a link of either kind, or as standard output."""
    table, link, twin = (tmp_path / name for name in ("t.csv", "link.csv", "twin.csv"))
    table.write_bytes(penguins.read_bytes())
    link.symlink_to(table)
    twin.hardlink_to(table)
    for path, output in ((table, table), (table, link), (link, table), (table, twin), (twin, link)):
        ended = predict(path, "-o", output)
        assert ended.code == 64
        assert "would be written over while it is read; name another file with --output" in ended.err
    with table.open("ab") as file:
        arguments = [sys.executable, "-m", "evenkeel", "predict", str(table), "--repository", str(repository.root)]
        assert subprocess.run(arguments, cwd=ROOT, stdout=file, stderr=subprocess.PIPE, check=False).returncode == 64

    assert table.read_bytes() == penguins.read_bytes()


def test_a_link_stays_one_and_a_device_is_not_replaced(predict: Command, penguins: Path, tmp_path: Path) -> None:
    """The file that a link leads to is written; /dev/null stays what it is."""
    target, link = tmp_path / "target.csv", tmp_path / "link.csv"
    target.write_text("old")
    link.symlink_to(target)

    assert predict(penguins, "-o", link).code == 0
    assert link.is_symlink()
    assert target.read_text() == predict(penguins).out
    assert predict(penguins, "-o", "/dev/null").code == 0
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("name", ["out.xlsx", "out.csv.zst", "out.json"])
def test_a_format_that_is_not_written_is_refused(predict: Command, penguins: Path, tmp_path: Path, name: str) -> None:
    """Before anything is read, with those that are."""
    ended = predict(penguins, "-o", tmp_path / name)

    assert ended.code == 64
    assert "should end with .csv, .csv.gz or .parquet" in ended.err


def test_the_only_model_needs_no_name(
    repository: ModelRepository, command: Command, penguins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of several the sentence lists them; what there is not is told by its own name."""
    store = tmp_path / "store"
    shutil.copytree(repository.root / "penguins", store / "penguins")
    assert console(["predict", str(penguins), "--repository", str(store), "-o", str(tmp_path / "out.csv")]) == 0
    shutil.copytree(repository.root / "penguins", store / "others")
    assert console(["predict", str(penguins), "--repository", str(store)]) == 64
    assert "say --model and a name: the repository" in capsys.readouterr().err
    assert command("predict", penguins, "--model", "walruses").code == 65
    assert command("predict", penguins, "--model", "penguins", "--version", "9").code == 65
    first = command("predict", penguins, "--model", "penguins", "--version", "1")
    assert first.code == 0
    assert first.out != command("predict", penguins, "--model", "penguins").out


def test_the_label_is_that_of_the_models_file(penguins: Path, tmp_path: Path) -> None:
    """Of two classes, by the threshold that was chosen in training."""
    table, output, store = tmp_path / "t.csv", tmp_path / "out.parquet", tmp_path / "store"
    table.write_text(penguins.read_text().replace("Chinstrap", "Adelie"))
    fit = ["fit", str(table), "--target", "species", "--name", "two", "--repository", str(store), "--epochs", "1"]
    for name in ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g", "island"):
        fit += ["--drop", name]
    assert main([*fit, "--members", "1", "--positive", "Gentoo", "--threshold", "cost=50:1"]) == 0
    assert console(["predict", str(table), "--repository", str(store), "-o", str(output)]) == 0
    found = parquet.read_table(output)
    model, rows = ModelRepository(store).read("two", 1), read_table(table, "species", drop=fit[-9::2]).examples.rows
    session = onnxruntime.InferenceSession(model.onnx, providers=["CPUExecutionProvider"])
    (labels,) = session.run(["label"], {"numeric": rows.numeric, "categorical": rows.texts()})

    assert found["label"].to_pylist() == labels.tolist()
    # That this is not the more probable class: tests/end_to_end/test_threshold.py.
    assert model.card.threshold is not None
