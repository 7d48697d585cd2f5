import json
import re
import string
from pathlib import Path

import numpy as np
import pytest

from models.card import ModelCard
from models.evaluation import Baseline
from models.figures import Confidence, Figures, figures_of
from models.repository import ModelRepository
from tests.trainer.report.pages import check
from tests.trainer.tables import fit
from trainer.report.chance import chance_error
from trainer.report.report import report
from trainer.report.story import story

HEADINGS = (
    "Warnings",
    "Baselines",
    "Learning curves",
    "Confusion matrix and classes",
    "ROC and precision–recall curves",
    "Calibration",
    "Feature importance",
    "Partial dependence",
    "Features",
    "Batch norm",
    "Reproduction",
)
MOST_BYTES = 600_000


def files(store: Path, name: str = "m") -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (store / name / "1").iterdir()}


def without_time(page: bytes) -> bytes:
    return re.sub(rb"\d{4}-\d\d-\d\d \d\d:\d\d UTC", b"", page)


@pytest.mark.parametrize("name", ["penguins", "two"])
def test_a_report_is_a_sound_page_with_every_section(store: Path, name: str) -> None:
    """Well formed, headings in order, every picture with words for it, nothing asked of any network."""
    page = files(store, name)["report.html"].decode()

    check(page)
    for heading in HEADINGS:
        assert f">{heading}</h2>" in page
    for said in ("Reliability", "Confusion matrix", "Permutation importance", "gamma of", "Percentiles of"):
        assert f'aria-label="{said}' in page


def test_the_story_comes_first_and_says_what_the_card_says(store: Path) -> None:
    """Learned from what, how good beside both baselines, how sure: numbers of the card, before the first picture."""
    page = files(store, "penguins")["report.html"].decode()
    card = ModelRepository(store).card("penguins", 1)
    said = page[: page.index("<svg")]
    evaluation = card.evaluation
    assert evaluation is not None

    assert "<b>penguins</b> predicts <b>species</b> (“Adelie”, “Chinstrap” or “Gentoo”)" in said
    assert f"accuracy on the test rows is <b>{evaluation.accuracy:.1%}</b>" in said
    for baseline in evaluation.baselines:
        assert f"has {baseline.accuracy:.1%}" in said
        ends = [f"{abs(end):.3f}" for end in baseline.gain_interval]
        assert f"{ends[0]} to {ends[1]}" in said or f"{ends[0]} worse to {ends[1]} better" in said
    for warning in card.warnings:
        assert warning[1:20] in page


def test_every_version_carries_its_report_and_vouches_for_it(store: Path) -> None:
    """Both files are listed in the card with their digests, which a reader checks."""
    repository = ModelRepository(store)

    assert {"model.onnx", "figures.json", "report.html", "card.json"} == set(repository.card("two", 1).files)
    assert repository.read("two", 1)
    assert repository.file("two", 1, "report.html") == files(store, "two")["report.html"]


def test_drawn_anew_it_is_the_same_page(store: Path) -> None:
    """From the card and the figures as they lie on the disk, to the byte."""
    repository = ModelRepository(store)
    for name in ("penguins", "two"):
        again = report(repository.card(name, 1), figures_of(repository, name, 1))
        assert again.encode() == files(store, name)["report.html"]


def test_the_same_training_gives_the_same_report_but_for_the_time(tmp_path: Path) -> None:
    """And with a report or without one the same model, to the byte."""
    table = tmp_path / "t.csv"
    table.write_text(
        "x,k,y\n" + "".join(f"{row % 13},{'ab'[row % 2]},{['no', 'yes'][row % 13 > 5]}\n" for row in range(90))
    )
    for folder, flags in (("a", ()), ("b", ()), ("c", ("--no-report",))):
        assert fit(table, tmp_path / folder, *flags) == 0
    a, b, c = (files(tmp_path / folder) for folder in "abc")

    assert a["figures.json"] == b["figures.json"]
    assert without_time(a["report.html"]) == without_time(b["report.html"])
    assert set(c) == {"model.onnx", "card.json"}
    assert a["model.onnx"] == c["model.onnx"]


def test_no_cell_of_the_training_table_is_in_it(tmp_path: Path) -> None:
    """Neither a number nor a name that fewer than five rows share."""
    rng = np.random.default_rng(0)
    names = ["".join(rng.choice(list(string.ascii_lowercase), 9)) for _ in range(120)]
    names[100:] = ["everybody"] * 20
    numbers = [f"{number:.5f}" for number in 1000 * rng.random(120)]
    dates = [f"20{day // 12:02d}-{day % 12 + 1:02d}-{day % 28 + 1:02d}" for day in range(120)]
    lines = zip(names, numbers, dates, (["no", "yes"] * 60), strict=True)
    (tmp_path / "t.csv").write_text("who,how_much,born,y\n" + "".join(",".join(line) + "\n" for line in lines))
    assert fit(tmp_path / "t.csv", tmp_path / "store") == 0
    found = files(tmp_path / "store")

    for file in ("report.html", "figures.json"):
        text = found[file].decode()
        assert "everybody" in text
        assert not [name for name in names[:100] if name in text]
        assert not [number for number in numbers if number.rstrip("0") in text]


@pytest.mark.thorough
def test_very_many_columns_and_classes_stay_small(tmp_path: Path) -> None:
    """750 features and 300 classes with long names: each file is bounded, and the page is sound."""
    columns, classes = 750, 300
    rng = np.random.default_rng(1)
    labels = np.arange(900) % classes
    cells = np.round(rng.normal(size=(900, columns)) + labels[:, np.newaxis] % 7, 2)
    named = [f"a rather long name of the class with the number {label:04d}" for label in range(classes)]
    header = ",".join([*(f"measurement_{column:03d}_of_the_sensor" for column in range(columns)), "y"])
    lines = [",".join([*map(str, row), named[label]]) for row, label in zip(cells, labels, strict=True)]
    (tmp_path / "t.csv").write_text("\n".join([header, *lines]))
    assert fit(tmp_path / "t.csv", tmp_path / "store") == 0
    found = files(tmp_path / "store")
    page = found["report.html"].decode()

    check(page)
    assert len(found["report.html"]) < MOST_BYTES
    assert len(found["figures.json"]) < MOST_BYTES / 2
    assert "Of 750 features" in page
    assert len(json.loads(found["figures.json"])["distributions"]) == 100


def test_names_cannot_become_markup(tmp_path: Path) -> None:
    """Whatever stands in a column's name, a category or a class is text in the page."""
    evil = "<script>alert(1)</script>&amp;\"'"
    quoted = '"' + evil.replace('"', '""') + '"'
    rows = "".join(f"{row % 9},{quoted if row % 3 else 'b'},{quoted if row % 9 > 4 else 'no'}\n" for row in range(90))
    (tmp_path / "t.csv").write_text(f"x,{quoted},y\n{rows}")
    assert fit(tmp_path / "t.csv", tmp_path / "store") == 0
    page = files(tmp_path / "store")["report.html"].decode()

    check(page)
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize(
    "flags",
    [
        ("--batch-norm", "none"),
        ("--batch-norm", "after"),
        ("--hidden", ""),
        ("--epochs", "1"),
        ("--scaling", "quantile", "--members", "1"),
    ],
    ids=" ".join,
)
def test_every_kind_of_network_has_a_report(tmp_path: Path, flags: tuple[str, ...]) -> None:
    """Without batch norm, without hidden layers, after one epoch."""
    rows = "".join(
        f"{row % 9},{'ab'[row % 2]},,2020-01-{row % 28 + 1:02d},{['no', 'yes'][row % 9 > 4]}\n" for row in range(90)
    )
    (tmp_path / "t.csv").write_text(f"x,k,empty,day,y\n{rows}")
    assert fit(tmp_path / "t.csv", tmp_path / "store", *flags) == 0

    page = files(tmp_path / "store")["report.html"].decode()
    check(page)
    assert (">Batch norm</h2>" in page) == ("none" not in flags and "" not in flags)


def test_a_version_without_figures_is_drawn_from_its_card(two: tuple[ModelCard, Figures]) -> None:
    """As old versions are: what the card tells, and what to do for the rest."""
    page = report(two[0], None)

    check(page)
    assert "--no-report" in page
    assert ">Confusion matrix and classes</h2>" in page
    assert ">Learning curves</h2>" not in page


def test_what_chance_explains_is_not_called_a_fault(store: Path) -> None:
    """A calibration error is poor only where it is beyond what calibrated probabilities show on so few rows."""
    repository = ModelRepository(store)
    card, figures = repository.card("two", 1), figures_of(repository, "two", 1)
    assert figures is not None
    assert card.calibration is not None

    def told(error: float, rows: int) -> str:
        after = card.calibration.after.model_copy(update={"ece": error})  # type: ignore[union-attr]
        calibration = card.calibration.model_copy(update={"after": after})  # type: ignore[union-attr]
        test = card.metrics["test"].model_copy(update={"rows": rows})
        return story(
            card.model_copy(update={"calibration": calibration, "metrics": card.metrics | {"test": test}}), figures
        )

    assert "do not show a miscalibration" in told(0.06, 12)
    assert "<b>poorly calibrated</b>: the expected calibration error is 0.060" in told(0.06, 100_000)
    assert "well calibrated: the expected calibration error is 0.010" in told(0.01, 12)


@pytest.mark.parametrize("rows", [12, 300, 5_000])
def test_the_error_of_chance_is_that_of_calibrated_probabilities(rows: int) -> None:
    """Held against 20 000 draws: one in twenty is beyond it; of 12 rows, whose error has few values, one in ten."""
    rng = np.random.default_rng(0)
    confidences, shares = np.array([0.55, 0.7, 0.9, 0.99]), np.array([0.1, 0.2, 0.3, 0.4])
    bins = [
        Confidence(confidence=one, accuracy=one, interval=(0.0, 1.0), share=share)
        for one, share in zip(confidences, shares, strict=True)
    ]
    counts = np.maximum(1, np.round(shares * rows)).astype(int)
    right = rng.binomial(counts, confidences, (20_000, 4))
    errors = np.abs(right - counts * confidences).sum(axis=1) / rows

    assert 0.02 < np.mean(errors > chance_error(bins, rows)) < (0.08 if rows > 12 else 0.11)


@pytest.mark.parametrize(
    ("gain", "interval", "said"),
    [
        (-0.13, (-0.648, 0.388), "</b>: 0.130 nats worse (95 % interval 0.648 worse to 0.388 better)"),
        (-0.5, (-0.7, -0.3), "<b>worse than always Adelie</b> by 0.500 nats (95 % interval 0.300 to 0.700)"),
        (0.5, (0.3, 0.7), "<b>better than always Adelie</b> by 0.500 nats (95 % interval 0.300 to 0.700)"),
    ],
)
def test_a_gain_says_its_direction(store: Path, gain: float, interval: tuple[float, float], said: str) -> None:
    card = ModelRepository(store).card("penguins", 1)
    assert card.evaluation is not None
    baseline = Baseline(
        kind="commonest class", answer="Adelie", log_loss=1, accuracy=0.4, gain=gain, gain_interval=interval
    )
    evaluation = card.evaluation.model_copy(update={"baselines": (baseline,)})

    assert said in story(card.model_copy(update={"evaluation": evaluation}), None)
