"""The plain table that the tests bend, and what they do with it: train quickly, and compare what is left behind."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
from pyarrow import parquet

from trainer.command_line import main

ROWS = [(round(0.37 * row % 5, 2), "abc"[row % 3], "no" if row % 5 < 3 else "yes") for row in range(60)]
PLAIN = "x,k,y\n" + "".join(f"{x},{k},{y}\n" for x, k, y in ROWS)
# What is compiled takes longer to load than these runs take without it.
QUICK = ("--epochs", "2", "--hidden", "8", "--members", "1", "--compiled", "false")


def fit(table: Path, store: Path, *flags: str, name: str = "m") -> int:
    return main(["fit", str(table), "--target", "y", "--name", name, "--repository", str(store), *QUICK, *flags])


def contents(store: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}


def graph(store: Path, name: str) -> bytes:
    """The model file without what it says of the table's file, whose digest is another."""
    model = onnx.load(store / name / "1" / "model.onnx")
    kept = [entry for entry in model.metadata_props if entry.key not in ("provenance", "name")]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    return bytes(model.SerializeToString())


def train(tmp_path: Path, content: str | bytes, *flags: str) -> dict[str, Any]:
    """Train on a table that is odd but sound; the card."""
    table = tmp_path / "odd.csv"
    table.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert fit(table, tmp_path / "store", *flags) == 0
    card: dict[str, Any] = json.loads((tmp_path / "store/m/1/card.json").read_bytes())
    assert all(np.isfinite(row["probabilities"]).all() for row in card["golden"])
    return card


def table_of(columns: dict[str, pa.Array]) -> bytes:
    count = len(next(iter(columns.values())))
    sink = pa.BufferOutputStream()
    labels = pa.array([["no", "yes"][row % 5 > 2] for row in range(count)], pa.string())
    parquet.write_table(pa.table({**columns, "y": labels}), sink)
    contents: bytes = sink.getvalue().to_pybytes()
    return contents


def of(values: Callable[[int], object], kind: pa.DataType | None = None) -> pa.Array:
    return pa.array([values(row) for row in range(60)], kind)
