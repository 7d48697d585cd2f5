"""The rows of a study under each encoding that its trials ask for: encoded once, shared by all processes."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, Self, cast

import numpy as np

from trainer.data.encoder import Encoder
from trainer.data.scaling import Kind
from trainer.fitting.start import Start
from trainer.job import job
from trainer.search.space import Choice, Space
from trainer.settings.config import TrainingConfig
from trainer.training.records import Encoded

PARTS = ("train", "validation")
ARRAYS = ("inputs", "labels", "weights")


class Encoding(NamedTuple):
    """How a row becomes numbers. Trials that agree in it train on the same rows."""

    scaling: Kind
    atoms: bool
    one_hot: int

    @classmethod
    def of(cls, config: TrainingConfig) -> Self:
        return cls(config.scaling, config.atoms, config.one_hot)


@dataclass(frozen=True, eq=False)
class Rows:
    """Encoded rows, those of the first member where there is a bag."""

    encoder: Encoder
    train: Encoded
    validation: Encoded
    classes: int


@dataclass(frozen=True, eq=False)
class Table:
    """A table as it was read and split: its digest, and that of how it was read."""

    sha256: str
    reading: str
    start: Start

    @classmethod
    def read(cls, config: TrainingConfig) -> "Table":
        """Read and split the table, once for all trials.

        :raises TrainerError: the table cannot be trained on.
        :raises OSError: the table cannot be read.
        """
        labelled, start = job.prepare(config)
        reading = json.dumps([labelled.test_sha256, labelled.schema.decisions()], sort_keys=True, default=str)
        return cls(labelled.sha256, hashlib.sha256(reading.encode()).hexdigest(), start)

    @property
    def members(self) -> int:
        """How many networks a bag on it has."""
        return len(self.start.split.folds)

    def rows(self, config: TrainingConfig) -> Rows:
        """The rows as these settings encode them."""
        start = Start.on(config, self.start.examples, self.start.split)
        (fold, *_) = start.split.folds
        return Rows(start.encoder, start.encode(fold.train), start.encode(fold.validation), len(start.examples.classes))


@dataclass(frozen=True, eq=False)
class SharedRows:
    """Rows that another process has written, mapped into memory: all processes read the same pages."""

    folder: Path
    encoders: Mapping[Encoding, Encoder]
    classes: int

    def rows(self, config: TrainingConfig) -> Rows:
        """The rows as these settings encode them."""
        encoding = Encoding.of(config)
        folder = _folder(self.folder, encoding)
        train, validation = (Encoded(*(_mapped(folder / f"{part}-{array}.npy") for array in ARRAYS)) for part in PARTS)
        return Rows(self.encoders[encoding], train, validation, self.classes)


def share(table: Table, config: TrainingConfig, box: Space, folder: Path) -> SharedRows:
    """Write the rows, under every encoding that the space has, where other processes find them."""
    encoders = {}
    for settings in _encoded_apart(config, box):
        rows, encoding = table.rows(settings), Encoding.of(settings)
        encoders[encoding] = rows.encoder
        _write(rows, _folder(folder, encoding))
    return SharedRows(folder, encoders, len(table.start.examples.classes))


def _encoded_apart(config: TrainingConfig, box: Space) -> Iterator[TrainingConfig]:
    """The settings, once for every way of encoding that the space has."""
    axes = {name: box.get(name, Choice((value,))) for name, value in Encoding.of(config)._asdict().items()}
    for values in product(*(axis.options for axis in axes.values() if isinstance(axis, Choice))):
        yield config.model_copy(update=dict(zip(axes, values, strict=True)))


def _folder(folder: Path, encoding: Encoding) -> Path:
    return folder / "-".join(map(str, encoding))


def _write(rows: Rows, folder: Path) -> None:
    folder.mkdir()
    for part in PARTS:
        for array in ARRAYS:
            if (values := getattr(getattr(rows, part), array)) is not None:
                with (folder / f"{part}-{array}.npy").open("wb") as file:
                    # Into a file that it knows for one, numpy writes without saying why it could not.
                    np.save(cast(Any, SimpleNamespace(write=file.write)), values)


def _mapped(path: Path) -> Any:
    return np.load(path, mmap_mode="r") if path.exists() else None
