"""The model in JavaScript answers as the service does: the same probabilities, labels, warnings and refusals."""

import gzip
import json
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.card import ModelCard
from models.features import Record
from models.repository import ModelRepository, PublishedModel
from service.prediction.predictor import Predictor
from service.rows.rules import BrokenRules
from service.wire.refusals import refuse
from tests.conftest import ROOT
from tests.evenkeel.page.conftest import Javascript
from trainer.data.table import read_table
from trainer.job.job import run
from trainer.settings.config import TrainingConfig

DATA = Path(os.environ.get("EVENKEEL_DATA", ROOT.parent / "shared/data"))
ROWS, MOST_TRAINED = 1000, 6000
TOLERANCE = 1e-5
# Far outside of what training has seen, units are so large that onnx's own two interpreters are 2e-5 apart.
STRANGE = 1e-4

# Every kind of scaling, activation, embedding and decision, spread over the tables.
TABLES: dict[str, dict[str, Any]] = {
    "abalone": {"target": "Class_number_of_rings", "activation": "silu"},
    "adult": {"target": "income", "positive": ">50K", "threshold": "f1", "members": 3},
    "car": {"target": "class", "one_hot": 0},
    "covertype_ramp": {"target": "Cover_Type", "activation": "selu", "scaling": "standard"},
    "eeg_eye_state": {"target": "Class", "activation": "tanh"},
    "heart_cleveland": {"target": "num", "activation": "elu", "scaling": "quantile"},
    "iris": {"target": "class", "batch_norm": "after"},
    "kddcup99": {"target": "label", "batch_norm": "none"},
    "letter": {"target": "class", "periodic": 0.3},
    "mnist": {"target": "class", "hidden": (16,)},
    "mushroom": {"target": "class", "activation": "sigmoid", "one_hot": 3},
    "nursery": {"target": "class", "members": 2},
    "optdigits": {"target": "class", "scaling": "quantile"},
    "pd_speech": {"target": "class", "drop": ("rownames",)},
    "penguins": {"target": "species", "scaling": "quantile", "atoms": False},
    "phoneme": {"target": "Class", "activation": "leaky_relu", "scaling": "standard"},
    "sick": {"target": "Class", "class_weight": "balanced", "statistics": "population"},
    "skin_segmentation": {"target": "class", "threshold": "cost=5:1", "positive": "1"},
    "soybean": {"target": "class", "one_hot": 2},
    "telco_churn": {"target": "Churn", "drop": ("customerID",), "positive": "Yes", "threshold": "f1"},
}
SMALL = {"epochs": 2, "patience": 2, "hidden": (12, 8), "members": 2}

ASK = """
import { offlineSource } from "./offline.js";
const bytes = new Uint8Array(readFileSync(given.model));
const source = offlineSource(JSON.parse(readFileSync(given.card, "utf8")), 1, bytes);
let answer;
try {
  answer = await source.predict(JSON.parse(readFileSync(given.records, "utf8")));
} catch (error) {
  answer = { message: error.message, details: error.details, status: error.status };
}
"""


def trained(table: Path, name: str, repository: Path, **settings: Any) -> PublishedModel:
    config = TrainingConfig.of(**{"table": table, "name": name} | SMALL | settings)
    store = ModelRepository(repository)
    return store.read(name, run(config, store).version)


def asked(javascript: Javascript, model: PublishedModel, records: Sequence[Any], folder: Path) -> Any:
    files = {name: folder / name for name in ("model", "card", "records")}
    files["model"].write_bytes(model.onnx)
    files["card"].write_text(model.card.to_json())
    files["records"].write_text(json.dumps(records))
    return javascript(ASK, **{name: str(file) for name, file in files.items()})


def differences(javascript: Javascript, model: PublishedModel, records: Sequence[Record], folder: Path) -> float:
    """The largest difference between two probabilities; labels and warnings are the same."""
    predictor = Predictor(model)
    rows = predictor.rows.read(records)
    expected = predictor.predict(rows.tensors)
    found = asked(javascript, model, records, folder)
    classes = model.card.classes
    probabilities = np.array([[answer["probabilities"][name] for name in classes] for answer in found])
    for index, place in enumerate(predictor.decide(probabilities.astype(np.float32))):
        assert found[index]["label"] == classes[place]
        assert found[index]["probability"] == found[index]["probabilities"][classes[place]]
    for index, answer in enumerate(found):
        (alone,) = [predictor.rows.read([records[index]]).warnings.get(0, [])]
        # The service tells of numbers first.
        assert sorted(map(str, answer["warnings"])) == sorted(map(str, alone))
    return float(np.abs(probabilities - expected).max())


def strange(card: ModelCard, records: Sequence[Record]) -> list[Record]:
    """Rows of the table with a cell that training has not seen: missing, unknown, far outside, the largest there is."""
    odd: dict[str, list[Any]] = {
        "numeric": [1e30, -1e30, 3.4028234663852886e38, -3.4028235677973362e38, 1e-45, 0, -0.0, 7],
        "date": ["0001-01-01", "9999-12-31", "2024-02-29T23:59:59.999999", "2024-06-01T12:00:00+02:00", "20240229"],
        "categorical": [
            "❓ 'no' \"table\" holds\n\x00\u200b\ufeff",
            "it's",
            "",
            " ",
            "__proto__",
            "x" * 90,
            "𝄞" * 90,
            "𝄞" * 40,
            "\ufeffa",
        ],
    }
    cells = [
        (feature.name, value)
        for feature in card.features[:40]
        for value in odd[feature.kind] + [None] * feature.nullable
    ]
    rows: list[Record] = [records[index % len(records)] | {name: value} for index, (name, value) in enumerate(cells)]
    if all(feature.nullable for feature in card.features):
        rows.append(dict.fromkeys(record for record in records[0]))
    return rows


def records_of(table: Path, target: str, drop: Sequence[str] = ()) -> list[Record]:
    rows = read_table(table, target, drop).examples.rows
    return rows.take(np.linspace(0, len(rows) - 1, ROWS, dtype=np.int64)).records()


def test_the_example_is_answered_as_by_onnxruntime(penguins: Path, tmp_path: Path, javascript: Javascript) -> None:
    """A bag, calibrated; all rows of the table and strange ones."""
    model = trained(penguins, "penguins", tmp_path / "store", target="species")
    records = records_of(penguins, "species")

    assert differences(javascript, model, records, tmp_path) <= TOLERANCE
    assert differences(javascript, model, strange(model.card, records), tmp_path) <= STRANGE


@pytest.fixture(scope="module")
def peculiar(tmp_path_factory: pytest.TempPathFactory) -> tuple[PublishedModel, list[Record]]:
    """A table of dates, of times, of booleans, of categories with blanks and emoji, with holes, and two classes."""
    rng = random.Random(0)
    folder = tmp_path_factory.mktemp("peculiar")
    words = [
        " blank",
        "blank",
        "blank ",
        "😀",
        "e\u0301",
        "é",
        "\ufeffmark",
        "Ünï",
        "__proto__",
        "constructor",
        "1",
        "x,y",
    ]
    lines = ["day,moment,flag,word,long,number,constant,y"]
    for _ in range(600):
        year, month, day = rng.randint(1990, 2024), rng.randint(1, 12), rng.randint(1, 28)
        moment = f"2024-{month:02}-{day:02}T{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:07"
        word, long, number = rng.choice(words), f"w{rng.randint(0, 40)}", rng.choice([0, 0, round(rng.gauss(0, 50), 3)])
        cells = [
            f"{year}-{month:02}-{day:02}",
            moment,
            rng.choice(["true", "false"]),
            f'"{word}"',
            long,
            str(number),
            "5",
        ]
        cells = ["" if rng.random() < 0.05 else cell for cell in cells]
        lines.append(",".join([*cells, "yes 😀" if rng.random() < 0.3 + 0.4 * (month > 6) else " no"]))
    table = folder / "peculiar.csv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    settings = {"target": "y", "positive": "yes 😀", "threshold": "recall@precision=0.5", "periodic": 0.2}
    return trained(table, "peculiar", folder / "store", **settings), records_of(table, "y")


def test_dates_and_peculiar_texts_are_answered_as_by_onnxruntime(
    peculiar: tuple[PublishedModel, list[Record]], tmp_path: Path, javascript: Javascript
) -> None:
    """Dates with and without times, booleans, categories that differ by a blank; with a threshold."""
    model, records = peculiar
    assert {feature.kind for feature in model.card.features} == {"numeric", "date", "categorical"}

    assert differences(javascript, model, records, tmp_path) <= TOLERANCE
    assert differences(javascript, model, strange(model.card, records), tmp_path) <= STRANGE


@pytest.mark.thorough
def test_what_breaks_the_card_is_refused_in_the_same_words(
    peculiar: tuple[PublishedModel, list[Record]], tmp_path: Path, javascript: Javascript
) -> None:
    """Sentence, feature and rule; alone and among others."""
    model, (good, *_) = peculiar
    reader = Predictor(model).rows
    values: list[Any] = [True, "x", "2024-02-30", 1e39, 5, [], {}, "1.5"]
    wrong: list[list[Any]] = [
        *([good | {name: value}] for name in good for value in values),
        [{name: value for name, value in good.items() if name != "word"}],
        [good, good | {"number": "x", "day": 3}, good | {"word": 3}],
        ["x"],
    ]
    compared = 0
    for records in wrong:
        try:
            reader.read(records)
        except BrokenRules as broken:
            expected = refuse(broken, several=len(records) > 1)
        else:
            continue
        found = asked(javascript, model, records, tmp_path)
        if records != ["x"]:
            assert (found["message"], found["details"], found["status"]) == (str(expected), expected.details, 422)
        compared += 1
    assert compared > 20


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no tables in {DATA}; EVENKEEL_DATA names their folder")
@pytest.mark.parametrize("name", TABLES)
def test_a_real_table_is_answered_as_by_onnxruntime(
    name: str, tmp_path: Path, javascript: Javascript, pytestconfig: pytest.Config
) -> None:
    """A thousand of its rows and strange ones, by a model trained for a moment on some thousands of them."""
    if not pytestconfig.getoption("--long"):
        pytest.skip("twenty tables take minutes: --long")
    settings = dict(TABLES[name])
    table = some_rows(name, tmp_path)
    model = trained(table, name, tmp_path / "store", **settings)
    records = records_of(table, settings["target"], settings.get("drop", ()))
    difference = differences(javascript, model, records, tmp_path)
    print(f"{name}: {difference:.2g}, {len(model.onnx)} bytes")

    assert difference <= TOLERANCE
    assert differences(javascript, model, strange(model.card, records), tmp_path) <= STRANGE


def some_rows(name: str, folder: Path) -> Path:
    """A table of at most 6 000 rows from all over the original."""
    lines = digits() if name == "mnist" else lines_of(name)
    head, *rows = lines
    table = folder / f"{name}.csv"
    table.write_text("\n".join([head, *rows[:: 1 + len(rows) // MOST_TRAINED]]) + "\n")
    return table


def lines_of(name: str) -> list[str]:
    whole, packed = (DATA / name / f"{name}.csv{end}" for end in ("", ".gz"))
    return (whole.read_text() if whole.exists() else gzip.decompress(packed.read_bytes()).decode()).splitlines()


def digits() -> list[str]:
    """Some of mnist's images, a pixel a column."""
    images, labels = (DATA / "mnist" / f"t10k-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1"))
    pixels = np.frombuffer(gzip.decompress(images.read_bytes()), np.uint8, offset=16).reshape(-1, 784)[:3000]
    classes = np.frombuffer(gzip.decompress(labels.read_bytes()), np.uint8, offset=8)
    head = ",".join([*(f"p{index}" for index in range(784)), "class"])
    return [head, *(",".join(map(str, [*row.tolist(), label])) for row, label in zip(pixels, classes, strict=False))]
