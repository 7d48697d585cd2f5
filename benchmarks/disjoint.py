"""Whether members on disjoint samples of a table of many rows, and a student of all rows, better one network.

PYTHONPATH=. python benchmarks/disjoint.py ../shared/data/skin_segmentation/skin_segmentation.csv.gz class --epochs 10

Four members train on a quarter of the training rows each, with the same validation rows, for as many epochs as one
network on all of them; the student learns from their mean on all rows, for as many epochs too. Against it: one network
for three times the epochs, and one of the student's units for twice the epochs.

Each line: the seed, seconds of processor time, log-loss on the test rows (nats), share of errors.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from trainer.data.split import Fold
from trainer.data.table import Table, read_table
from trainer.fitting import student
from trainer.fitting.members import Bag, train_bag
from trainer.fitting.start import Start, generator
from trainer.fitting.student import Student, learn_from
from trainer.fitting.teacher import Teacher
from trainer.measures.scores import losses_of
from trainer.settings.config import TrainingConfig

MEMBERS, WIDE = 4, (256, 256)
# The number of the generator that draws the samples.
SAMPLES = 99


def compare(table: Table, epochs: int, settings: dict[str, Any]) -> None:
    """Print a line for each way to train on the table."""

    def config_of(times: int = 1, **others: Any) -> TrainingConfig:
        return TrainingConfig(**settings, epochs=times * epochs, patience=times * epochs, **others)

    config = config_of()
    chosen = table.split(config.validation, config.test, generator(config.seed, 0), 1)
    start = Start.on(config, table.examples, chosen)
    fold, test = chosen.folds[0], start.part(chosen.test)
    drawn = generator(config.seed, SAMPLES).permutation(fold.train)
    folds = tuple(Fold(np.sort(drawn[member::MEMBERS]), fold.validation) for member in range(MEMBERS))
    disjoint = replace(start, split=replace(chosen, folds=folds))

    def tell(way: str, train: Callable[[], Bag | Student | None]) -> Bag | Student | None:
        began = time.process_time()
        trained = train()
        seconds = time.process_time() - began
        assert trained is not None
        answers = trained.classifier.predict_encoded(test.inputs)
        loss, errors = losses_of(answers, test.labels).mean(), np.mean(answers.argmax(1) != test.labels)
        print(f"{config.seed} {way}: {seconds:.1f} s, {loss:.5f}, {errors:.5f}", flush=True)
        return trained

    tell("one network", lambda: train_bag(config, start))
    bag = tell("four members on a quarter each", lambda: train_bag(config, disjoint))
    assert isinstance(bag, Bag)
    with mock.patch.multiple(student, FEWEST_EPOCHS=epochs, FEWEST_STEPS=1):
        for units in (config.hidden, WIDE):
            tell(f"their student of {units}", partial(learn_from, Teacher(bag), config_of(student=units), disjoint))
    tell(f"one network of {WIDE}, twice the epochs", lambda: train_bag(config_of(2, hidden=WIDE), start))
    tell("one network, three times the epochs", lambda: train_bag(config_of(3), start))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("target")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    table = read_table(options.table, options.target)
    for seed in range(options.seeds):
        settings = {"table": options.table, "target": options.target, "name": "disjoint", "seed": seed}
        compare(table, options.epochs, settings)


if __name__ == "__main__":
    main()
