"""The choice of input dropout, of whole numbers as categories and of ranks: when it is made, and what it changes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.commands.look import _summary
from models.features import codes_of
from models.figures import FIGURES
from models.repository import ModelRepository
from models.wording import selection_line
from trainer.errors import Diverged
from trainer.fitting import fitted as fitting_module
from trainer.fitting import selection
from trainer.fitting.fitted import Fitted, train_all
from trainer.fitting.members import PLAIN, Attempt, Run
from trainer.fitting.selection import Candidate, Change, Trial, changes_for
from trainer.job.job import prepare, run
from trainer.settings.config import TrainingConfig
from trainer.training.deadline import TimeLimit
from trainer.training.fit import fit
from trainer.training.records import Epoch, History

QUICK: dict[str, Any] = {"target": "y", "name": "codes", "epochs": 20, "hidden": "32", "student": "32"}


@pytest.fixture(scope="module")
def codes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two codes, each with a weight by chance, say the class; `size` is a number that says a little."""
    rng = np.random.default_rng(5)
    weights = rng.normal(size=(2, 24))
    first, second = rng.integers(0, 24, (2, 900))
    size = rng.normal(size=900)
    high = weights[0, first] + weights[1, second] + 0.2 * size > 0
    path = tmp_path_factory.mktemp("codes") / "codes.csv"
    rows = zip(first, second, size, high, strict=True)
    lines = (f"{a},{b},{c:.3f},{'high' if d else 'low'}\n" for a, b, c, d in rows)
    path.write_text("first,second,size,y\n" + "".join(lines))
    return path


def fitted(table: Path, run: Run = PLAIN, jobs: int = 1, **settings: Any) -> Fitted:
    config = TrainingConfig.of(table=table, **{**QUICK, **settings})
    start = prepare(config)[1]
    return train_all(config, start.shared() if jobs > 1 else start, run, jobs=jobs)


def weights(of: Fitted) -> list[np.ndarray[Any, Any]]:
    return [network.values for network in of.classifier.networks]


def test_codes_become_categories_where_that_is_better(codes: Path, tmp_path: Path) -> None:
    """The card names them and the gain, the file answers as the network does, and the service is asked as before."""
    repository = ModelRepository(tmp_path)
    card = run(TrainingConfig.of(table=codes, **QUICK), repository).card
    (chosen,) = (one for one in card.selection if one.chosen)

    assert chosen.categories == ("first", "second")
    assert 0 < chosen.interval[0] < chosen.gain < chosen.interval[1]
    assert chosen.gain > 2 * max(one.gain for one in card.selection if not one.categories)
    assert [feature.kind for feature in card.features] == ["numeric"] * 3
    assert [set(codes_of(feature)) <= set(range(24)) for feature in card.features] == [True] * 3
    assert [len(codes_of(feature)) for feature in card.features] == [24, 24, 0]
    assert selection_line(card.selection).startswith("first, second as categories")
    assert "first, second as categories" in _summary(card, 1, None)
    assert "one of the numbers 0, 1, 2, " in " ".join(_summary(card, 1, None).split())

    drawn = json.loads((tmp_path / "codes/1" / FIGURES).read_bytes())
    (first,) = (one for one in drawn["distributions"] if one["feature"] == "first")
    (answered,) = (one for one in drawn["dependence"] if one["feature"] == "first")
    assert first["kind"] == "categorical"
    assert set(answered["values"]) == set(first["categories"]) <= set(map(str, range(24)))
    assert len(set(answered["probabilities"][0])) > 10

    plain = run(TrainingConfig.of(table=codes, **QUICK, selection=False), repository).card
    assert not plain.selection
    assert not any(map(codes_of, plain.features))
    assert card.metrics["test"].log_loss < 0.8 * plain.metrics["test"].log_loss


def test_ranks_are_taken_where_they_tell_more(tmp_path: Path) -> None:
    """Of numbers over many magnitudes; the file answers as the network does, or nothing would be published."""
    rng = np.random.default_rng(3)
    size = np.exp(rng.normal(0, 4, 1500))
    high = np.sin(2 * np.log(size)) > 0
    table = tmp_path / "sizes.csv"
    lines = (f"{a:.6g},{'high' if b else 'low'}\n" for a, b in zip(size, high, strict=True))
    table.write_text("size,y\n" + "".join(lines))
    repository = ModelRepository(tmp_path / "models")
    card = run(TrainingConfig.of(table=table, **QUICK), repository).card
    (chosen,) = (one for one in card.selection if one.chosen)

    assert chosen.scaling == "quantile"
    assert selection_line(card.selection).startswith("quantile scaling")


def test_what_is_not_better_changes_nothing(penguins: Path) -> None:
    """The defaults that are chosen have the very weights that they have without a choice."""
    settings: dict[str, Any] = {"target": "species", "epochs": 60}
    chosen, plain = fitted(penguins, **settings), fitted(penguins, **settings, selection=False)

    assert chosen.selection.tried
    assert chosen.selection.chosen is None
    for ours, theirs in zip(weights(chosen), weights(plain), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_long_codes_are_told_apart(tmp_path: Path) -> None:
    """In the report's distributions and in `models show`, where six digits would give all of them one name."""
    rng = np.random.default_rng(5)
    means = rng.normal(size=12)
    chosen = rng.integers(0, 12, 600)
    table = tmp_path / "long.csv"
    lines = (f"{5_411_000 + code},{'high' if means[code] > 0 else 'low'}\n" for code in chosen)
    table.write_text("trade,y\n" + "".join(lines))
    card = run(TrainingConfig.of(table=table, **QUICK), ModelRepository(tmp_path)).card

    drawn = json.loads((tmp_path / "codes/1" / FIGURES).read_bytes())
    (trade,) = (one for one in drawn["distributions"] if one["feature"] == "trade")
    assert set(trade["categories"]) == {str(5_411_000 + code) for code in range(12)}
    assert sum(trade["shares"]) == pytest.approx(1, abs=1e-3)
    assert "numbers 5411000, 5411001, " in " ".join(_summary(card, 1, None).split())


def test_of_a_large_table_some_rows_are_tried(codes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And all of them are learned from. Whoever hears of candidates hears of the defaults on these rows too."""
    monkeypatch.setattr(selection, "MOST_ROWS", 400)
    heard = set[int]()
    chosen = fitted(codes, Run(tried=lambda attempt, _: heard.add(attempt.candidate))).selection

    assert chosen.chosen == Candidate(0.0, (0, 1))
    assert {tried.rows for tried in chosen.tried} == {180}
    assert heard == set(range(1 + len(chosen.tried)))
    assert not chosen.trained
    assert all(len(fold.train) > 400 for fold in chosen.start.split.folds)


def test_jobs_change_nothing(codes: Path) -> None:
    """Neither the choice nor any bit of what is trained."""
    alone, together = fitted(codes, epochs=4), fitted(codes, jobs=2, epochs=4)

    assert alone.selection.chosen is not None
    assert alone.selection.tried == together.selection.tried
    for ours, theirs in zip(weights(alone), weights(together), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_candidates_are_told_apart_from_members(codes: Path) -> None:
    """Which of how many, epoch by epoch; whoever watches members hears of members alone."""
    members, tried = set[int](), set[tuple[int, int]]()

    def watch(member: int, *_: object) -> None:
        members.add(member)

    def told(attempt: Attempt, _: Epoch | None) -> None:
        tried.add((attempt.candidate, attempt.candidates))

    fitted(codes, Run(watch, tried=told), epochs=2)

    assert members == {0, 1, 2, 3, 4, 5}
    assert {(0, 3), (1, 3), (2, 3), (3, 5), (4, 5)} <= tried  # Each alone, and the others on top of the best.
    assert [number for number, _ in sorted(tried)] == list(range(len(tried)))


@pytest.mark.parametrize("jobs", [1, 2])
def test_each_network_of_a_candidate_is_told_of_until_it_is_over(codes: Path, jobs: int) -> None:
    """By its member: several may be trained at the same time, and one line for all would jump between them."""
    told: dict[Attempt, list[int]] = {}

    def hear(attempt: Attempt, epoch: Epoch | None) -> None:
        told.setdefault(attempt, []).append(epoch.number if epoch else 0)

    fitted(codes, Run(tried=hear), jobs, epochs=2)

    assert {attempt.member for attempt in told} == {0, 1, 2, 3}
    assert {tuple(numbers) for numbers in told.values()} == {(1, 2, 0)}


def diverging_without_dropout(*parts: Any, **how: Any) -> History:
    """In place of `fit`: the last epoch of what has no input dropout comes to nothing."""
    history = fit(*parts, **how)
    if parts[3].input_dropout == 0:
        raise Diverged("the loss is no longer finite")
    return history


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_candidate_that_diverges_is_over_too(codes: Path, jobs: int) -> None:
    """What shows its epochs need not show them any more."""
    told: dict[Attempt, list[int]] = {}

    def hear(attempt: Attempt, epoch: Epoch | None) -> None:
        told.setdefault(attempt, []).append(epoch.number if epoch else 0)

    found = fitted(codes, Run(train=diverging_without_dropout, tried=hear), jobs, epochs=2, members=1).selection

    assert all(one.candidate.input_dropout > 0 for one in found.tried)
    assert {tuple(numbers) for numbers in told.values()} == {(1, 2, 0)}


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        ({}, [{"input_dropout": 0.0}, {"codes": (0, 1)}, {"scaling": "quantile"}]),
        ({"input_dropout": 0.2}, [{"codes": (0, 1)}, {"scaling": "quantile"}]),
        ({"input_dropout": 0.0, "scaling": "standard"}, [{"codes": (0, 1)}]),
        ({"drop": ("size",)}, [{"input_dropout": 0.0}, {"codes": (0, 1)}]),
        ({"selection": False}, []),
        ({"validation": 0.01}, []),
        ({"group": "size"}, []),
    ],
)
def test_changes_leave_settings_alone(codes: Path, settings: dict[str, Any], changes: list[Change]) -> None:
    """What somebody has set is kept. Few validation rows, and groups, tell no gain from chance; whole numbers of few
    values have no ranks worth a trial.
    """
    config = TrainingConfig.of(table=codes, **QUICK, **settings)

    assert list(changes_for(config, prepare(config)[1])) == changes


def test_folds_are_enough_and_never_the_same_twice(codes: Path) -> None:
    """Of five folds with a quarter of the rows four are enough; a table's own validation rows are one fold."""
    config = TrainingConfig.of(table=codes, **QUICK)
    start = prepare(config)[1]
    trial = Trial.of(start)
    same = replace(start, split=replace(start.split, folds=start.split.folds[:1] * 5))

    assert trial.whole
    assert trial.folds == start.split.folds[:4]
    assert len(Trial.of(same).folds) == 1


@pytest.mark.parametrize("seconds", [0.0, 3600.0])
def test_a_time_limit_ends_the_trials(codes: Path, seconds: float) -> None:
    """What is over is published; with time enough nothing changes."""
    config = TrainingConfig.of(table=codes, **QUICK)
    limited = train_all(config, prepare(config)[1], limit=TimeLimit.from_now(seconds))

    assert bool(limited.selection.tried) == bool(limited.selection.chosen) == bool(seconds)
    assert len(limited.bag.members) == (5 if seconds else 1)


def test_a_run_that_is_taken_up_with_less_time_mixes_no_two_choices(
    codes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Networks of a candidate that there is no time for again are no members beside those of the defaults."""
    config = TrainingConfig.of(table=codes, **QUICK | {"epochs": 8}, time_limit=3600.0)

    def killed(member: int, _: int, epoch: Epoch) -> None:
        if member == 4 and epoch.number == 2:
            raise SystemExit

    with pytest.raises(SystemExit):
        run(config, ModelRepository(tmp_path / "killed"), killed)
    monkeypatch.setattr(fitting_module, "SHARE_OF_SELECTION", 0.0)
    resumed = run(config, ModelRepository(tmp_path / "killed"), resume=True)
    alone = run(config, ModelRepository(tmp_path / "alone"))

    assert not resumed.card.selection
    assert resumed.card.golden == alone.card.golden
    assert [entry.name for entry in (tmp_path / "killed").iterdir()] == ["codes"]


@pytest.mark.parametrize(("before", "members"), [(2, 2), (7, 4)])
def test_ctrl_c_leaves_what_is_trained(codes: Path, before: int, members: int) -> None:
    """In the defaults' networks those that are trained, in a candidate's all of the defaults."""
    seen: list[int] = []

    def interrupted(*parts: Any, **how: Any) -> History:
        seen.append(1)
        if len(seen) > before:
            raise KeyboardInterrupt
        return fit(*parts, **how)

    left = fitted(codes, replace(PLAIN, train=interrupted), epochs=2)

    assert left.bag.interrupted
    assert len(left.bag.members) == members
    assert left.student is None
    assert left.selection.chosen is None
