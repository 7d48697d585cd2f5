"""Tables as people have them: each is trained on at first try, and the same file is then scored alike in every way."""

import csv
import gzip
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from pyarrow import parquet

from evenkeel.command_line import main as evenkeel
from evenkeel.tables.labelled import read_labelled
from models.cells import days_of, moment
from models.features import Feature, Value, cell_reader
from models.repository import ModelRepository
from service.prediction.predictor import Predictor
from service.prediction.protocol import Allowance
from service.rows.tensors import Tensors
from service.wire import invocations
from tests.conftest import find_free_port
from tests.end_to_end.conftest import ROOT, Service, running
from trainer.command_line import main
from trainer.data.contents import read_contents
from trainer.data.rows import Rows
from trainer.data.table import read_table
from trainer.data.workbook import read_sheet

CASES = Path(os.environ.get("EVENKEEL_CASES", ROOT.parent / "shared/cases"))
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason=f"no tables in {CASES}; EVENKEEL_CASES names their folder")

DATE, NUMBER, TEXT = "date", "numeric", "categorical"
GERMAN = {"Alter": NUMBER, "Umsatz (€)": NUMBER, "Zinssatz %": NUMBER, "Wohnort": TEXT, "Produkt": TEXT}
# The target, the kinds of the features, and what is said of how the file was read or of what is in it.
TABLES: dict[str, tuple[str, dict[str, str], tuple[str, ...]]] = {
    "kunden_excel.csv": (
        "Gekündigt",
        {**GERMAN, "Eintritt": DATE},
        ("read as", "';', Windows-1252, decimal comma, thousands '.'", "left out: 1 empty column"),
    ),
    "kunden_utf8bom.csv": (
        "Gekündigt",
        {**GERMAN, "Eintritt": DATE},
        ("';', decimal comma", "left out: 1 empty column"),
    ),
    "k_cp1252.csv": ("Gekündigt", {**GERMAN, "Eintritt": NUMBER}, ("Windows-1252",)),
    "k_index.csv": ("Gekündigt", {**GERMAN, "Eintritt": NUMBER}, ("left out: the index 'Unnamed: 0', 1 empty column",)),
    "k_komma.csv": ("Gekündigt", {**GERMAN, "Eintritt": DATE}, ("decimal comma, thousands '.'",)),
    "accounts_sql.csv": (
        "churned",
        {"created_at": DATE, "seats": NUMBER, "mrr": NUMBER}
        | dict.fromkeys(("customer_note", "plan", "is_trial", "country"), TEXT),
        ("left out: 1 empty column", "NA among two-letter codes, read as missing: country"),
    ),
    "t_bad.csv.gz": ("Churn", {}, ("'-' 1 (line 7)", "'n.a.' 1 (line 6)")),
    "p_bad.csv": ("species", {}, ("'n.a.' 1 (line 6)",)),
    "e_pct.csv": ("y", {"pct": NUMBER, "usd": NUMBER}, ("'94%' is 94", "'$4,966' is 4966, or 4.966", "--decimal")),
    "e_total.csv": ("y", {"a": NUMBER}, ("'Total' in line 103", "--keep-total")),
    "e_imbal.csv": ("y", {"a": NUMBER, "b": NUMBER}, ()),
    "e_case.csv": ("y", {"a": NUMBER}, ("'No' 75 and 'no ' 75", "--merge-spellings")),
    "xl.xlsx": ("", {}, ("sheet",)),
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Service]]:
    """A repository, and a service that follows it."""
    store = tmp_path_factory.mktemp("store")
    with running(store, find_free_port()) as started:
        yield store, started


def trained(table: Path, target: str, store: Path, *flags: str) -> Predictor:
    """Train by the command and load what it published: a model of another name for each."""
    name = f"m{len(list(store.glob('m*')))}"
    command = ["fit", str(table), "--target", target, "--name", name, "--repository", str(store), *flags]
    assert main([*command, "--epochs", "2", "--hidden", "8", "--members", "1"]) == 0
    return Predictor(ModelRepository(store).read(name, 1))


def as_posted(table: Path, target: str) -> tuple[bytes, str, list[dict[str, str]]]:
    """The file as a client posts it, its media type, and its rows that have a target as the csv module reads them."""
    data = table.read_bytes()
    if table.suffix == ".xlsx":
        sheet = read_sheet(table, data, None, keep_total=False)
        file = io.StringIO()
        csv.writer(file).writerows([sheet.names, *sheet.rows])
        data = file.getvalue().encode()
    if table.suffix == ".gz":
        data = gzip.decompress(data)
    data = data.removesuffix(b"\nTotal,\n").rstrip()
    try:
        text, charset = data.decode("utf-8-sig"), "utf-8"
    except UnicodeDecodeError:
        text, charset = data.decode("cp1252"), "windows-1252"
    delimiter = ";" if text.split("\n")[0].count(";") > 1 else ","
    rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))
    assert all(row[target] for row in rows)
    return data, f"text/csv; charset={charset}", rows


def tensors_of(features: Sequence[Feature], records: list[dict[str, Value]]) -> Tensors:
    """What onnxruntime takes, by the contract alone: cells read by its rule, dates as days."""
    tensors: Tensors = {}
    numbers = [feature.name for feature in features if feature.kind != TEXT]
    texts = [feature.name for feature in features if feature.kind == TEXT]
    if numbers:
        tensors["numeric"] = np.array([[as_number(record[name]) for name in numbers] for record in records], np.float32)
    if texts:
        tensors["categorical"] = np.array([[record[name] or "" for name in texts] for record in records], object)
    return tensors


def as_number(value: Value) -> float:
    if value is None:
        return float("nan")
    return days_of(moment(value)) if isinstance(value, str) else value


def trainers(rows: Rows) -> Tensors:
    """The tensors that the trainer made of the file."""
    made: Tensors = {"numeric": rows.numeric, "categorical": rows.texts()}
    return {name: tensor for name, tensor in made.items() if tensor.shape[1]}


class Boundless:
    """Memory for a test."""

    def take(self, more: int) -> None: ...


ALLOWANCE = Allowance(10**6, 10**9, Boundless())


def predicted(table: Path, predictor: Predictor, output: Path, *flags: str) -> npt.NDArray[np.float32]:
    """What `evenkeel predict` writes of a file, with all its cells beside that."""
    assert evenkeel(["predict", str(table), "--model", predictor.card.name, "-o", str(output), *flags]) == 0
    found = parquet.read_table(output)
    classes = predictor.card.classes
    numbers = np.column_stack([found.column(f"probability_{label}").to_numpy() for label in classes])
    assert found.column("label").to_pylist() == [classes[place] for place in numbers.argmax(axis=1)]
    return numbers


def scored(
    table: Path, target: str, predictor: Predictor, rows: Rows, service: tuple[Path, Service], output: Path
) -> None:
    """The same file: the trainer's rows, those of `evaluate`, the contract's before onnxruntime, JSON, CSV, and what
    `predict` writes with a service and without one.
    """
    features = predictor.card.features
    body, content_type, lines = as_posted(table, target)
    read = {feature.name: cell_reader(feature) for feature in features}
    records = [{name: reader(line[name]) for name, reader in read.items()} for line in lines]
    ways: dict[str, Callable[[], Tensors]] = {
        "trainer": lambda: trainers(rows),
        "evaluate": lambda: trainers(read_labelled(table, predictor.card).rows),
        "contract": lambda: tensors_of(features, records),
        "JSON": lambda: predictor.rows.read(json.loads(json.dumps(records))).tensors,
        "CSV": lambda: invocations.read(predictor, body, {"CONTENT_TYPE": content_type}, ALLOWANCE).tensors,
    }
    answers = {way: predictor.predict(tensors()) for way, tensors in ways.items()}
    store, running_service = service
    running_service.wait(f"/v2/models/{predictor.card.name}/ready")
    answers["predict"] = predicted(table, predictor, output, "--repository", str(store))
    answers["predict through a service"] = predicted(table, predictor, output, "--url", running_service.url)

    for way, answer in answers.items():
        assert answer.tobytes() == answers["contract"].tobytes(), way


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_trained_on_at_first_try_and_scored_alike_in_every_way(
    name: str, service: tuple[Path, Service], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bit for bit; and what was decided about it is said, with what to type otherwise."""
    table = CASES / "tables" / name
    target, kinds, said = TABLES[name]
    if table.suffix == ".xlsx":
        pytest.importorskip("python_calamine")
        target = target or read_sheet(table, read_contents(table).data, None, keep_total=False).names[-1]
    predictor = trained(table, target, service[0])
    printed = " ".join("".join(capsys.readouterr()).split())

    if kinds:
        assert {feature.name: feature.kind for feature in predictor.card.features} == kinds
    for words in said:
        assert words in printed
    scored(table, target, predictor, read_table(table, target).examples.rows, service, tmp_path / "scored.parquet")


def test_the_same_table_in_two_encodings_is_the_same_model(tmp_path: Path) -> None:
    """Windows-1252 and UTF-8 with a byte-order mark."""
    tables = [CASES / "tables" / name for name in ("kunden_excel.csv", "kunden_utf8bom.csv")]
    one, other = (trained(table, "Gekündigt", tmp_path / table.stem).card for table in tables)

    assert one.features == other.features
    assert one.golden == other.golden


@pytest.mark.parametrize("name", ["sent", "dec"])
def test_a_model_trained_by_a_schema_scores_its_own_file(
    name: str, service: tuple[Path, Service], tmp_path: Path
) -> None:
    """-999 is missing for ever, and a decimal comma is one."""
    table, schema = (CASES / "faults/predict-schema" / f"{name}.{end}" for end in ("csv", "toml"))
    predictor = trained(table, "y", service[0], "--schema", str(schema))
    rows = read_table(table, "y", schema=schema).examples.rows
    scored(table, "y", predictor, rows, service, tmp_path / "scored.parquet")


@pytest.mark.parametrize("name", ["sentinel", "inf"])
def test_markers_of_missing_hold_in_parquet_as_in_csv(name: str) -> None:
    """The same numbers, the same gaps."""
    folder = CASES / "faults/parquet-missing"
    one, other = (
        read_table(folder / f"{name}.{end}", "y", schema=folder / f"{name}.toml").examples.rows.numeric
        for end in ("csv", "parquet")
    )

    assert np.isnan(one).any()
    np.testing.assert_array_equal(one, other)


def test_the_index_that_a_parquet_file_declares_is_no_feature() -> None:
    """Nor are blanks around a name part of it."""
    table = read_table(CASES / "faults/parquet-index/sorted.parquet", "y")
    named = read_table(CASES / "faults/parquet-names/pq_names.parquet", "y")

    assert [column.name for column in table.examples.rows.columns] == ["x"]
    assert table.schema.read_as == "left out: the index '__index_level_0__'"
    assert [column.name for column in named.examples.rows.columns] == ["x"]


@pytest.mark.parametrize(
    ("kind", "file", "code", "sentence"),
    [
        ("predict-header", "spacehdr.csv", 0, ""),
        ("predict-header", "duphdr.csv", 65, "columns 1 and 2 are both named 'age'; rename one in the header"),
        ("predict-header", "blank.csv", 0, ""),
        ("predict-formats", "cp.csv", 0, ""),
        ("predict-formats", "u16.csv", 0, ""),
        ("predict-formats", "gz.csv.gz", 0, ""),
        ("predict-inf", "nan.csv", 65, "line 3, feature 'age': 'NAN' is no number"),
        ("predict-inf", "inf.csv", 65, "line 3, feature 'age': 'inf' does not fit in a 32-bit float"),
        ("predict-inf", "e400.csv", 65, "line 3, feature 'age': '1e400' does not fit in a 32-bit float"),
        ("predict-label-columns", "label.csv", 0, ""),
    ],
)
def test_small_files_are_scored_or_refused_by_their_place(
    kind: str, file: str, code: int, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Headers, formats, numbers that are none, and names that are taken."""
    table, store, output = tmp_path / "t.csv", tmp_path / "store", tmp_path / "out.csv"
    rows = [f"{20 + n % 40},{('red', 'blue')[n % 2]},{('no', 'yes')[n % 3 == 0]}" for n in range(120)]
    table.write_text("\n".join(["age,colour,y", *rows]))
    trained(table, "y", store)
    capsys.readouterr()

    path = CASES / "faults" / kind / file
    assert evenkeel(["predict", str(path), "--repository", str(store), "-o", str(output)]) == code
    assert sentence in capsys.readouterr().err
    assert output.exists() == (code == 0)
    if code == 0:
        header, *lines = list(csv.reader(io.StringIO(output.read_text(encoding="utf-8"), newline="")))
        assert len(set(header)) == len(header)
        place = header.index("predicted_label" if kind == "predict-label-columns" else "label")
        assert {line[place] for line in lines} <= {"no", "yes"}


def test_a_parquet_file_is_scored_as_it_was_trained_on(tmp_path: Path) -> None:
    """Whole numbers with gaps in it too."""
    path, store = CASES / "faults/predict-formats/pq_f_i64null.parquet", tmp_path / "store"
    table = tmp_path / "many.parquet"
    parquet.write_table(pa.concat_tables([parquet.read_table(path)] * 40), table)
    predictor = trained(table, "y", store)
    expected = predictor.predict(trainers(read_table(table, "y").examples.rows))

    scored_by_command = predicted(table, predictor, tmp_path / "scored.parquet", "--repository", str(store))
    assert scored_by_command.tobytes() == expected.tobytes()
