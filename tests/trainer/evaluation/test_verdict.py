import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.repository import ModelRepository
from tests.trainer.evaluation.conftest import Run, crossed, linear
from trainer.data.table import read_table
from trainer.evaluation.baselines import softmax_regression
from trainer.evaluation.codes import code_columns
from trainer.evaluation.duplicates import hash_rows
from trainer.fitting.members import train_bag
from trainer.job import job
from trainer.job.publishing import Outcome
from trainer.settings.config import TrainingConfig

Fit = Callable[..., Run]
# What a person can type: a flag, or a command.
TYPED = re.compile(r"(--[a-z-]+|python -m \w+)[^;]*$")


def warning(run: Run, words: str) -> str:
    """The one warning with these words, which stands in the card and on stderr alike, but for the folders."""
    (found,) = [sentence for sentence in run.card["warnings"] if words in sentence]
    assert f"warning: {found}\n" in run.told
    assert TYPED.search(found), found
    return str(found)


@pytest.fixture(scope="module")
def learned(penguins: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The example, trained with defaults."""
    config = TrainingConfig.of(table=penguins, target="species", name="penguins")
    return job.run(config, ModelRepository(tmp_path_factory.mktemp("store")))


@pytest.mark.thorough
def test_the_verdict_does_not_touch_the_networks(penguins: Path, outcome: Outcome) -> None:
    """The weights are those of a bag that nobody has judged, to the last bit."""
    config = TrainingConfig.of(table=penguins, target="species", name="penguins", epochs=20, members=2)
    alone = train_bag(config, job.prepare(config)[1])

    for one, other in zip(alone.classifier.networks, outcome.bag.classifier.networks, strict=True):
        assert np.array_equal(one.values, other.values)
        assert np.array_equal(one.running.sums, other.running.sums)
    assert np.array_equal(alone.classifier.calibrator.bias, outcome.bag.classifier.calibrator.bias)


def test_the_example_is_learned_with_defaults(learned: Outcome) -> None:
    """At least 98 of 100 penguins of the test part are named rightly, whatever they are named with certainty."""
    assert learned.card.metrics["test"].accuracy >= 0.98
    assert learned.card.metrics["test"].log_loss < 0.1


def test_the_example_beats_both_baselines(learned: Outcome) -> None:
    """Three of seven penguins are Adelies; softmax regression is nearly as good as the bag, and not quite."""
    evaluation = learned.card.evaluation
    assert evaluation is not None
    commonest, regression = evaluation.baselines

    assert commonest.answer == "Adelie"
    assert commonest.accuracy == pytest.approx(30 / 69)
    assert commonest.log_loss == pytest.approx(1.054, abs=0.01)
    assert regression.accuracy > 0.95
    assert regression.log_loss < 0.08  # scikit-learn's LogisticRegression has 0.042 on its split.
    assert all(one.gain_interval[0] > 0 for one in evaluation.baselines)
    assert learned.card.warnings == ()


def test_softmax_regression_depends_on_the_seed_alone(penguins: Path) -> None:
    """Twice the same, and another with another seed."""
    start = job.prepare(TrainingConfig.of(table=penguins, target="species", name="p"))[1]
    factors = np.ones(3)
    first, again, other = (softmax_regression(start, seed, factors) for seed in (0, 0, 1))

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_noise_is_called_no_better_than_guessing(fit: Fit) -> None:
    """Labels without any meaning: published with a warning, or refused with an exit code of its own."""
    rng = np.random.default_rng(0)
    columns = {**linear(), "y": np.where(rng.random(600) < 0.3, "yes", "no").tolist()}
    run = fit(columns)

    assert run.code == 0
    assert "always answering 'no'" in warning(run, "the model is")


def test_below_a_baseline_nothing_is_published(fit: Fit, tmp_path: Path) -> None:
    """Exit code 79, one sentence, no version, no checkpoint; the version before goes on."""
    rng = np.random.default_rng(0)
    noise = {**linear(), "y": np.where(rng.random(600) < 0.3, "yes", "no").tolist()}
    refused = fit(noise, "--fail-below-baseline")

    assert refused.code == 79
    assert refused.err.splitlines()[-1].startswith("trainer: nothing was published: the model is no better than")
    assert not list((tmp_path / "store").rglob("*"))
    assert fit(crossed(), "--fail-below-baseline", "--epochs", "60").code == 0
    assert fit(noise, "--fail-below-baseline").code == 79
    assert ModelRepository(tmp_path / "store").versions("m") == [1]


def test_a_line_does_as_well_where_there_is_only_a_line(fit: Fit) -> None:
    """Softmax regression is named, and how to have it; where a line does not do, it is not."""
    assert 'take that with --hidden ""' in warning(fit(linear(300)), "softmax regression")
    assert not any("softmax" in sentence for sentence in fit(crossed(), "--epochs", "60").card["warnings"])


def test_a_column_that_gives_the_target_away_is_named(fit: Fit) -> None:
    """With how to leave it out."""
    columns = linear()
    columns["closed on"] = ["late" if label == "yes" else "early" for label in columns["y"]]

    assert warning(fit(columns), "gives the target away").endswith("--drop 'closed on'")
    dropped = fit(columns, "--drop", "closed on")
    assert not any("target away" in sentence for sentence in dropped.card["warnings"])


def test_a_class_that_is_never_predicted_is_named(fit: Fit) -> None:
    """One row in twenty, and nothing that tells which."""
    rng = np.random.default_rng(3)
    columns = {**linear(), "y": np.where(rng.random(600) < 0.05, "fraud", "ok").tolist()}

    sentence = warning(fit(columns), "never predicted")
    assert sentence.startswith("'fraud' is never predicted, though ")
    assert sentence.endswith("look for 'fraud' with --positive fraud --threshold f1")


def test_noise_is_called_noise_once(fit: Fit) -> None:
    """No advice to look for a class in columns that say nothing of any."""
    columns = {**linear(), "y": np.where(np.random.default_rng(3).random(600) < 0.5, "a", "b").tolist()}

    sentences = fit(columns).card["warnings"]
    assert any("better than always answering" in one or "worse than always answering" in one for one in sentences)
    assert not any("right no more often" in one for one in sentences)


def test_test_rows_among_the_training_rows_are_counted(fit: Fit) -> None:
    """Each test row has a copy in another part, when the table stands there twice."""
    once = linear(300)
    part = ["train"] * 200 + ["validation"] * 50 + ["test"] * 50
    copied = {name: [*cells, *cells[:7]] for name, cells in once.items()} | {"part": [*part, *["test"] * 7]}

    assert warning(fit(copied, "--split-by", "part"), "stand among").startswith("7 of 57 test rows (12.3%) also stand")
    clean = {**once, "part": part}
    assert not any("stand among" in one for one in fit(clean, "--split-by", "part").card["warnings"])


def test_rows_are_hashed_by_all_their_cells(tmp_path: Path) -> None:
    """Missing is missing, -0 is 0; a row differs from another by any one cell, and by where it stands."""
    table = tmp_path / "t.csv"
    body = ["0,1,a,u", "-0,1,a,u", "1,0,a,u", ",1,a,u", "NA,1,a,v", "0,1,,u", "0,1,b,v", "0,1,a,v"]
    table.write_text("\n".join(["p,q,r,y", *body, *body]) + "\n")
    hashes = hash_rows(read_table(table, "y").examples.rows).tolist()

    assert hashes[:8] == hashes[8:]
    assert len(set(hashes)) == 5


@pytest.mark.parametrize(
    ("name", "values", "codes"),
    [
        ("plan_type", [1, 2, 3, 4] * 50, True),
        ("storeId", [3, 17, 99] * 60, True),
        ("PLZ", [10115, 80331, 20095, 50667] * 40, True),
        ("where", [10115, 80331, 20095, 50667, 70173, 40213, 90402, 44135, 28195, 30159, 99084] * 30, True),
        ("visits", [0, 1, 2, 3, 4, 5] * 40, False),
        ("mass", list(range(2700, 6300, 25)) * 8, False),
        ("year", list(range(1990, 2020)) * 8, False),
        ("plan_type", [1.5, 2, 3] * 60, False),
        ("big_id", [2**63, 2**62, 2**61] * 60, False),
        ("customer_id", list(range(1000, 1200)), False),
    ],
)
def test_whole_numbers_that_look_like_codes(tmp_path: Path, name: str, values: list[float], codes: bool) -> None:
    """By their name, or by their spelling; amounts, years and a number of its own a row are none."""
    table = tmp_path / "t.csv"
    table.write_text("\n".join([f"{name},y", *(f"{value},{'ab'[n % 2]}" for n, value in enumerate(values))]) + "\n")

    assert code_columns(read_table(table, "y").examples.rows) == ([name] if codes else [])


def test_codes_are_warned_of(fit: Fit) -> None:
    """With the schema line that makes them categories; not those that were tried as such."""
    rng = np.random.default_rng(0)
    columns = {**linear(), "region": rng.integers(1, 9, 600).tolist(), "plz": rng.integers(100, 150, 600).tolist()}

    run = fit(columns)
    assert "'region'" not in warning(run, "'plz'")
    run = fit(columns, "--selection", "false")
    assert 'kind = "categorical"' in warning(run, "'region'")
    assert re.search(r": evenkeel inspect /\S*/table.csv --target y\n", run.err)


def test_a_small_test_proves_nothing(fit: Fit) -> None:
    """Four test rows, whatever they say."""
    assert warning(fit(linear(20)), "4 test rows").endswith("--test-table FILE")


def test_weights_count_in_every_score(fit: Fit) -> None:
    """Rows of weight 2 are rows that stand there twice: the same scores of the same network."""
    columns = {**linear(200), "part": ["train"] * 120 + ["validation"] * 40 + ["test"] * 40}
    weighed = {**columns, "times": [1] * 160 + [2, 3] * 20}
    twice = {
        name: [*cells[:160], *(cell for n, cell in enumerate(cells[160:]) for _ in range(2 + n % 2))]
        for name, cells in columns.items()
    }
    one = fit(weighed, "--split-by", "part", "--weight", "times").card["evaluation"]
    other = fit(twice, "--split-by", "part").card["evaluation"]

    assert (one["rows"], other["rows"]) == (40, 100)
    assert one["confusion"] == other["confusion"]
    for measure in ("accuracy", "log_loss", "auc", "macro_f1"):
        assert one[measure] == pytest.approx(other[measure], abs=1e-5), measure


def test_the_summary_speaks_before_the_statistics_do(fit: Fit) -> None:
    """What was learned from what, how good against what, what next; batch norm and export last."""
    out = fit(linear()).out
    places = [
        out.index(words)
        for words in (
            "m, version 1, predicts y from table.csv",
            "softmax regression",
            "AUC",
            "precision",
            "Published in",
            "Version 1 serves.",
            "Serve it with:",
            "statistics",
            "export",
        )
    ]

    assert places == sorted(places)


def test_a_threshold_is_chosen_and_stands_in_the_card(fit: Fit) -> None:
    """A missed one that costs nine times as much as a false alarm is called earlier than a half."""
    run = fit(linear(), "--positive", "yes", "--threshold", "cost=9:1")

    assert run.card["positive"] == "yes"
    assert 0 < run.card["threshold"] < 0.4
    assert run.card["evaluation"]["at_threshold"]["recall"] > 0.9
    assert "positive" in run.out
    assert fit(linear(), "--positive", "yes").card["threshold"] is None


def test_a_precision_that_cannot_be_had_is_said(fit: Fit) -> None:
    """Rows that are all alike are positive as often as any: the nearest is taken, with a warning."""
    columns = {"x": [1] * 600, "y": np.where(np.arange(600) % 10 < 3, "yes", "no").tolist()}
    run = fit(columns, "--positive", "yes", "--threshold", "recall@precision=0.8")

    sentence = warning(run, "no threshold reaches a precision of 0.8")
    assert sentence.endswith("--threshold recall@precision=0.3")
    assert run.card["evaluation"]["at_threshold"]["precision"] == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--threshold", "f1"), "--threshold needs --positive"),
        (("--positive", "maybe"), "--positive 'maybe' is no class of 'y'; say --positive 'no' or --positive 'yes'"),
        (("--positive", "yes", "--threshold", "best"), "--threshold should be f1, recall@precision=0.8 or cost=5:1"),
        (("--promote", "sometimes"), "--promote should be always, if-better or never, not 'sometimes'"),
    ],
)
def test_a_wrong_rule_is_refused_before_training(fit: Fit, flags: tuple[str, ...], sentence: str) -> None:
    """Exit code 64, and what would have been right."""
    run = fit(linear(60), *flags)

    assert run.code == 64
    assert sentence in run.err
    assert "epoch" not in run.err


def test_three_classes_have_no_positive_one(fit: Fit) -> None:
    """The sentence says how many there are."""
    columns = {**linear(60), "y": ["a", "b", "c"] * 20}

    assert "--positive is for two classes, and 'y' has 3" in fit(columns, "--positive", "a").err
