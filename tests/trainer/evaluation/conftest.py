"""Tables with one thing wrong with each, and what `fit` makes of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from trainer.command_line import main

Columns = dict[str, list[Any]]


class Run(NamedTuple):
    """How a run of `fit` ended: its exit code, what it said, and the card, where one was published.

    `told` is what it said on stderr, as the card says it: without the files of this machine.
    """

    code: int
    out: str
    err: str
    card: dict[str, Any]
    told: str


@pytest.fixture
def fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Run]:
    """Write a table and train on it, quickly; the target is `y`."""

    def run(columns: Columns, *flags: str) -> Run:
        table = tmp_path / "table.csv"
        lines = [",".join(map(str, cells)) for cells in zip(*columns.values(), strict=True)]
        table.write_text("\n".join([",".join(columns), *lines]) + "\n")
        store = tmp_path / "store"
        quick = ("--epochs", "8", "--hidden", "8", "--members", "1")
        code = main(["fit", str(table), "--target", "y", "--name", "m", "--repository", str(store), *quick, *flags])
        versions = sorted(store.glob("m/*/card.json"), key=lambda path: int(path.parent.name))
        said = capsys.readouterr()
        told = said.err.replace(f" --repository {store}", "").replace(str(table), "TABLE")
        return Run(code, said.out, said.err, json.loads(versions[-1].read_bytes()) if versions else {}, told)

    return run


def linear(rows: int = 600, seed: int = 0) -> Columns:
    """Two numbers, of which the first tells the class as well as one can, but for some noise."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(2, rows)).round(4)
    return {"x": x.tolist(), "z": z.tolist(), "y": np.where(x + 0.7 * rng.normal(size=rows) > 0, "yes", "no").tolist()}


def crossed(rows: int = 600) -> Columns:
    """Two numbers whose signs together tell the class: no straight line does."""
    rng = np.random.default_rng(1)
    x, z = rng.normal(size=(2, rows)).round(4)
    return {"x": x.tolist(), "z": z.tolist(), "y": np.where(x * z > 0, "yes", "no").tolist()}
