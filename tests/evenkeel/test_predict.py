"""A file scored without a service: what is read, what is written, and what is there when it goes wrong."""

import csv
import gzip
import io
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow as pa
import pytest
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from evenkeel.command_line import main as console
from evenkeel.scoring import answers
from models.repository import ModelRepository
from service.prediction.predictor import Predictor
from tests.conftest import ROOT
from tests.evenkeel.conftest import Ended
from trainer.command_line import main
from trainer.data.table import read_table

Command = Callable[..., Ended]
OURS = ["label", "probability", "probability_Adelie", "probability_Chinstrap", "probability_Gentoo", "warnings"]


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.fixture
def predict(command: Command) -> Command:
    """Score by the model of penguins; other tests publish others beside it."""
    return lambda *arguments: command("predict", *arguments, "--model", "penguins")


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


def variants(header: str, rows: list[str], folder: Path) -> dict[str, Path]:
    """One table in every form in which people have it."""
    text = "\n".join([header, *rows]) + "\n"
    cells = [line.split(",") for line in rows]
    columns = dict(zip(header.split(","), map(list, zip(*cells, strict=True)), strict=True))
    forms: dict[str, bytes] = {
        "plain.csv": text.encode(),
        "semicolon.csv": text.replace(",", ";").encode("utf-8-sig"),
        "tab.tsv": text.replace(",", "\t").encode("cp1252"),
        "utf16.csv": text.encode("utf-16"),
        "crlf.csv": text.replace("\n", "\r\n").encode(),
        "mac.csv": text.replace("\n", "\r").encode(),
        "quoted.csv": "\n".join(f'"{line}"' for line in text.replace(",", '","').splitlines()).encode(),
        "packed.csv.gz": gzip.compress(text.encode()),
        "packed.zst": pa.compress(text.encode(), "zstd", asbytes=True),
        "spaced.csv": ("\n" + text.replace("sex", " sex ", 1).replace("\n", "\n\n")).encode(),
        "total.csv": (text + "Total,,,,,,,,\n").encode(),
    }
    for name, data in forms.items():
        (folder / name).write_bytes(data)
    table = pa.table(columns)
    parquet.write_table(table, folder / "table.parquet", row_group_size=50)
    gaps = pa.table({name: [None if cell == "NA" else cell for cell in cells] for name, cells in columns.items()})
    parquet.write_table(gaps, folder / "gaps.parquet")
    buffer = io.BytesIO()
    parquet.write_table(table, buffer)
    (folder / "packed.parquet.gz").write_bytes(gzip.compress(buffer.getvalue()))
    return {path.name: path for path in folder.iterdir()}


def test_every_form_of_a_table_is_read_as_fit_reads_it(predict: Command, penguins: Path, tmp_path: Path) -> None:
    """Delimiters, encodings, line breaks, quotes, compression, Parquet: the same answers to the same rows."""
    header, *rows = penguins.read_text().splitlines()
    rows = [f"{row},Zürich" for row in rows]
    forms = variants(f"{header},place", rows, tmp_path)
    names = [*header.split(","), "place", *OURS]
    expected = rows_of(predict(forms["plain.csv"]).out)

    assert len(expected) == 344
    for name, path in forms.items():
        output = tmp_path / "out.parquet"
        assert predict(path, "-o", output).code == 0, name
        found = parquet.read_table(output)
        assert found.column_names == names, name
        assert [{k: v or "NA" for k, v in row.items()} for row in found.select(names[:9]).to_pylist()] == [
            {k: row[k] or "NA" for k in names[:9]} for row in expected
        ], name
        numbers = np.column_stack([found[column].to_numpy() for column in OURS[1:5]])
        assert numbers.tolist() == [[float(np.float32(row[column])) for column in OURS[1:5]] for row in expected], name


def test_a_column_without_name_and_value_is_left_out(predict: Command, penguins: Path, tmp_path: Path) -> None:
    """As fit leaves it out; one that has a value needs a name, and the index of pandas gets the one that fit says."""
    header, *rows = penguins.read_text().splitlines()
    table = tmp_path / "table.csv"
    table.write_text("\n".join([f"{header},,", *(f"{row}, ," for row in rows), ""]))
    ended = predict(table)

    assert ended.out == predict(penguins).out
    assert ended.err.startswith("note: columns without a name and a value, left out: 2 empty columns; a name in the")
    table.write_text("\n".join([f"{header},", *(f"{row}," for row in rows[:300]), f"{rows[300]},x", ""]))
    refused = predict(table)
    assert (refused.code, refused.err) == (
        65,
        f"evenkeel: {table}: column 9 has no name; write one into the header\n",
    )
    table.write_text("\n".join([f",{header}", *(f"{number},{row}" for number, row in enumerate(rows)), ""]))
    assert list(rows_of(predict(table).out)[0]) == ["Unnamed: 0", *header.split(","), *OURS]


def test_the_first_thing_that_is_wrong_is_named(predict: Command, penguins: Path, tmp_path: Path) -> None:
    """A cell that is no number, far above a quote that never closes: each block is judged in its turn."""
    header, *rows = penguins.read_text().splitlines()
    table = tmp_path / "table.csv"
    bad = rows[0].replace("39.1", "thirty")
    table.write_text("\n".join([header, *rows * 10, bad, *rows * 90, f'"{rows[1]}', ""]))
    ended = predict(table, "-o", tmp_path / "out.csv")

    assert ended.code == 65
    assert f"line {2 + 10 * len(rows)}, feature 'bill_length_mm': 'thirty'" in ended.err


def test_cells_come_back_as_they_were(predict: Command, penguins: Path, tmp_path: Path) -> None:
    """Quotes, delimiters and line breaks in a cell, and texts that only look like numbers."""
    header, first, *_ = penguins.read_text().splitlines()
    odd = ['say "hi"', "a,b", "two\r\nlines", "two\nlines", "007", " blank ", "ü", ""]
    table = tmp_path / "odd.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*header.split(","), "odd"])
        writer.writerows([*first.split(","), cell] for cell in odd)

    assert [row["odd"] for row in rows_of(predict(table).out)] == odd


def test_names_that_are_taken_get_a_prefix(predict: Command, penguins: Path, tmp_path: Path) -> None:
    """A scored file can be scored again, and no name stands twice."""
    first, second, third = (tmp_path / f"{number}.csv" for number in range(3))
    assert predict(penguins, "-o", first).code == 0
    assert predict(first, "-o", second).code == 0
    assert predict(second, "-o", third).code == 0
    names = third.read_text().splitlines()[0].split(",")

    assert names[-18:] == [*OURS, *(f"predicted_{name}" for name in OURS), *(f"predicted_predicted_{n}" for n in OURS)]
    assert len(set(names)) == len(names)


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


@pytest.mark.parametrize(
    ("text", "code", "sentence"),
    [
        ("year\n2007\n", 65, "has no column 'island', which penguins was trained on; its columns are year: add it"),
        ("", 65, "is empty; a table needs a header line and rows"),
        ("a,a\n1,2\n", 65, "columns 1 and 2 are both named 'a'; rename one in the header"),
        ("%PDF-1.4", 65, "is a PDF document, no table"),
        (None, 66, "No such file"),
    ],
)
def test_what_is_no_table_is_named(
    predict: Command, tmp_path: Path, text: str | None, code: int, sentence: str
) -> None:
    """One sentence, and nothing is written."""
    table, output = tmp_path / "t.csv", tmp_path / "out.csv"
    if text is not None:
        table.write_text(text)
    ended = predict(table, "-o", output)

    assert ended.code == code
    assert sentence in ended.err
    assert ended.err.count("\n") == 1
    assert not output.exists()


def test_a_table_without_rows_has_no_answers(predict: Command, penguins: Path, tmp_path: Path) -> None:
    """A nightly job on an empty table writes its header."""
    table = tmp_path / "t.csv"
    table.write_text(penguins.read_text().splitlines()[0] + "\n")
    ended = predict(table)

    assert ended.code == 0
    assert ended.out == penguins.read_text().splitlines()[0] + "," + ",".join(OURS) + "\n"


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
