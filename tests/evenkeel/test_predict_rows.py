"""The rows that are scored: odd ones are warned of, bad ones stop it or are left without an answer."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet

from evenkeel.command_line import main as console
from evenkeel.tables.given import opened
from evenkeel.tables.labelled import schema_of
from evenkeel.tables.rows import RowReader as TableReader
from models.card import ModelCard
from models.repository import ModelRepository
from service.prediction.predictor import Predictor
from service.rows.reader import RowReader
from tests.evenkeel.conftest import OURS, Command, rows_of
from trainer.command_line import main
from trainer.data.schema import FileSchema
from trainer.data.table import read_table


def test_odd_cells_are_warned_of(predict: Command, penguins: Path, tmp_path: Path) -> None:
    """In the column of warnings, by feature and code as the service has them, and counted on stderr."""
    header, first, *rest = penguins.read_text().splitlines()
    table = tmp_path / "odd.csv"
    odd = [first.replace("Torgersen", "Bouvet"), first.replace("39.1", "391"), first.replace("2007", "")]
    both = first.replace("Torgersen", "Bouvet").replace("39.1", "391")
    table.write_text("\n".join([header, *odd, both, *rest]))
    ended = predict(table)
    rows = rows_of(ended.out)

    unseen, far = "island: unseen_category", "bill_length_mm: far_outside_range"
    assert [row["warnings"] for row in rows[:4]] == [unseen, far, "year: unseen_missing", f"{unseen}; {far}"]
    assert all(row["label"] for row in rows)
    assert not any(row["warnings"] for row in rows[4:])
    assert ended.err.startswith("warnings in 4 of 347 rows: ")
    assert f"{unseen} (2)" in ended.err


def test_warnings_are_the_services(
    predict: Command, repository: ModelRepository, penguins: Path, tmp_path: Path
) -> None:
    """Drawn cells, odd and usual: row by row the features and codes that the service would warn of."""
    rng = np.random.default_rng(7)
    header, *lines = penguins.read_text().splitlines()
    cells = [lines[place].split(",") for place in rng.integers(0, len(lines), 300)]
    odd = [
        ["Here", ""],
        ["1e6", "-7", ""],
        ["0", "1e30"],
        ["", "175"],
        ["NA", "99999"],
        ["other", ""],
        ["", "1", "3e3"],
    ]
    for row in cells:
        for place, texts in enumerate(odd, start=1):
            if rng.random() < 0.1:
                row[place] = str(rng.choice(texts))
    table = tmp_path / "drawn.csv"
    table.write_text("\n".join([header, *map(",".join, cells)]))
    rows = rows_of(predict(table).out)
    predictor = Predictor(repository.read("penguins", 2))
    read = read_table(table, "species", drop=[]).examples.rows

    for row, record in zip(rows, read.records(), strict=True):
        expected = [f"{one['feature']}: {one['code']}" for one in predictor.rows.read([record]).warnings.get(0, [])]
        assert sorted(filter(None, row["warnings"].split("; "))) == sorted(expected)


def test_codes_are_warned_of_as_the_service_does(card: ModelCard) -> None:
    """Cells of a file and numbers of a frame, where training took the numbers for categories."""
    year = next(feature for feature in card.features if feature.name == "year")
    coded = card.model_copy(update={"features": (year.model_copy(update={"codes": (2007.0, 2009.0)}),)})
    cells = ["2007", "2008", "2.009e3", "", "1", "2009.0001", "2009"]
    numbers = [float(cell) if cell else None for cell in cells]
    expected = [
        [one["code"] for one in RowReader(coded.features).read([{"year": number}]).warnings.get(0, [])]
        for number in numbers
    ]
    for column in (cells, numbers):
        with opened(pd.DataFrame({"year": column}), FileSchema(), ()) as (_, blocks):
            (block,) = blocks.blocks
        found = TableReader(coded, schema_of(coded)).read(block)

        assert [sorted(code for (_, code), odd in found.unusual.items() if odd[row]) for row in range(7)] == expected


BAD = [
    ("2007", "x", "feature 'year': 'x' is no number"),
    ("2007", "1e400", "feature 'year': '1e400' does not fit in a 32-bit float"),
    ("2007", "inf", "feature 'year': 'inf' does not fit in a 32-bit float"),
    (",2007", "", "expected 8 cells, got 7"),
    ("2007", "2007,1,2", "expected 8 cells, got 10"),
]


@pytest.mark.parametrize(("was", "becomes", "sentence"), BAD)
def test_a_bad_row_stops_it_by_line_and_feature(
    predict: Command, penguins: Path, tmp_path: Path, was: str, becomes: str, sentence: str
) -> None:
    """With exit code 65 and what to type; a file that was there stays as it was."""
    lines = penguins.read_text().splitlines()
    lines[200] = ",".join([*lines[200].split(",")[:-1], "2007"]).replace(was, becomes)
    table, output = tmp_path / "bad.csv", tmp_path / "out.csv"
    table.write_text("\n".join(lines))
    output.write_text("as it was")
    ended = predict(table, "-o", output)

    assert ended.code == 65
    assert f"bad.csv, line 201: {sentence}" in ended.err or f"bad.csv, line 201, {sentence}" in ended.err
    assert "mend it, or say --on-error null to answer the other rows; nothing was written" in ended.err
    assert ended.err.count("\n") == 1
    assert output.read_text() == "as it was"
    assert sorted(tmp_path.iterdir()) == [table, output]


@pytest.mark.parametrize(("was", "becomes", "sentence"), BAD)
def test_a_bad_row_can_be_left_without_an_answer(
    predict: Command, penguins: Path, tmp_path: Path, was: str, becomes: str, sentence: str
) -> None:
    """The others are answered as ever; the reason stands beside it, and the exit code is 80."""
    lines = penguins.read_text().splitlines()
    good = lines[200] = ",".join([*lines[200].split(",")[:-1], "2007"])
    table, output = tmp_path / "bad.csv", tmp_path / "out.csv"
    table.write_text("\n".join(lines))
    whole = rows_of(predict(table).out)
    lines[200] = good.replace(was, becomes)
    table.write_text("\n".join(lines))
    ended = predict(table, "-o", output, "--on-error", "null")
    rows = rows_of(output.read_text())

    assert ended.code == 80
    said = sentence.replace("feature 'year'", "year")
    assert f"1 of 344 rows have no answer, first line 201: {said}" in ended.err
    assert rows[:199] + rows[200:] == whole[:199] + whole[200:]
    assert [rows[199][name] for name in OURS[:-1]] == [""] * 5
    assert rows[199]["warnings"] == said
    scored = tmp_path / "out.parquet"
    assert predict(table, "-o", scored, "--on-error", "null").code == 80
    assert parquet.read_table(scored)["label"].null_count == 1


def test_every_row_may_be_bad(predict: Command, penguins: Path, tmp_path: Path) -> None:
    """Then none is answered, and all are there."""
    header, *lines = penguins.read_text().splitlines()
    table = tmp_path / "bad.csv"
    table.write_text("\n".join([header, *(f"{line.rpartition(',')[0]},none at all" for line in lines)]))
    ended = predict(table, "--on-error", "null")

    assert ended.code == 80
    assert {(row["label"], row["warnings"]) for row in rows_of(ended.out)} == {("", "year: 'none at all' is no number")}


def test_a_required_feature_may_not_be_missing(
    penguins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the schema said when the model was trained."""
    schema = tmp_path / "s.toml"
    schema.write_text(
        'target = "species"\n[columns.sex]\nkind="categorical"\n[columns.year]\nkind="numeric"\nrequired=true\n'
    )
    table = tmp_path / "t.csv"
    table.write_text("\n".join(f"{r[0]},{r[6]},{r[7]}" for r in csv.reader(penguins.read_text().splitlines())))
    fit = ["fit", str(table), "--target", "species", "--name", "strict", "--repository", str(tmp_path / "store")]
    assert main([*fit, "--schema", str(schema), "--epochs", "1", "--members", "1"]) == 0
    table.write_text("sex,year\nmale,2007\n,2008\nmale,\n")

    assert console(["predict", str(table), "--repository", str(tmp_path / "store")]) == 65
    assert "line 4, feature 'year': must not be missing" in capsys.readouterr().err
