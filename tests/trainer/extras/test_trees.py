"""Gradient-boosted trees that teach beside the bag, where validation rows say that they know better."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.repository import ModelRepository
from trainer.errors import InvalidSetting, MissingExtra
from trainer.fitting import members
from trainer.fitting.members import Watch, unwatched
from trainer.fitting.teacher import Teacher
from trainer.job.job import run
from trainer.job.publishing import Outcome
from trainer.settings.config import TrainingConfig
from trainer.training.records import Epoch

SETTINGS = {"target": "y", "name": "taught", "epochs": 6, "hidden": (8,), "members": 2}


class Killed(Exception):
    """Stands for the end of the process."""


def table_of(path: Path, rule: str, rows: int = 900) -> Path:
    """Two numbers and a class: its side of a line, or whether a checkerboard is black there."""
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0, 4, (2, rows))
    labels = a + b + rng.logistic(0, 0.5, rows) > 4 if rule == "line" else (a.astype(int) + b.astype(int)) % 2 == 1
    path.write_text("\n".join(["a,b,y", *(f"{x:.3f},{z:.3f},{y}" for x, z, y in zip(a, b, labels, strict=True))]))
    return path


def train(table: Path, root: Path, watch: Watch = unwatched, *, jobs: int = 1, **settings: Any) -> Outcome:
    config = TrainingConfig.of(table=table, **(SETTINGS | settings))
    return run(config, ModelRepository(root), watch, resume=True, with_report=False, jobs=jobs)


def onnx_of(root: Path) -> bytes:
    return ModelRepository(root).read("taught", 1).onnx


def test_what_trees_know_better_one_network_learns(tmp_path: Path) -> None:
    """A checkerboard is theirs: they get a share, and the one network that is published is better for it."""
    table = table_of(tmp_path / "board.csv", "board")
    alone, taught = (train(table, tmp_path / way, teacher=way).card for way in ("bag", "auto"))

    assert alone.distillation is not None
    assert alone.distillation.trees is None
    assert taught.distillation is not None
    assert taught.distillation.trees in (0.25, 0.5, 0.75)
    assert len(taught.frozen_statistics) == 1
    assert taught.metrics["test"].log_loss < alone.metrics["test"].log_loss


def test_where_they_do_not_the_bag_teaches_alone(tmp_path: Path) -> None:
    """A line is a network's: its student is the same to the last bit as without trees."""
    table = table_of(tmp_path / "line.csv", "line")
    alone, auto = (train(table, tmp_path / way, teacher=way, epochs=20) for way in ("bag", "auto"))

    assert auto.card.distillation == alone.card.distillation
    inputs = np.zeros((1, alone.classifier.encoder.width), np.float32)
    assert np.array_equal(auto.classifier.predict_encoded(inputs), alone.classifier.predict_encoded(inputs))


@pytest.mark.thorough
def test_a_run_ends_the_same_however_it_went(tmp_path: Path) -> None:
    """Killed in the student and taken up, or with a second core that has the answers ready: the same bytes."""
    table = table_of(tmp_path / "board.csv", "board", 300)

    def kill(network: int, _: int, epoch: Epoch) -> None:
        if (network, epoch.number) == (2, 3):
            raise Killed

    with pytest.raises(Killed):
        train(table, tmp_path / "killed", kill, teacher="trees")
    train(table, tmp_path / "killed", teacher="trees")
    train(table, tmp_path / "whole", teacher="trees")
    train(table, tmp_path / "two", teacher="trees", jobs=2)

    assert onnx_of(tmp_path / "killed") == onnx_of(tmp_path / "whole") == onnx_of(tmp_path / "two")


def test_rare_classes_and_weights_go_with_trees(tmp_path: Path) -> None:
    """A class that some fold lacks has no trees there, and rows of weight 0 teach nobody."""
    rng = np.random.default_rng(1)
    rows = [
        (value, "rare" if row < 4 else "ab"[int(value > 0)], row % 3) for row, value in enumerate(rng.normal(size=200))
    ]
    table = tmp_path / "rare.csv"
    table.write_text("\n".join(["x,y,w", *(f"{x:.3f},{y},{w}" for x, y, w in rows)]))
    outcome = train(table, tmp_path, teacher="trees", weight="w", class_weight="balanced")

    assert outcome.card.distillation is not None
    assert outcome.card.distillation.trees == 0.5
    assert np.isfinite(outcome.card.metrics["test"].log_loss)


def test_ctrl_c_while_they_grow_publishes_the_bag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Teacher, "of", interrupted)
    outcome = train(table_of(tmp_path / "t.csv", "line", 200), tmp_path, teacher="trees")

    assert outcome.card.distillation is None
    assert len(outcome.classifier.networks) == 2
    assert [one for one in outcome.card.warnings if one.startswith("Ctrl-C came before one network had learned")]


@pytest.mark.parametrize("teacher", ["auto", "trees"])
def test_without_scikit_learn_nothing_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, teacher: str) -> None:
    """It is said before the table is read, which is not even there, and before anything asks for its version."""
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    with pytest.raises(
        MissingExtra, match=rf"^--teacher {teacher} needs scikit-learn 1\.7 or later; .* `sklearn`: .*pip"
    ):
        train(tmp_path / "t.csv", tmp_path, teacher=teacher)

    assert not (tmp_path / "taught").exists()


@pytest.mark.parametrize(("settings", "flag"), [({"distil": False}, "--distil false"), ({"members": 1}, "--members 1")])
def test_a_teacher_of_nobody_is_refused(tmp_path: Path, settings: dict[str, Any], flag: str) -> None:
    with pytest.raises(InvalidSetting, match=f"^--teacher auto needs a distilled network, and {flag} has none"):
        train(tmp_path / "t.csv", tmp_path, teacher="auto", **settings)


def test_a_table_of_one_network_has_nobody_to_teach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of many rows gets one network where nobody says more."""
    monkeypatch.setattr(members, "ROWS_TOGETHER", 900)
    table = table_of(tmp_path / "t.csv", "line")
    with pytest.raises(InvalidSetting, match=r"^--teacher auto needs a bag, and a table of 900 rows .* --members 2 or"):
        train(table, tmp_path, teacher="auto", members=None)


def test_a_table_longer_than_memory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match=r"^--teacher trees needs the rows in memory.* type --memory"):
        train(table_of(tmp_path / "t.csv", "line", 30_000), tmp_path, teacher="trees", memory="1m")
