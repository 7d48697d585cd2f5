"""What a bag answers on the rows that it did not learn from."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.repository import ModelRepository
from trainer.arrays import Array
from trainer.evaluation.answers import held_out
from trainer.fitting.fitted import Fitted
from trainer.fitting.members import train_bag
from trainer.fitting.selection import Selection
from trainer.job.job import prepare, run
from trainer.nn.calibrator import Calibrator
from trainer.nn.network import Network
from trainer.settings.config import TrainingConfig


@pytest.fixture
def config(penguins: Path) -> TrainingConfig:
    return TrainingConfig.of(table=penguins, target="species", name="penguins", epochs=3, validation=0.2, test=0.1)


@pytest.fixture
def repository(tmp_path: Path) -> ModelRepository:
    return ModelRepository(tmp_path)


def test_the_answers_are_those_of_the_classifier(config: TrainingConfig) -> None:
    """Bit for bit, with the calibrator and without it, and of each network alone on its own validation rows."""
    start = prepare(config)[1]
    bag = train_bag(config, start)
    answers = held_out(start, Fitted(bag, Selection(config, start)))
    idle = replace(bag.classifier, calibrator=Calibrator.idle(len(bag.classifier.classes)))
    test = start.part(start.split.test)

    np.testing.assert_array_equal(answers.test.probabilities, bag.classifier.predict_encoded(test.inputs))
    np.testing.assert_array_equal(answers.test.uncalibrated, idle.predict_encoded(test.inputs))
    for found, member, fold in zip(answers.validation, bag.members, start.split.folds, strict=True):
        alone = replace(bag.classifier, networks=(member.network,))
        part = start.part(fold.validation)
        np.testing.assert_array_equal(found.probabilities, alone.predict_encoded(part.inputs))
        np.testing.assert_array_equal(found.labels, part.labels)


def test_each_network_answers_the_test_rows_once(
    config: TrainingConfig, repository: ModelRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verdict, the calibration, the scores of the card and --promote all measure the same answers."""
    run(config, repository)
    rows = len(prepare(config)[1].split.test)
    asked: list[int] = []

    def counted(logits: Callable[..., Array]) -> Callable[..., Array]:
        def look(network: Network, inputs: Array) -> Array:
            asked.append(len(inputs))
            return logits(network, inputs)

        return look

    monkeypatch.setattr(Network, "logits", counted(Network.logits))
    outcome = run(config, repository, promote="if-better", with_report=False)

    student, regression = 1, 1
    assert asked.count(rows) == len(outcome.bag.members) + student + regression
