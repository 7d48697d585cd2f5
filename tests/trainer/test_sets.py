"""Prediction sets: how their threshold is chosen, on which rows, and what is promised of them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.card import ModelCard
from models.sets import PARTS, PredictionSets, fewest_rows
from tests.trainer.tables import PLAIN, contents, fit, graph
from tests.trainer.test_split import examples_of
from trainer.data.division import Division
from trainer.data.split import Split, split
from trainer.errors import InvalidTable
from trainer.evaluation.answers import Answers
from trainer.evaluation.sets import check_enough, choose, coverage_interval, scores_of
from trainer.export.sets import members_of

SPREAD = np.array([[0.5, 0.3, 0.2], [0.2, 0.5, 0.3], [0.4, 0.4, 0.2], [1.0, 0.0, 0.0]], np.float32)


def sets_at(threshold: float) -> PredictionSets:
    return PredictionSets(level=0.9, rows=9, threshold=threshold, coverage=0.9, interval=(0, 1))


def answers(probabilities: Any, labels: Any, weights: Any = None) -> Answers:
    return Answers(probabilities, probabilities, np.array(labels), weights)


def drawn(rows: int, classes: int, seed: int = 0, sharpness: float = 1.0) -> Answers:
    """Rows whose classes occur as often as the probabilities say."""
    rng = np.random.default_rng(seed)
    logits = sharpness * rng.standard_normal((rows, classes))
    probabilities = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)
    labels = (probabilities.cumsum(axis=1) < rng.random((rows, 1))).sum(axis=1).clip(max=classes - 1)
    return answers(probabilities, labels)


def test_a_class_is_in_the_set_by_what_likelier_ones_have_together() -> None:
    """0.5 above the second class, 0.8 above the third; of two alike neither stands above the other."""
    assert scores_of(SPREAD, np.array([0, 0, 1, 2])).tolist() == [0, int(np.float32(0.5) * PARTS) + 5033165, 0, PARTS]
    assert members_of(SPREAD, sets_at(0.0)).tolist() == [
        [True, False, False],
        [False, True, False],
        [True, True, False],
        [True, False, False],
    ]
    assert members_of(SPREAD, sets_at(0.5)).sum(axis=1).tolist() == [2, 2, 2, 1]
    assert members_of(SPREAD, sets_at(1.0)).all()


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.99])
@pytest.mark.parametrize("classes", [2, 3, 30])
def test_the_sets_of_fresh_rows_hold_what_was_asked_for(classes: int, level: float) -> None:
    """At least, and as the interval says; each set is the smallest that the threshold allows."""
    fresh = drawn(40_000, classes, seed=1, sharpness=2.0)
    sets = choose(level, drawn(2000, classes, sharpness=2.0), fresh)
    assert sets.test is not None

    low, high = sets.interval
    assert low - 0.005 < sets.test.coverage < high + 0.005
    assert sets.coverage > level - 0.01
    assert high - low < 0.05


def test_a_model_that_is_right_more_often_than_asked_has_sets_of_one_class() -> None:
    """And the card says how often they hold, which is more."""
    kept = drawn(1000, 3, sharpness=12.0)
    right = float((kept.probabilities.argmax(axis=1) == kept.labels).mean())
    sets = choose(0.8, kept, kept)

    assert right > 0.9
    assert sets.test is not None
    assert sets.test.mean_size == 1.0
    assert sets.coverage == pytest.approx(right, abs=0.002)
    assert sets.interval[0] < right < sets.interval[1]


def test_the_interval_is_that_of_the_beta_distribution() -> None:
    """Against SciPy's beta.ppf; of repeated scores, Clopper and Pearson's."""
    assert coverage_interval(9, 9, repeated=False) == (0.663733, 0.997191)
    assert coverage_interval(91, 100, repeated=False) == (0.836018, 0.950995)
    assert coverage_interval(95, 100, repeated=True) == (0.887165, 0.983568)
    assert coverage_interval(9, 9, repeated=True) == (0.663733, 1.0)


def test_weights_count_as_that_many_rows() -> None:
    """A row of weight 2 is two rows in the threshold; but many that weigh little tell less than as many alike."""
    kept, twice = drawn(500, 4), np.tile(np.arange(500), 2)
    alike = choose(0.9, answers(kept.probabilities, kept.labels, np.full(500, 2.0, np.float32)), kept)
    doubled = choose(0.9, answers(kept.probabilities[twice], kept.labels[twice]), kept)
    light = np.where(np.arange(500) < 50, 10.0, 0.1).astype(np.float32)
    uneven = choose(0.9, answers(kept.probabilities, kept.labels, light), kept)

    assert alike == choose(0.9, kept, kept)
    assert abs(alike.threshold - doubled.threshold) < 0.02
    assert uneven.interval[1] - uneven.interval[0] > 2 * (alike.interval[1] - alike.interval[0])


def test_a_row_within_rounding_of_the_threshold_is_in() -> None:
    """The graph may answer by 1e-5 otherwise than the network that the threshold was chosen with."""
    kept = drawn(300, 3)
    sets = choose(0.9, kept, kept)
    nudged = (kept.probabilities * np.float32(1 + 5e-6)).astype(np.float32)
    places = np.arange(300), kept.labels
    before, after = (members_of(one, sets)[places] for one in (kept.probabilities, nudged))

    assert np.array_equal(before, after)


@pytest.mark.parametrize(("level", "fewest"), [(0.5, 1), (0.8, 4), (0.9, 9), (0.95, 19), (0.99, 99), (0.999, 999)])
def test_so_many_rows_it_takes(level: float, fewest: int) -> None:
    """With one fewer the threshold would be above all scores, and every class in every set."""
    assert fewest_rows(level) == fewest


def test_rows_of_little_weight_are_fewer_than_they_look() -> None:
    """A threshold that one heavy row decides holds for nothing; the sentence says how many rows there are in truth."""
    check_enough(0.9, np.ones(9, np.float32), 9, share=0.1, of=90)
    with pytest.raises(InvalidTable, match="takes 9 rows for the sets alone, and 1 count, of 9 that differ in weight"):
        check_enough(0.9, np.array([100, *[1] * 8], np.float32), 9, share=0.1, of=90)


def parts_of(chosen: Split) -> list[list[int]]:
    fold = chosen.folds[0]
    return [part.tolist() for part in (fold.train, fold.validation, chosen.sets, chosen.test)]


@pytest.mark.parametrize("members", [1, 4])
@pytest.mark.parametrize("by", [None, "group", "time"])
def test_the_rows_of_the_sets_are_in_no_other_part(by: Any, members: int) -> None:
    """No network learns from them, none's epoch is chosen on them; each part has its share of the whole."""
    values = np.arange(1000) // (1 if by == "time" else 4)
    division = None if by is None else Division(by, "column", values)
    chosen = split(examples_of([700, 300]), 0.2, 0.2, np.random.default_rng(0), members, division, 0.15)

    for fold in chosen.folds:
        together = np.concatenate([fold.train, fold.validation, chosen.sets, chosen.test])
        assert sorted(together) == list(range(1000))
    assert not set(chosen.sets) & set(chosen.learning)
    assert [round(len(part), -1) for part in parts_of(chosen)] == [450, 200, 150, 200]
    if by == "group":
        assert not set(values[chosen.sets]) & set(values[np.concatenate([chosen.learning, chosen.test])])
    if by == "time":
        _, validation, sets, test = parts_of(chosen)
        assert max(validation) < min(sets) <= max(sets) < min(test)


def test_the_rows_of_the_sets_are_drawn_whatever_their_class() -> None:
    """A rare class has its share among them, however rare: so it is asked about. One row of each is learned from."""
    counts = [600, *([2] * 200)]
    chosen = split(examples_of(counts), 0.2, 0.2, np.random.default_rng(0), sets=0.2)
    labels = examples_of(counts).labels

    assert 190 < len(chosen.sets) <= 200
    assert 60 < (labels[chosen.sets] > 0).sum() < 95
    assert set(labels[chosen.folds[0].train]) == set(range(len(counts)))


def published(store: Path, version: int = 1) -> ModelCard:
    return ModelCard.model_validate_json((store / f"m/{version}/card.json").read_text())


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    path = tmp_path / "plain.csv"
    header, *lines = PLAIN.splitlines()
    path.write_text("\n".join([header, *(lines * 5)]) + "\n")
    return path


def test_a_job_publishes_sets(plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The card says level, rows, threshold and interval, the summary too; the command in the card has the flag."""
    assert fit(plain, tmp_path / "store", "--coverage", "0.9", "--coverage-rows", "0.2") == 0
    card = published(tmp_path / "store")

    assert card.sets is not None
    assert (card.sets.level, card.sets.rows) == (0.9, 60)
    assert card.sets.test is not None
    assert card.learning_rows + card.sets.rows + card.metrics["test"].rows == 300
    assert "60 for the sets" in capsys.readouterr().out
    assert card.provenance.settings["coverage"] == 0.9


def test_without_coverage_nothing_is_what_it_would_not_be(plain: Path, tmp_path: Path) -> None:
    """No key in the card, none in the file of the model, and no third output; with it the network is another's."""
    assert fit(plain, tmp_path / "store") == 0
    document = json.loads((tmp_path / "store/m/1/card.json").read_text())
    held = (tmp_path / "store/m/1/model.onnx").read_bytes()

    assert "sets" not in document
    assert "coverage" not in document["provenance"]["settings"]
    assert b"coverage" not in held
    assert b"set/threshold" not in held


def test_a_column_names_the_rows_of_the_sets(tmp_path: Path) -> None:
    """The fourth part of --split-by; every row is where it says."""
    parts = ["train", "train", "validation", "Coverage", "test"]
    table = tmp_path / "table.csv"
    rows = PLAIN.splitlines()
    table.write_text(
        "\n".join([f"{rows[0]},part", *(f"{row},{parts[at // 3 % 5]}" for at, row in enumerate(rows[1:]))])
    )
    assert fit(table, tmp_path / "store", "--split-by", "part", "--coverage", "0.9") == 0
    card = published(tmp_path / "store")

    assert card.sets is not None
    assert (card.sets.rows, card.metrics["test"].rows) == (12, 12)


def test_the_rows_of_a_test_table_are_no_rows_of_the_sets(plain: Path, tmp_path: Path) -> None:
    """These come from the table that is learned from."""
    (tmp_path / "test.csv").write_text(PLAIN)
    flags = ("--test-table", str(tmp_path / "test.csv"), "--coverage", "0.8")
    assert fit(plain, tmp_path / "store", *flags) == 0
    card = published(tmp_path / "store")

    assert card.sets is not None
    assert card.sets.rows == 30
    assert card.metrics["test"].rows == 60


@pytest.mark.parametrize("flags", [("--members", "3"), ("--members", "3", "--distil", "false")])
def test_bags_and_students_have_sets(plain: Path, tmp_path: Path, flags: Sequence[str]) -> None:
    """What is published is what the threshold is chosen with; the same command gives the same bytes."""
    for store in ("one", "other"):
        assert fit(plain, tmp_path / store, "--coverage", "0.9", *flags) == 0

    assert published(tmp_path / "one").sets == published(tmp_path / "other").sets
    assert graph(tmp_path / "one", "m") == graph(tmp_path / "other", "m")


def test_a_table_that_does_not_fit_in_memory_has_sets(plain: Path, tmp_path: Path) -> None:
    """Read in blocks, and split by a hash of each row's number."""
    assert fit(plain, tmp_path / "store", "--coverage", "0.8", "--memory", "8k") == 0
    card = published(tmp_path / "store")

    assert card.sets is not None
    assert card.learning_rows + card.sets.rows + card.metrics["test"].rows == 300


@pytest.mark.parametrize(
    ("flags", "code", "sentence"),
    [
        (("--coverage", "1"), 64, "--coverage should be less than 1"),
        (("--coverage", "0"), 64, "--coverage should be greater than 0"),
        (("--coverage", "nine"), 64, "--coverage should be a valid number"),
        (("--coverage-rows", "0.2"), 64, "--coverage-rows is the share of the rows for the sets that --coverage asks"),
        (("--coverage", "0.9", "--coverage-rows", "0.7"), 64, "--validation, --test and --coverage-rows must leave"),
        (
            ("--coverage", "0.99"),
            65,
            "--coverage 0.99 takes 99 rows for the sets alone, and 30 are there; say --coverage-rows 0.33, or a lower",
        ),
        (("--coverage", "0.999"), 65, "takes 999 rows for the sets alone, and 30 are there; give it more, or a lower"),
        (("--coverage", "0.9", "--coverage-rows", "0.1", "--split-by", "k"), 64, "--coverage-rows is a share, and"),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: Sequence[str], code: int, sentence: str
) -> None:
    """Before anything is trained; nothing is published."""
    assert fit(plain, tmp_path / "store", *flags) == code
    said = capsys.readouterr()

    assert sentence in said.err
    assert contents(tmp_path).keys() == {plain}


@pytest.mark.parametrize(
    ("level", "rows", "share", "of", "sentence"),
    [
        (0.9, 4, 0.1, 45, r"and 4 are there; say --coverage-rows 0\.212, or"),
        (0.9, 8, 0.2, 45, r"and 8 are there; say --coverage-rows 0\.223, or"),
        (0.999999999, 40, 0.1, 400, r"--coverage 0\.999999999 takes 1000000028 rows .* are there; give it more, or"),
    ],
)
def test_the_share_that_is_advised_is_more_than_was_asked_for(
    level: float, rows: int, share: float, of: int, sentence: str
) -> None:
    """Also where rows of it went to training, which had none of their class: of 45 rows 0.2 was advised again."""
    with pytest.raises(InvalidTable, match=sentence):
        check_enough(level, None, rows, share=share, of=of)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--coverage", "0.9"), "column 'part' names no row 'coverage'; --split-by needs each part"),
        ((), "column 'part' names rows 'coverage', which prediction sets are chosen on; say --coverage 0.9"),
    ],
)
def test_a_column_and_the_flag_agree(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: Sequence[str], sentence: str
) -> None:
    """Rows for the sets without sets, and sets without rows for them."""
    parts = ["train", "validation", "test", *([] if flags else ["coverage"])]
    table, rows = tmp_path / "table.csv", PLAIN.splitlines()
    lines = (f"{row},{parts[at // 5 % len(parts)]}" for at, row in enumerate(rows[1:]))
    table.write_text("\n".join([f"{rows[0]},part", *lines]))

    assert fit(table, tmp_path / "store", "--split-by", "part", *flags) == 65
    assert sentence in capsys.readouterr().err
