import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.repository import ModelRepository
from models.serving import Serving
from tests.trainer.evaluation.conftest import Columns, Run, crossed, linear

Fit = Callable[..., Run]
GOOD, BAD = ("--epochs", "60"), ("--epochs", "1", "--learning-rate", "1e-6")


@pytest.fixture
def repository(tmp_path: Path) -> ModelRepository:
    return ModelRepository(tmp_path / "store")


def test_the_first_version_serves_whatever_was_said(fit: Fit, repository: ModelRepository) -> None:
    """There is none to hold it against."""
    run = fit(crossed(), "--promote", "never")

    assert "Version 1 serves." in run.out
    assert repository.serving_version("m") == 1


def test_never_leaves_the_present_version_in_place(fit: Fit, repository: ModelRepository) -> None:
    """It is pinned, and the sentence says what to type."""
    fit(crossed())
    run = fit(crossed(), *GOOD, "--promote", "never")

    assert repository.serving("m") == Serving(version=1)
    assert "Version 1 keeps serving: as --promote never says. Let version 2 serve with:" in run.out
    assert run.out.split("serve with: ", 1)[1].split("\n")[0].endswith(" promote m 2")


def test_if_better_lets_only_a_better_version_serve(fit: Fit, repository: ModelRepository) -> None:
    """On the same test rows, by log-loss; what was pinned on the way stays pinned, to the better one."""
    fit(crossed(), *BAD)
    better = fit(crossed(), *GOOD, "--promote", "if-better")
    assert "Version 2 serves in place of version 1: log-loss " in better.out
    assert repository.serving("m").version is None

    worse = fit(crossed(), *BAD, "--promote", "if-better")
    assert "Version 2 keeps serving: log-loss " in worse.out
    assert repository.serving_version("m") == 2
    assert repository.versions("m") == [1, 2, 3]

    best = fit(crossed(), *GOOD, "--hidden", "32", "--epochs", "90", "--promote", "if-better")
    serves = "Version 4 serves in place of version 2" in best.out
    assert repository.serving_version("m") == (4 if serves else 2)
    assert serves == (best.card["metrics"]["test"]["log_loss"] < _log_loss(repository, 2))


def _log_loss(repository: ModelRepository, version: int) -> float:
    return repository.card("m", version).metrics["test"].log_loss


def test_the_two_are_compared_on_the_very_same_rows(fit: Fit) -> None:
    """The old version's log-loss is the one of its card: the same table and seed have the same test rows."""
    old = fit(crossed()).card["metrics"]["test"]["log_loss"]
    new = fit(crossed(), *GOOD, "--promote", "if-better")

    ours = new.card["metrics"]["test"]["log_loss"]
    assert (
        f"log-loss {ours:.4f} of the new version against {old:.4f} of version 1 on the same 120 test rows." in new.out
    )
    other = fit(crossed(), "--seed", "1", "--promote", "if-better")
    assert "some of which the old one may have learned from" in other.out


def test_the_version_that_serves_is_asked_about_the_texts_that_it_knows(fit: Fit) -> None:
    """The class is the first letter of a text. The table has grown by so many other texts that those which the old
    version knows by heart are too rare for the vocabulary of the new one; it is asked about them all the same.
    """
    rng = np.random.default_rng(0)

    def table(towns: list[str], parts: list[str]) -> Columns:
        return {"x": rng.normal(size=len(towns)).tolist(), "town": towns, "part": parts, "y": [one[0] for one in towns]}

    def named(numbers: range, times: int) -> list[str]:
        return [f"{'ab'[number % 2]}{number}" for number in numbers for _ in range(times)]

    old, new = named(range(20), 30), named(range(100, 1100), 3)
    fit(table(old, ["train", "validation", "test"] * 200), "--split-by", "part", *GOOD, "--learning-rate", "0.01")
    grown = table(named(range(20), 2) + new, ["test"] * 40 + ["train", "train", "validation"] * 1000)
    run = fit(grown, "--split-by", "part", "--promote", "if-better")

    (loss,) = re.findall(r"against ([\d.]+) of version 1 on the same 40 test rows", run.out)
    assert float(loss) < 0.1  # Of a text that it has never seen it knows nothing: log 2.


def test_what_cannot_be_compared_is_not_promoted(fit: Fit, repository: ModelRepository) -> None:
    """Another column, another class."""
    fit(crossed())
    run = fit({**linear(), "w": list(range(600))}, "--drop", "x", "--promote", "if-better")

    assert "could not be compared: it has the numeric feature 'x', which the table lacks" in run.out
    assert repository.serving_version("m") == 1


def test_always_does_not_unpin_what_somebody_pinned(fit: Fit, repository: ModelRepository) -> None:
    """As before; and now it is said."""
    fit(crossed())
    repository.change_serving("m", lambda chosen: chosen.promoted(1))
    run = fit(crossed(), *GOOD)

    assert repository.serving_version("m") == 1
    assert "Version 1 keeps serving, for it is pinned. Let version 2 serve with:" in run.out
