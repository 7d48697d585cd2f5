"""Drift counting over the published model, which gets a baseline here."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from models.card import ModelCard
from models.drift import CategoricalBins, DriftBaseline, NumericBins, psi
from models.features import usual_range
from models.repository import ModelRepository
from models.shift import Verdict
from service.app import create_app
from service.prediction.prediction import Bounds
from service.registry.registry import Registry
from service.rows.reader import RowReader
from service.telemetry.bins import RowBins
from service.telemetry.board import Board, Metrics
from service.telemetry.drift import ENOUGH_ROWS, MOST_ROWS, Drift, Watch
from service.telemetry.exposition import metrics_text
from service.telemetry.windows import PANES, REGIONS
from tests.service.conftest import PUBLISHED
from tests.service.test_metrics import in_a_fork, samples, value

BASELINE = DriftBaseline(
    rows=1000,
    features=(
        NumericBins(feature="body_mass_g", edges=(3500, 4000, 5000), shares=(0.25, 0.25, 0.25, 0.2, 0.05)),
        CategoricalBins(feature="sex", categories=("male", "female"), shares=(0.5, 0.45, 0.0, 0.05)),
        NumericBins(feature="year", edges=(2007,), shares=(0.5, 0.5, 0.0)),
    ),
    predictions=CategoricalBins(feature="prediction", categories=("Gentoo", "Adelie"), shares=(0.6, 0.3, 0.1, 0.0)),
)
CLASSES = ("Adelie", "Chinstrap", "Gentoo")
# With five bins at most.
ENOUGH = 144


def card() -> ModelCard:
    published = ModelRepository(PUBLISHED).card("penguins", 1)
    return ModelCard.model_validate(published.model_dump() | {"drift": BASELINE})


def rows(count: int) -> tuple[dict[str, Any], Any]:
    """Tensors of so many rows with every kind of cell, and probabilities."""
    rng = np.random.default_rng(count)
    numeric = rng.normal(0, 1, (count, len(card().numeric))).astype(np.float32)
    names = [feature.name for feature in card().numeric]
    numeric[:, names.index("body_mass_g")] = rng.choice([3000, 3500, 3501, 5000, 6000, np.nan], count)
    numeric[:, names.index("year")] = rng.choice([2007, 2009], count)
    texts = rng.choice(["male", "female", "", "unheard of"], (count, len(card().categorical))).astype(object)
    return {"numeric": numeric, "categorical": texts}, rng.random((count, 3)).astype(np.float32)


def counted(tensors: dict[str, Any], probabilities: Any) -> list[list[int]]:
    """The bins of BASELINE, a row and a rule at a time."""
    numeric = {feature.name: column for feature, column in zip(card().numeric, tensors["numeric"].T, strict=True)}
    texts = {feature.name: column for feature, column in zip(card().categorical, tensors["categorical"].T, strict=True)}
    mass, year, sex = numeric["body_mass_g"], numeric["year"], texts["sex"]
    labels = [CLASSES[best] for best in probabilities.argmax(axis=1)]
    light, middling = sum(mass <= 3500), sum((mass > 3500) & (mass <= 4000))
    return [
        [light, middling, sum((mass > 4000) & (mass <= 5000)), sum(mass > 5000), sum(np.isnan(mass))],
        [sum(sex == "male"), sum(sex == "female"), sum(sex == "unheard of"), sum(sex == "")],
        [sum(year <= 2007), sum(year > 2007), 0],
        [labels.count("Gentoo"), labels.count("Adelie"), labels.count("Chinstrap"), 0],
    ]


@pytest.fixture
def drift() -> Drift:
    return Metrics(Board.create(slots=1)).drift


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Say what time it is."""

    def to(seconds: float) -> None:
        monkeypatch.setattr("service.telemetry.windows.time.time", lambda: seconds)

    to(1e9)
    return to


@pytest.mark.parametrize("count", [1, 63, 64, 65, 200])
def test_each_row_falls_in_the_bin_of_its_value(count: int) -> None:
    """As rules that are applied one row at a time say; an edge itself is in the bin below it. However many rows there
    are: they are counted as words of 64 bits.
    """
    tensors, probabilities = rows(count)
    bins = RowBins(card(), BASELINE)
    counts = bins.count(tensors["numeric"], bins.of_texts(tensors), probabilities)

    assert [counts[part].tolist() for part in bins.parts] == counted(tensors, probabilities)


def test_a_missing_value_alone_falls_in_the_bin_of_missing_ones() -> None:
    tensors, probabilities = rows(1)
    tensors["numeric"][:] = np.nan
    bins = RowBins(card(), BASELINE)
    counts = bins.count(tensors["numeric"], bins.of_texts(tensors), probabilities)

    assert counts[bins.parts[0]].tolist() == [0, 0, 0, 0, 1]


def test_what_training_has_not_seen_is_counted() -> None:
    """Numbers far outside of its range, as the warnings have it, and categories that are none of the card's."""
    tensors, probabilities = rows(200)
    masses = tensors["numeric"][:, [feature.name for feature in card().numeric].index("body_mass_g")]
    masses[:7], masses[7:9] = 1e6, -1e6
    bins = RowBins(card(), BASELINE)
    counts = bins.count(tensors["numeric"], bins.of_texts(tensors), probabilities)
    sexes = tensors["categorical"][:, [feature.name for feature in card().categorical].index("sex")]

    assert counts[bins.odd].tolist() == [9, sum(sexes == "unheard of"), 0]


def test_the_ends_of_the_usual_range_belong_to_it() -> None:
    """And the next number beyond either of them does not, as the warnings of an answer have it."""
    (feature,) = [one for one in card().numeric if one.name == "body_mass_g"]
    low, high = np.array(usual_range(feature), np.float32)
    cells = [low, high, np.nextafter(low, np.float32(-np.inf)), np.nextafter(high, np.float32(np.inf)), np.nan]
    tensors, probabilities = rows(len(cells))
    tensors["numeric"][:, card().numeric.index(feature)] = cells
    warned = RowReader([feature]).read([[None if np.isnan(cell) else float(cell)] for cell in cells]).warnings
    bins = RowBins(card(), BASELINE)
    counts = bins.count(tensors["numeric"], bins.of_texts(tensors), probabilities)

    assert counts[bins.odd][0] == 2
    assert [row for row, told in warned.items() if told[0]["code"] == "far_outside_range"] == [2, 3]


def last_hour(drift: Drift, watch: Watch) -> Verdict:
    return drift.spreads([watch])[0].windows[0].verdict


def test_what_is_told_is_the_psi_of_all_rows(drift: Drift) -> None:
    """Of rows that came alone, in handfuls and in batches; of more than 256 in one request, of an even choice."""
    watch = Watch(card(), 1)
    sizes = (1, 2, 5, 32, 1, ENOUGH_ROWS // 32, MOST_ROWS)
    everything = [rows(count) for count in sizes for _ in range(20)]
    for tensors, probabilities in everything:
        drift.count(watch, tensors, probabilities)
    long, answers = rows(4 * MOST_ROWS - 1)
    drift.count(watch, long, answers)
    even = np.linspace(0, len(answers), MOST_ROWS, endpoint=False).astype(int)
    everything.append(({name: tensor[even] for name, tensor in long.items()}, answers[even]))
    (spread,) = drift.spreads([watch])
    expected = np.array([np.concatenate(counted(*one)) for one in everything]).sum(axis=0)
    parts = [part.tolist() for part in np.split(expected, [5, 9, 12])]

    assert spread.rows == sum(len(probabilities) for _, probabilities in everything)
    assert drift.answered(watch) == (sum(sizes) * 20 + len(answers), len(everything))
    for window in spread.windows:
        assert window.counts == parts
        assert window.verdict.rows == spread.rows
        for one, part, shift in zip(
            (*BASELINE.features, BASELINE.predictions), parts, window.verdict.shifts, strict=True
        ):
            assert shift.psi == pytest.approx(psi(one.shares, 1000, part))


def test_few_rows_are_too_few_unless_chance_cannot_be_it(drift: Drift) -> None:
    """Twenty rows as training's are no proof of anything; forty of one kind are."""
    few, same = Watch(card(), 1), Watch(card(), 2)
    tensors, _ = rows(20)
    names = [feature.name for feature in card().numeric]
    tensors["numeric"][:, names.index("body_mass_g")] = [3000, 3600, 4100, 5500] * 5
    tensors["numeric"][:, names.index("year")] = [2007, 2008] * 10
    tensors["categorical"][:] = np.array(["male", "female"] * 10)[:, None]
    drift.count(few, tensors, np.eye(3, dtype=np.float32)[[2] * 12 + [0] * 6 + [1] * 2])
    for _ in range(40):
        drift.count(same, *rows(1))
    spreads = drift.spreads([few, same])

    assert spreads[0].windows[0].verdict.rows_needed == ENOUGH
    assert [spread.status for spread in spreads] == ["too_few_rows", "shifted"]


@pytest.mark.parametrize(("window", "seconds"), [(0, 3600), (1, 86400)])
def test_rows_are_forgotten_after_the_window(
    drift: Drift, clock: Callable[[float], None], window: int, seconds: float
) -> None:
    """Never before the window has passed, and an eighth of it later at the latest; the count of all never falls."""
    watch = Watch(card(), 1)
    start = 1e9 // seconds * seconds + 0.99 * seconds / PANES

    def told() -> int:
        return drift.spreads([watch])[0].windows[window].verdict.rows

    clock(start)
    drift.count(watch, *rows(32))
    assert told() == 32
    clock(start + seconds)
    drift.count(watch, *rows(1))
    assert told() == 33
    clock(start + 1.13 * seconds)
    assert told() == 1
    clock(start + 2.13 * seconds)
    assert told() == 0
    assert drift.spreads([watch])[0].rows == 33


def test_a_version_has_counts_of_its_own_in_bounded_memory(drift: Drift, clock: Callable[[float], None]) -> None:
    """The version that was counted least recently makes room for one too many."""
    watches = [Watch(card(), version) for version in range(1, REGIONS + 2)]
    for hour, watch in enumerate(watches):
        clock(1e9 + 3600 * hour)
        drift.count(watch, *rows(2))
        drift.fold()

    assert [spread.rows for spread in drift.spreads(watches)] == [0, *[2] * REGIONS]


def test_workers_are_added_up_also_those_that_died() -> None:
    """Whoever is asked tells the sums of all, over each window."""
    board = Board.create(slots=3)
    mine = Metrics(board).drift

    def count(seat: int, requests: int) -> None:
        drift = Metrics(board.seat(seat)).drift
        for _ in range(requests):
            drift.count(Watch(card(), 1), *rows(3))
        drift.fold()

    for seat, requests in ((0, 4), (0, 5), (1, 1)):
        in_a_fork(partial(count, seat, requests))
    mine.count(Watch(card(), 1), *rows(3))

    (spread,) = mine.spreads([Watch(card(), 1)])
    assert [spread.rows, *(window.verdict.rows for window in spread.windows)] == [3 * 11] * 3


def test_metrics_tell_it_by_model_version_and_feature(
    repository: ModelRepository, publish: Callable[..., int], record: dict[str, Any]
) -> None:
    """Names are escaped; a version without a baseline has none of it."""
    publish(drift=None)
    publish(drift=BASELINE)
    registry = Registry(repository)
    registry.refresh()
    client = create_app(registry, Bounds(1 << 20)).test_client()
    for _ in range(10):
        client.post("/predict", json={"instances": [record] * 20})
        client.post("/v1/models/penguins/versions/2:predict", json={"instance": record})
    read = samples(client.get("/metrics").text)
    labels = {"model": "penguins", "version": "3"}

    assert value(read, "drift_rows_total", **labels) == 200
    assert value(read, "drift_status", **labels) == 2
    expected = psi(BASELINE.features[1].shares, 1000, [0, 200, 0, 0])
    assert value(read, "drift_psi", **labels, feature="sex") == pytest.approx(expected, rel=1e-5)
    expected = psi(BASELINE.predictions.shares, 1000, [200, 0, 0, 0])
    assert value(read, "prediction_drift_psi", **labels) == pytest.approx(expected, rel=1e-5)
    assert {dict(of)["version"] for name, of in read if "drift" in name} == {"1", "3"}


def test_a_feature_may_be_called_anything() -> None:
    """Its name cannot break a line of the metrics, nor forge one."""
    metrics = Metrics(Board.create(slots=1))
    name = 'a "b"\\\nevenkeel_rows_total 7'
    renamed = [feature.model_dump() | {"name": name} for feature in card().features[-1:]]
    bins = NumericBins(feature=name, edges=(2007,), shares=(0.5, 0.5, 0.0))
    changed = {
        "features": [*card().model_dump()["features"][:-1], *renamed],
        "drift": BASELINE.model_copy(update={"features": (bins,)}),
    }
    watch = Watch(ModelCard.model_validate(card().model_dump() | changed), 1)
    for _ in range(ENOUGH):
        metrics.drift.count(watch, *rows(1))
    read = samples(metrics_text(metrics, [], [watch]))

    assert value(read, "drift_psi", model="penguins", version="1", feature=name) > 0


def test_no_error_ends_the_counting(
    drift: Drift, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What one version's rows meet costs no other version its counts, and no error costs the thread that folds them."""
    bad, good = Watch(card(), 1), Watch(card(), 2)
    monkeypatch.setattr(bad.bins, "count", lambda *_: 1 / 0)
    monkeypatch.setattr("service.telemetry.drift.FOLD_SECONDS", 0.01)
    fold, errors = drift.fold, iter([MemoryError()])

    def fails() -> None:
        for error in errors:
            raise error
        fold()

    monkeypatch.setattr(drift, "fold", fails)
    drift.count(bad, *rows(3))
    drift.count(good, *rows(5))
    drift.follow()
    deadline = time.monotonic() + 20
    while drift._noted:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.05)

    monkeypatch.setattr(drift, "fold", fold)
    assert [spread.rows for spread in drift.spreads([bad, good])] == [0, 5]
    told = [entry.getMessage() for entry in caplog.records]
    assert told == ["drift not counted", "rows not counted for drift"]
