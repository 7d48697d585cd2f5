import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from evenkeel.scoring.local import answers
from evenkeel.tables.labelled import read_labelled
from models.card import ModelCard
from models.repository import ModelRepository
from models.terminal import USAGE
from service.prediction.predictor import Predictor
from tests.evenkeel.conftest import Command
from trainer.command_line import main
from trainer.data.table import read_table


def test_a_table_is_measured_as_the_service_answers_it(
    command: Command, repository: ModelRepository, later: Path, card: ModelCard
) -> None:
    """Every answer is the service's own, bit for bit, whatever the order of rows and columns; so are the scores."""
    model = repository.read("penguins", 2)
    labelled = read_labelled(later, card)
    predictor = Predictor(model)
    rows = read_table(later, "species", drop=["seen"]).examples.rows
    served = predictor.predict(predictor.rows.read(rows.records()).tensors)

    assert np.array_equal(answers(model, labelled.rows), served)
    found = json.loads(command("evaluate", "penguins", later, "--json").out)
    assert found["rows"] == 344
    assert found["accuracy"] == np.mean(served.argmax(axis=1) == labelled.labels)
    assert found["accuracy_interval"][0] < found["accuracy"] <= found["accuracy_interval"][1]
    assert [one["kind"] for one in found["baselines"]] == ["commonest class"]
    assert found["baselines"][0]["accuracy"] == pytest.approx(152 / 344)


def test_the_report_says_how_the_model_has_aged(command: Command, later: Path) -> None:
    """How many rows, which version, and its own test rows beside them."""
    ended = command("evaluate", "penguins", later)

    assert ended.code == 0
    assert ended.out.startswith("penguins, version 2, on 344 rows of later.csv; 1 more have no target\n")
    assert "On its own test rows it had accuracy" in ended.out
    assert "no difference beyond the noise" in ended.out
    assert "version 1, on 344 rows" in command("evaluate", "penguins", later, "--version", "1").out


def test_rows_that_have_changed_are_noticed(command: Command, repository: ModelRepository, later: Path) -> None:
    """Bills in inches: the model does worse, and the sentence says what to type."""
    header, *lines = later.read_text().splitlines()
    place = header.split(",").index("bill_length_mm")
    cells = [line.split(",") for line in lines]
    for row in cells:
        if row[place] not in ("", "NA"):
            row[place] = f"{float(row[place]) / 25.4:.2f}"
    later.write_text("\n".join([header, *(",".join(row) for row in cells)]))

    out = command("evaluate", "penguins", later).out
    assert "it does worse on these rows, beyond the noise" in out
    assert f"evenkeel fit --repository {repository.root} {later} --target species --name penguins" in out


def test_the_training_table_itself_is_pointed_out(command: Command, penguins: Path) -> None:
    """It flatters the model."""
    assert "warning: it was trained on about 80% of these rows" in command("evaluate", "penguins", penguins).out


def test_what_the_model_knows_is_kept_among_many_other_texts(
    command: Command, repository: ModelRepository, later: Path, card: ModelCard, tmp_path: Path
) -> None:
    """1 100 islands that it has never seen stand twice each, its own three once: these are asked about as they are."""
    header, *lines = later.read_text().splitlines()
    place = header.split(",").index("island")
    own = {line.split(",")[place]: line for line in lines[:-1]}
    others = [[*lines[0].split(",")] for _ in range(2200)]
    for number, row in enumerate(others):
        row[place] = f"isle {number // 2}"
    table = tmp_path / "many.csv"
    table.write_text("\n".join([header, *map(",".join, others), *own.values()]))
    labelled = read_labelled(table, card)
    scored = tmp_path / "scored.csv"
    assert command("predict", table, "--model", "penguins", "-o", scored).code == 0
    with scored.open() as file:
        predicted = [[float(row[f"probability_{label}"]) for label in card.classes] for row in csv.DictReader(file)]

    assert set(own) <= set(labelled.rows.texts()[-3:].ravel())
    np.testing.assert_array_equal(
        answers(repository.read("penguins", 2), labelled.rows), np.array(predicted, np.float32)
    )


@pytest.mark.parametrize(
    ("change", "code", "sentence"),
    [
        (lambda text: text.replace("Gentoo", "Emperor"), 65, r"line \d+: 'Emperor' is no class of penguins; leave its"),
        (lambda text: text.replace("island", "isle", 1), 65, "has no column 'island', which penguins was trained on"),
        (lambda text: re.sub("(?m)^[A-Z][a-z]+,", ",", text), 65, "no row has a value in the target column 'species'"),
        (lambda text: text.replace(",39.1,", ",thirty,"), 65, "'thirty' is no number"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(
    command: Command, later: Path, change: Callable[[str], str], code: int, sentence: str
) -> None:
    """One sentence: the place, the rule, the way out."""
    later.write_text(change(later.read_text()))
    ended = command("evaluate", "penguins", later)

    assert ended.code == code
    assert re.search(sentence, ended.err)
    assert ended.err.count("\n") == 1
    assert ended.out == ""


def test_what_is_not_there_has_its_own_exit_code(command: Command, later: Path, tmp_path: Path) -> None:
    """A table, a model, a version."""
    assert command("evaluate", "penguins", tmp_path / "none.csv").code == 66
    assert command("evaluate", "walruses", later).code == 65
    assert command("evaluate", "penguins", later, "--version", "9").code == 65
    assert command("evaluate", "../up", later).code == 64


def test_the_schema_of_the_training_reads_later_tables(
    tmp_path: Path, command: Command, repository: ModelRepository
) -> None:
    """Decimal commas, own markers of missing, weights and a threshold: as the card says, and no flag needed."""
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(2, 400))
    rows = [
        f'"{a:.3f}","{"gone" if n % 9 == 0 else round(b, 3)}",{n % 3},{"ab"[int(a + b > 0)]}'.replace(".", ",", 1)
        for n, (a, b) in enumerate(zip(x, z, strict=True))
    ]
    table, schema = tmp_path / "t.csv", tmp_path / "t.toml"
    table.write_text("\n".join(["x,z,times,y", *rows]))
    schema.write_text(
        'target = "y"\n[columns.x]\nkind = "numeric"\ndecimal = ","\n[columns.times]\nkind = "numeric"\n'
        '[columns.z]\nkind = "numeric"\nmissing = ["gone"]\n'
    )
    flags = ["--schema", str(schema), "--weight", "times", "--positive", "b", "--threshold", "f1", "--epochs", "3"]
    fit = ["fit", str(table), "--target", "y", "--name", "commas", "--repository", str(repository.root)]
    assert main([*fit, *flags]) == 0
    found = json.loads(command("evaluate", "commas", table, "--json").out)

    assert found["rows"] == 266  # A third of the rows has weight 0.
    assert sum(one["rows"] for one in found["classes"]) == sum(n % 3 for n in range(400))
    assert found["at_threshold"]["predicted"] > 0


def test_a_schema_that_a_card_states_wrongly_is_refused(
    command: Command, repository: ModelRepository, later: Path
) -> None:
    """Of a card that somebody else has written."""
    published = repository.read("penguins", 1)
    schema = {**published.card.provenance.table_schema, "columns": {"sex": 0}}
    provenance = published.card.provenance.model_copy(update={"table_schema": schema})
    files = {"model.onnx": published.onnx}
    card = published.card.model_copy(update={"name": "stated", "provenance": provenance, "files": {}})
    repository.publish(card, files)
    for arguments in (("evaluate", "stated", later), ("predict", later, "--model", "stated")):
        ended = command(*arguments)

        assert ended.code == 65
        assert "card.json of stated: provenance.table_schema.columns.sex: Input should be" in ended.err
        assert ended.err.count("\n") == 1


@pytest.mark.parametrize("typed", ["0", "-1", "two", "1.0"])
def test_no_version_is_taken_for_the_one_that_serves(command: Command, later: Path, typed: str) -> None:
    """Versions are 1, 2, 3 and so on; all else is refused, as `models show` refuses it."""
    for arguments in (
        ("evaluate", "penguins", later, f"--version={typed}"),
        ("explain", "penguins", f"--version={typed}"),
        ("predict", later, "--model", "penguins", f"--version={typed}"),
        ("report", "penguins", "--", typed),
        ("compare", "penguins", "--", "1", typed),
    ):
        with pytest.raises(SystemExit) as ending:
            command(*arguments)
        assert ending.value.code == USAGE
