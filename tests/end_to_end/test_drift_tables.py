"""Drift of models of real tables: rows of one island, of one age, of one soil, inverted pictures; and fresh rows."""

import csv
import gzip
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.repository import ModelRepository
from models.shift import Verdict
from service.prediction.predictor import Predictor
from service.telemetry.board import Board, Metrics
from service.telemetry.drift import MOST_ROWS
from tests.end_to_end.test_real_tables import DATA
from trainer.data.table import read_table
from trainer.job.job import run
from trainer.settings.config import TrainingConfig

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no tables in {DATA}; EVENKEEL_DATA names their folder")

Row = Sequence[str]
Told = tuple[Verdict, list[str]]


class Watched:
    """A model that was trained on some rows of a table, and what is said of other rows."""

    def __init__(self, folder: Path, header: Row, rows: Sequence[Row], target: str) -> None:
        self._folder, self._header, self._target = folder, header, target
        config = TrainingConfig.of(
            table=self._written("train", rows), target=target, name="watched", epochs=2, members=1, batch_size=256
        )
        repository = ModelRepository(folder / "store")
        self._predictor = Predictor(repository.read("watched", run(config, repository).version))

    def told(self, rows: Sequence[Row]) -> Told:
        """The verdict over rows, and the features that have moved, the furthest first."""
        records = read_table(self._written("live", rows), self._target).examples.rows.records()
        tensors = self._predictor.rows.read(records).tensors
        watch = self._predictor.watch
        assert watch is not None
        drift = Metrics(Board.create(slots=1)).drift
        answers = self._predictor.predict(tensors)
        for start in range(0, len(answers), MOST_ROWS):
            some = slice(start, start + MOST_ROWS)
            drift.count(watch, {name: tensor[some] for name, tensor in tensors.items()}, answers[some])
        verdict = drift.spreads([watch])[0].windows[0].verdict
        moved = [
            (shift.psi, one.feature)
            for one, shift in zip(watch.baseline.features, verdict.shifts, strict=False)
            if shift.status in ("moving", "shifted")
        ]
        return verdict, [name for _, name in sorted(moved, reverse=True)]

    def _written(self, name: str, rows: Sequence[Row]) -> Path:
        path = self._folder / f"{name}.csv"
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([self._header, *rows])
        return path


def table(name: str, most: int) -> tuple[Row, list[Row]]:
    """The header and so many rows of a table, in an order of chance."""
    (path,) = (DATA / name).glob(f"{name}.csv*")
    opened: Callable[..., Any] = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", newline="") as file:
        header, *rows = csv.reader(file)
    return header, [rows[at] for at in np.random.default_rng(0).permutation(len(rows))[:most]]


def pictures() -> tuple[Row, list[Row]]:
    """Digits of MNIST, a column for each pixel."""
    with gzip.open(DATA / "mnist/t10k-images-idx3-ubyte.gz") as images:
        pixels = np.frombuffer(images.read(), np.uint8, offset=16).reshape(-1, 784)
    with gzip.open(DATA / "mnist/t10k-labels-idx1-ubyte.gz") as labels:
        digits = np.frombuffer(labels.read(), np.uint8, offset=8)
    rows = np.column_stack([pixels, digits])[np.random.default_rng(0).permutation(len(digits))[:4000]]
    return [*(f"p{at}" for at in range(784)), "digit"], rows.astype(str).tolist()


def test_penguins_of_one_island(tmp_path: Path) -> None:
    """Their island is what has moved furthest, and that others weigh more there; fresh rows raise no alarm."""
    header, rows = table("penguins", 344)
    watched = Watched(tmp_path, header, rows[:240], "species")
    fresh, nothing = watched.told(rows[240:])
    place = header.index("island")
    verdict, moved = watched.told([row for row in rows if row[place] == "Biscoe"])

    assert (fresh.status, nothing) == ("too_few_rows", [])
    assert verdict.status == "shifted"
    assert moved[0] == "island"
    assert {"island", "body_mass_g", "flipper_length_mm"} <= set(moved)
    assert not {"sex", "year"} & set(moved)


@pytest.mark.thorough
def test_adults_of_one_age(tmp_path: Path) -> None:
    """Those below 25: age first, and what comes with it; fresh rows raise no alarm in ten windows."""
    header, rows = table("adult", 30_000)
    watched = Watched(tmp_path, header, rows[:15_000], "income")
    place = header.index("age")
    verdict, moved = watched.told([row for row in rows[15_000:] if float(row[place]) < 25])

    assert verdict.status == "shifted"
    assert moved[0] == "age"
    assert "marital-status" in moved
    assert not {"race", "native-country", "fnlwgt"} & set(moved)
    for start in range(15_000, 25_000, 1000):
        assert watched.told(rows[start : start + 1000])[0].status == "steady"


@pytest.mark.thorough
def test_forests_on_one_soil(tmp_path: Path) -> None:
    """That soil is what has moved furthest; fresh rows raise no alarm in ten windows."""
    header, rows = table("covertype_ramp", 30_000)
    watched = Watched(tmp_path, header, rows[:15_000], header[-1])
    soil = "Soil_Type29"
    place = header.index(soil)
    verdict, moved = watched.told([row for row in rows[15_000:] if float(row[place]) == 1])

    assert verdict.status == "shifted"
    assert moved[0] == soil
    for start in range(15_000, 25_000, 1000):
        assert watched.told(rows[start : start + 1000])[0].status == "steady"


@pytest.mark.thorough
def test_inverted_pictures(tmp_path: Path) -> None:
    """Every pixel that is watched has shifted; fresh digits raise no alarm."""
    header, rows = pictures()
    watched = Watched(tmp_path, header, rows[:2000], "digit")
    inverted = [[*(str(255 - int(pixel)) for pixel in row[:-1]), row[-1]] for row in rows[2000:2500]]
    verdict, moved = watched.told(inverted)

    assert verdict.status == "shifted"
    assert len(moved) == len(verdict.shifts) - 1 == 128
    for start in range(2000, 4000, 500):
        assert watched.told(rows[start : start + 500])[0].status == "steady"
