"""One training, and what the search needs of the job. Its only module that knows how a job is put together."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from trainer import job
from trainer.bag import member_on
from trainer.config import TrainingConfig
from trainer.data.encoder import Encoder
from trainer.training.fit import Encoded, Epoch, History, Score, fit, freeze_for_validation, score

PARTS = ("train", "validation")
ARRAYS = ("inputs", "labels", "weights")


@dataclass(frozen=True)
class Table:
    """What a table is known by: its digest, and that of how it is read; and how many members a bag on it has."""

    sha256: str
    reading: str
    members: int


@dataclass(frozen=True, eq=False)
class Rows:
    """The encoded rows that every trial of a study trains on, those of the first member where there is a bag."""

    encoder: Encoder
    train: Encoded
    validation: Encoded
    classes: int


def encode(config: TrainingConfig) -> tuple[Table, Rows]:
    """Read, split and encode the table, once for all trials.

    :raises TrainerError: the table cannot be trained on.
    :raises OSError: the table cannot be read.
    """
    table, start = job.prepare(config)
    classes = len(table.examples.classes)
    (fold, *_) = start.split.folds
    rows = Rows(start.encoder, start.encode(fold.train), start.encode(fold.validation), classes)
    reading = json.dumps([table.test_sha256, table.schema.decisions()], sort_keys=True, default=str)
    digest = hashlib.sha256(reading.encode()).hexdigest()
    return Table(table.sha256, digest, len(start.split.folds)), rows


def share(rows: Rows, folder: Path) -> None:
    """Write the rows where other processes find them."""
    for part in PARTS:
        for array in ARRAYS:
            if (values := getattr(getattr(rows, part), array)) is not None:
                np.save(folder / f"{part}-{array}.npy", values)


def shared(folder: Path, encoder: Encoder, classes: int) -> Rows:
    """The rows that another process has written, mapped into memory: all processes read the same pages."""
    train, validation = (Encoded(*(_mapped(folder / f"{part}-{array}.npy") for array in ARRAYS)) for part in PARTS)
    return Rows(encoder, train, validation, classes)


def _mapped(path: Path) -> Any:
    return np.load(path, mmap_mode="r") if path.exists() else None


@dataclass(frozen=True)
class Result:
    """What a training came to: its epochs, and the score of its best on the rows that it learned from."""

    history: History
    train: Score

    @property
    def log_loss(self) -> float:
        """What counts, in nats: the higher of the log-losses on validation and on training rows.

        No network knows what it has not seen better than what it has. Where it seems to, there are few validation rows,
        and one of many trials was lucky with them.
        """
        assert self.history.best.validation is not None
        return max(self.history.best.validation.log_loss, self.train.log_loss)


def train(config: TrainingConfig, rows: Rows, watch: Callable[[Epoch], None] = lambda _: None) -> Result:
    """Train as the first member of `fit` with these settings would, to the same bits.

    :raises Diverged: the loss stopped being finite.
    :raises KeyboardInterrupt: somebody stopped it.
    """
    member = member_on(config, rows.encoder, rows.train, rows.validation, rows.classes)
    # An overflow shows in the loss; among many trials there are some.
    with np.errstate(all="ignore"):
        history = fit(member.network, member.train, member.validation, config, member.rng, watch=watch)
        if history.interrupted:
            raise KeyboardInterrupt
        freeze_for_validation(member.network, member.train, config)
        return Result(history, score(member.network, member.train))


def cost(config: TrainingConfig, inputs: int, rows: int) -> float:
    """About how long an epoch takes, in seconds: enough to tell the long trials from the short."""
    products = sum(width * following for width, following in pairwise((inputs, *config.hidden)))
    return rows / config.batch_of(rows) * 1e-4 + rows * products * 3e-10
