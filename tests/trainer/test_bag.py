from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from models.repository import ModelRepository
from trainer.arrays import Array
from trainer.data.encoder import Encoder
from trainer.data.rows import Rows
from trainer.data.table import read_table
from trainer.fitting.members import Watch, members_for, unwatched
from trainer.fitting.start import Start
from trainer.job.job import run, train_on
from trainer.job.publishing import Outcome
from trainer.settings.config import TrainingConfig
from trainer.training.records import Epoch

SETTINGS = {"target": "species", "name": "bag", "epochs": 4, "hidden": (8,), "distil": False}


def train(penguins: Path, root: Path, watch: Watch = unwatched, **settings: object) -> Outcome:
    config = TrainingConfig.of(table=penguins, **(SETTINGS | {"members": 3} | settings))
    return run(config, ModelRepository(root), watch, resume=True, with_report=False)


class Killed(Exception):
    """Stands for the end of the process."""


def at(member: int, epoch: int, happening: type[BaseException]) -> Watch:
    def watch(which: int, _: int, ended: Epoch) -> None:
        if (which, ended.number) == (member, epoch):
            raise happening

    return watch


def test_the_answer_is_the_mean_of_the_members(penguins: Path, tmp_path: Path) -> None:
    """Each member's answer through the common calibrator, added up and divided by their number; so in the graph."""
    outcome = train(penguins, tmp_path)
    classifier, rows = outcome.classifier, read_table(penguins, "species").examples.rows
    inputs = classifier.encoder.encode(rows)
    alone = [classifier.calibrator.probabilities(network.logits(inputs)) for network in classifier.networks]

    np.testing.assert_allclose(classifier.predict(rows), np.mean(alone, axis=0), atol=1e-6)
    assert np.abs(alone[0] - alone[1]).max() > 0.01
    assert outcome.difference <= 1e-5
    nodes = onnx.load_from_string(ModelRepository(tmp_path).read("bag", 1).onnx).graph.node
    assert [len(node.input) for node in nodes if node.op_type == "Mean"] == [3]


def test_the_card_has_the_statistics_of_every_member(penguins: Path, tmp_path: Path) -> None:
    """Four networks, four lists of layers; each validates on a fourth of the learning rows, but for a row a class."""
    card = train(penguins, tmp_path, members=4).card

    assert [len(frozen.layers) for frozen in card.frozen_statistics] == [1] * 4
    assert card.frozen_statistics[0].layers != card.frozen_statistics[1].layers
    assert sum(metrics.rows for metrics in card.metrics.values()) == 344
    assert card.metrics["train"].rows == pytest.approx(3 * card.metrics["validation"].rows, abs=3)


def test_a_bag_encodes_every_row_once(penguins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For all members, measures, baselines and the card; the gate and the golden rows alone start from raw rows."""
    encoded: list[int] = []
    encode = Encoder.encode

    def counted(encoder: Encoder, rows: Rows) -> Array:
        encoded.append(len(rows))
        return encode(encoder, rows)

    monkeypatch.setattr(Encoder, "encode", counted)
    train(penguins, tmp_path, selection=False)

    table, golden, gate = 344, (8, 1), (1000, 11)
    assert sorted(encoded) == sorted([table, *golden, *gate])


def test_a_bag_is_better_than_its_members(penguins: Path) -> None:
    """The loss is convex: the mean of the answers has a lower log-loss than the members have on average."""
    examples = read_table(penguins, "species").examples
    classifier = train_on(TrainingConfig.of(table=penguins, **(SETTINGS | {"members": 3})), examples)
    inputs = classifier.encoder.encode(examples.rows)

    def log_loss(probabilities: np.ndarray) -> float:
        return float(-np.log(probabilities[np.arange(len(examples)), examples.labels]).mean())

    alone = [classifier.calibrator.probabilities(network.logits(inputs)) for network in classifier.networks]
    assert log_loss(classifier.predict_encoded(inputs)) < np.mean([log_loss(one) for one in alone])


@pytest.mark.parametrize(("member", "epoch"), [(0, 2), (1, 1), (2, 4)])
@pytest.mark.parametrize("selection", [False, True])
def test_a_killed_bag_is_taken_up_to_the_same_end(
    penguins: Path, tmp_path: Path, member: int, epoch: int, selection: bool
) -> None:
    """Whichever member it was in; members that were done are not trained again, but for those of candidates."""
    seen: list[tuple[int, int]] = []
    settings: dict[str, Any] = {"selection": selection}
    with pytest.raises(Killed):
        train(penguins, tmp_path / "killed", at(member, epoch, Killed), **settings)
    train(penguins, tmp_path / "killed", lambda which, _, ended: seen.append((which, ended.number)), **settings)
    train(penguins, tmp_path / "whole", **settings)

    killed, whole = (ModelRepository(tmp_path / store).read("bag", 1).onnx for store in ("killed", "whole"))
    assert killed == whole
    left = [(which, number) for which in range(3) for number in range(1, 5) if (which, number) > (member, epoch)]
    assert seen[: len(left)] == left
    assert selection or len(seen) == len(left)
    assert not (tmp_path / "killed" / ".checkpoints").exists()


@pytest.mark.parametrize(("epoch", "networks"), [(1, 2), (4, 2)])
def test_ctrl_c_publishes_the_members_so_far(penguins: Path, tmp_path: Path, epoch: int, networks: int) -> None:
    """In the second of three members: it counts with its best epoch, and the third is never trained."""
    outcome = train(penguins, tmp_path, at(1, epoch, KeyboardInterrupt))

    assert len(outcome.classifier.networks) == networks
    assert outcome.bag.members[-1].history.interrupted
    assert outcome.difference <= 1e-5


def test_ctrl_c_between_members_publishes_those_that_have_begun(
    penguins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member without an epoch behind it is left out."""
    from trainer.fitting import members as bag

    build = bag.build_member

    def interrupted(config: TrainingConfig, start: Start, number: int) -> bag.Member:
        if number == 2:
            raise KeyboardInterrupt
        return build(config, start, number)

    monkeypatch.setattr(bag, "build_member", interrupted)
    assert len(train(penguins, tmp_path).classifier.networks) == 2


@pytest.mark.parametrize(("rows", "members"), [(10, 5), (40_000, 5), (40_001, 4), (100_001, 1), (10**6, 1)])
def test_small_tables_get_a_bag_by_themselves(rows: int, members: int) -> None:
    """Five networks, or as many as read 200 000 rows together."""
    assert members_for(rows) == members
