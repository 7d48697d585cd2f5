"""The models that the serving benchmarks ask, and what they are asked: of three tables what `fit` publishes by default,
and beside each a smaller student.
"""

import csv
import gzip
import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import sklearn.datasets

from benchmarks.load import Request
from models.card import ModelCard
from models.repository import ModelRepository

ROOT = Path(__file__).parents[1]
LENGTH = "Inference-Header-Content-Length"
# What the service is given, and every request carries.
KEYS, KEY = "keys", secrets.token_urlsafe(32)
AUTHORIZATION = {"Authorization": f"Bearer {KEY}"}
# The flags behind each ending of a model's name.
STUDENTS: dict[str, tuple[str, ...]] = {"": (), "-small": ("--student", "128,128")}
TARGETS = {"digits": "digit", "penguins": "species", "adult": "income"}


def train_models(store: Path, data: Path) -> None:
    """Publish the models: what they are made of is the default, how long they have learned is not, which costs nothing
    when they are asked. Those that are there already stay.
    """
    store.mkdir(parents=True, exist_ok=True)
    _write_digits(store / "digits.csv")
    for table, target in TARGETS.items():
        for ending, flags in STUDENTS.items():
            if (store / (table + ending)).exists():
                continue
            name = ["--target", target, "--name", table + ending, "--repository", str(store)]
            fit = [sys.executable, "-m", "trainer", "fit", str(_path(table, store, data)), *name, "--epochs", "5"]
            subprocess.run([*fit, *flags], cwd=ROOT, check=True, capture_output=True)
    (store / KEYS).write_text(f"predict,metrics {KEY}\n")


def one_row(store: Path, data: Path, model: str) -> dict[str, Request]:
    """One row of a model's table in every format; "peer" and "peer V2" are what the peers understand."""
    card = ModelRepository(store).card(model, 1)
    record = next(_records(_path(model.removesuffix("-small"), store, data), card))
    position = [record[feature.name] for feature in card.features]
    numbers, texts = ([record[feature.name] for feature in kind] for kind in (card.numeric, card.categorical))
    tensors = [_tensor("numeric", "FP32", [numbers])] * bool(numbers)
    tensors += [_tensor("categorical", "BYTES", [texts])] * bool(texts)
    predict, infer = f"/v1/models/{model}:predict", f"/v2/models/{model}/infer"
    asked = {
        "by position": _json(predict, {"instance": position}),
        "by name": _json(predict, {"instance": record}),
        "V2 JSON": _json(infer, {"inputs": tensors}),
        "peer": _json("/predict", {"instance": [*numbers, *texts]}),
        "peer V2": _json("/v2/models/peer/infer", {"inputs": tensors}),
    }
    if not texts:
        asked["V2 binary"] = _binary(infer, [numbers])
        asked["V2 raw"] = Request(infer, np.array([numbers], "<f4").tobytes(), {LENGTH: "0", **AUTHORIZATION})
    return asked


def thousand_rows(model: str) -> dict[str, Request]:
    """A thousand rows of a model of the digits."""
    rows = digits(1000).astype(int).tolist()
    return {
        "1000 rows, JSON": _json(f"/v1/models/{model}:predict", {"instances": rows}),
        "1000 rows, V2 binary": _binary(f"/v2/models/{model}/infer", rows),
    }


def requests(store: Path, data: Path) -> dict[str, Request]:
    """Of the digits one row in every format and a thousand, and a row of mixed features."""
    mixed = one_row(store, data, "adult")["by name"]
    return one_row(store, data, "digits") | {"mixed, by name": mixed} | thousand_rows("digits")


def digits(count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """So many rows of 64 pixels."""
    return np.array(sklearn.datasets.load_digits().data[:count], np.float32)


def _path(table: str, store: Path, data: Path) -> Path:
    paths = {"digits": store / "digits.csv", "penguins": ROOT / "examples/penguins.csv"}
    return paths.get(table, data / table / f"{table}.csv.gz")


def _write_digits(path: Path) -> None:
    table = sklearn.datasets.load_digits()
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(f"pixel_{index // 8}_{index % 8}" for index in range(64)), "digit"])
        writer.writerows([*map(int, row), f"{label}"] for row, label in zip(table.data, table.target, strict=True))


def _records(path: Path, card: ModelCard) -> Iterator[Any]:
    """Rows of a table without gaps, from the hundredth on: the first digits have whole rows of zeros."""
    opened: Any = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", newline="") as file:
        for cells in islice(csv.DictReader(file), 100, None):
            if all(cells[feature.name] not in {"", "NA"} for feature in card.features):
                yield {
                    feature.name: _number(cells[feature.name]) if feature.kind == "numeric" else cells[feature.name]
                    for feature in card.features
                }


def _number(cell: str) -> float | int:
    return int(number) if (number := float(cell)).is_integer() else number


def _tensor(name: str, datatype: str, rows: list[list[Any]]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [len(rows), len(rows[0])], "data": [*chain(*rows)]}


def _json(path: str, document: object) -> Request:
    return Request(path, json.dumps(document).encode(), {"Content-Type": "application/json", **AUTHORIZATION})


def _binary(path: str, rows: list[list[Any]]) -> Request:
    raw = np.array(rows, "<f4").tobytes()
    size = {"binary_data_size": len(raw)}
    tensor = {"name": "numeric", "datatype": "FP32", "shape": [len(rows), len(rows[0])], "parameters": size}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    return Request(path, head + raw, {LENGTH: str(len(head)), **AUTHORIZATION})
