"""One network that learns from a bag what its members know together."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from models.repository import ModelRepository
from trainer.data.table import read_table
from trainer.fitting.members import Watch, train_bag, unwatched
from trainer.fitting.student import epochs_for, mean_divergence, units_for
from trainer.job.job import prepare, run, train_on
from trainer.job.publishing import Outcome
from trainer.nn.loss import cross_entropy
from trainer.settings.config import TrainingConfig
from trainer.training.records import Epoch

SETTINGS = {"target": "species", "name": "student", "epochs": 6, "hidden": (8,), "members": 3}


def train(table: Path, root: Path, watch: Watch = unwatched, **settings: Any) -> Outcome:
    config = TrainingConfig.of(table=table, **(SETTINGS | settings))
    return run(config, ModelRepository(root), watch, resume=True, with_report=False)


class Killed(Exception):
    """Stands for the end of the process."""


def at(network: int, epoch: int, happening: type[BaseException]) -> Watch:
    """Something that happens after an epoch of a network; the student comes behind the last member."""

    def watch(which: int, _: int, ended: Epoch) -> None:
        if (which, ended.number) == (network, epoch):
            raise happening

    return watch


def grouped(path: Path, rows: int = 120, *, weights: Sequence[int] = (1,)) -> Path:
    """A table of `x`, a text `k`, columns `by`, `part` and `times`, and two classes that follow from x."""
    rng = np.random.default_rng(0)
    lines = ["x,k,by,part,times,y"]
    for row in range(rows):
        label = rng.integers(2)
        part = ("train", "train", "validation", "test", "train")[row % 5]
        times = weights[row % len(weights)]
        cells = (f"{label + rng.normal() / 4:.3f}", "ab"[row % 2], row // 3, part, times, ["no", "yes"][label])
        lines.append(",".join(map(str, cells)))
    path.write_text("\n".join(lines))
    return path


def test_one_network_is_published_and_the_card_tells_of_the_bag(penguins: Path, tmp_path: Path) -> None:
    """Its statistics and its scores, and beside them those of the bag, which are measured on the same test rows."""
    outcome = train(penguins, tmp_path, epochs=20)
    card, start = outcome.card, prepare(TrainingConfig.of(table=penguins, **(SETTINGS | {"epochs": 20})))[1]
    test = start.examples.take(start.split.test)
    bag = outcome.bag.classifier.predict(test.rows)

    assert card.distillation is not None
    assert len(outcome.classifier.networks) == len(card.frozen_statistics) == 1
    assert [layer.units for layer in outcome.classifier.networks[0].batch_norms] == [16]
    assert card.distillation.members == len(outcome.bag.members) == 3
    assert card.distillation.epochs == 20
    assert card.distillation.test.log_loss == pytest.approx(cross_entropy(bag, test.labels))
    assert card.metrics["test"].log_loss != card.distillation.test.log_loss
    assert card.metrics["train"].rows == 344 - card.metrics["test"].rows
    assert card.frozen_statistics[0].divergence["running"] == pytest.approx(card.distillation.divergence)
    nodes = onnx.load_from_string(ModelRepository(tmp_path).read("student", 1).onnx).graph.node
    assert not [node for node in nodes if node.op_type == "Mean"]
    assert outcome.difference <= 1e-5


def test_a_student_answers_nearly_as_its_bag_does(tmp_path: Path) -> None:
    """Of rows that nobody has learned from: nearer to the bag than any of its members is, in nats."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, (1600, 2))
    labels = np.sin(3 * x[:, 0]) + x[:, 1] + 0.5 * rng.normal(size=1600) > 0
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["a,b,y", *(f"{a:.3f},{b:.3f},{y}" for (a, b), y in zip(x, labels, strict=True))]))
    examples = read_table(table, "y").examples
    learned, unseen = (examples.take(rows) for rows in np.split(np.arange(1600), [600]))
    config = TrainingConfig.of(table=table, **(SETTINGS | {"target": "y", "epochs": 60, "hidden": (32,)}))
    student = train_on(config, learned)
    bag = train_on(config.model_copy(update={"distil": False}), learned)
    inputs = bag.encoder.encode(unseen.rows)
    answers, own = bag.predict_encoded(inputs), student.predict_encoded(inputs)
    alone = [bag.calibrator.probabilities(network.logits(inputs)) for network in bag.networks]

    assert len(student.networks) == 1
    assert 0 <= mean_divergence(answers, own) < min(mean_divergence(answers, one) for one in alone)


@pytest.mark.parametrize(("network", "epoch"), [(1, 2), (3, 1), (3, 5)])
def test_a_killed_run_is_taken_up_to_the_same_end(penguins: Path, tmp_path: Path, network: int, epoch: int) -> None:
    """Whether a member was trained or the student: the file is the same to the last bit, and nothing stays behind."""
    seen: list[tuple[int, int]] = []
    with pytest.raises(Killed):
        train(penguins, tmp_path / "killed", at(network, epoch, Killed), selection=False)
    train(penguins, tmp_path / "killed", lambda which, _, one: seen.append((which, one.number)), selection=False)
    train(penguins, tmp_path / "whole", selection=False)

    killed, whole = (ModelRepository(tmp_path / store).read("student", 1).onnx for store in ("killed", "whole"))
    assert killed == whole
    assert seen == [(which, one) for which in range(4) for one in range(1, 7) if (which, one) > (network, epoch)]
    assert not (tmp_path / "killed" / ".checkpoints").exists()


@pytest.mark.parametrize(("network", "epoch"), [(1, 2), (2, 6), (3, 1), (3, 6)])
def test_ctrl_c_publishes_the_bag(penguins: Path, tmp_path: Path, network: int, epoch: int) -> None:
    """Its rate has not come to zero, so a student that is half trained is worth less than its teachers."""
    outcome = train(penguins, tmp_path, at(network, epoch, KeyboardInterrupt))

    assert len(outcome.classifier.networks) == min(network + 1, 3)
    assert outcome.card.distillation is None
    assert [one for one in outcome.card.warnings if one.startswith("Ctrl-C came before one network had learned")]


@pytest.mark.parametrize("settings", [{"members": 1}, {"distil": False}], ids=["one network", "the bag is asked for"])
def test_nothing_is_distilled(penguins: Path, tmp_path: Path, settings: dict[str, Any]) -> None:
    """There is nothing to learn from one network, and nothing is warned of where the bag was asked for."""
    outcome = train(penguins, tmp_path, **settings)

    assert outcome.card.distillation is None
    assert outcome.classifier is outcome.bag.classifier
    assert not [one for one in outcome.card.warnings if "Ctrl-C" in one]


@pytest.mark.parametrize(
    ("settings", "rows"),
    [({"group": "by"}, 96), ({"time": "by", "drop": ("part",)}, 96), ({"split_by": "part"}, 72), ({}, 96)],
    ids=["group", "time", "split-by", "at random"],
)
def test_the_student_learns_from_the_validation_rows_too(tmp_path: Path, settings: dict[str, Any], rows: int) -> None:
    """But where a column names the parts: what it calls validation is to be learned from by nobody."""
    table = grouped(tmp_path / "table.csv")
    card = train(table, tmp_path, target="y", **settings).card

    assert card.metrics["train"].rows == pytest.approx(rows, abs=3)


def test_a_row_of_weight_two_is_that_row_twice(tmp_path: Path) -> None:
    """Rows of weight 0 are as if they were not there, in the student as in the members."""
    weighed = train(grouped(tmp_path / "a.csv", weights=(0, 1, 2)), tmp_path / "a", target="y", weight="times")

    assert weighed.card.distillation is not None
    assert weighed.card.metrics["train"].rows + weighed.card.metrics["test"].rows == 80


def test_class_weights_reach_the_student(tmp_path: Path) -> None:
    """One row in ten is of the rare class: balanced, its answers are of classes that are equally frequent."""
    rng = np.random.default_rng(0)
    table = tmp_path / "rare.csv"
    table.write_text(
        "\n".join(["x,y", *(f"{rng.normal():.3f},{'rare' if row % 10 == 0 else 'usual'}" for row in range(600))])
    )
    config = TrainingConfig.of(table=table, **(SETTINGS | {"target": "y", "class_weight": "balanced", "epochs": 10}))
    examples = read_table(table, "y").examples
    rare = train_on(config, examples).predict(examples.rows)[:, 0].mean()
    plain = train_on(config.model_copy(update={"class_weight": "none"}), examples).predict(examples.rows)[:, 0].mean()

    assert rare == pytest.approx(0.5, abs=0.1)
    assert plain == pytest.approx(0.1, abs=0.05)


@pytest.mark.parametrize(
    ("settings", "classes", "expected"),
    [
        ({}, 3, (256, 256)),
        ({}, 26, (384, 256)),
        ({"hidden": "16"}, 2, (32,)),
        ({"hidden": ""}, 2, ()),
        ({"student": ""}, 26, ()),
        ({"student": "5,3"}, 26, (5, 3)),
    ],
)
def test_the_units_that_a_student_has(settings: dict[str, Any], classes: int, expected: tuple[int, ...]) -> None:
    """Twice those of a member, more where there are many classes to tell apart, or what is asked for."""
    assert units_for(TrainingConfig.of(table="t", target="y", name="m", **settings), classes) == expected


def test_the_units_of_the_student(penguins: Path, tmp_path: Path) -> None:
    """Twice those of a member, or what is asked for."""
    asked = train(penguins, tmp_path, student="5,3", epochs=2)

    assert [layer.units for layer in asked.classifier.networks[0].batch_norms] == [5, 3]


@pytest.mark.parametrize(
    ("members", "steps", "most", "expected"),
    [
        (100, 1000, 100, 50),
        (60, 1000, 100, 30),
        (20, 1000, 100, 25),
        (20, 250, 100, 40),
        (20, 10, 100, 50),
        (4, 9, 4, 4),
    ],
)
def test_a_student_has_half_of_its_members_epochs(members: float, steps: int, most: int, expected: int) -> None:
    """From 25 to 50, and 10 000 steps at least, but where 50 epochs have fewer; never more than --epochs."""
    assert epochs_for(members, steps, most) == expected


def test_the_number_of_members_follows_the_rows_that_train(penguins: Path, tmp_path: Path) -> None:
    """A test table of any length changes nothing: its rows train no network."""
    text = penguins.read_text().splitlines()
    test = tmp_path / "test.csv"
    test.write_text("\n".join([text[0], *(text[1:] * 600)]))
    config = TrainingConfig.of(table=penguins, target="species", name="m", test_table=test)

    assert len(prepare(config)[1].split.folds) == 5


def test_a_student_far_from_its_bag_is_warned_of(penguins: Path, tmp_path: Path) -> None:
    """One epoch and one unit: the sentence names the distance and what to type."""
    outcome = train(penguins, tmp_path, epochs=2, hidden=(32,), student="1")
    (found,) = [one for one in outcome.card.warnings if "nats from the bag" in one]

    assert outcome.card.distillation is not None
    assert f"{outcome.card.distillation.divergence:.3f}" in found
    assert "--student" in found


def test_the_mirror_in_the_model_tells_of_the_bag_too(penguins: Path, tmp_path: Path) -> None:
    """model.onnx alone tells a stranger everything."""
    outcome = train(penguins, tmp_path, epochs=2)
    model = onnx.load_from_string(ModelRepository(tmp_path).read("student", 1).onnx)
    (text,) = [one.value for one in model.metadata_props if one.key == "distillation"]

    assert outcome.card.distillation is not None
    assert json.loads(text)["members"] == 3


def test_the_bag_is_the_one_that_would_be_published_alone(penguins: Path, tmp_path: Path) -> None:
    """Whether a student follows or not: the members' weights are the same to the last bit."""
    outcome = train(penguins, tmp_path, selection=False)
    config = TrainingConfig.of(table=penguins, **SETTINGS, selection=False)
    alone = train_bag(config, prepare(config)[1])

    for one, other in zip(alone.members, outcome.bag.members, strict=True):
        assert np.array_equal(one.network.values, other.network.values)
