"""The options of `evenkeel fit` as parameters of `evenkeel.fit`."""

import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypedDict

from evenkeel.tables.given import FRAME, TEST_FRAME, Table, path_of
from trainer.data.decoded import Decoded
from trainer.data.frames import decode_frame
from trainer.data.scaling import Kind
from trainer.errors import InvalidSetting
from trainer.settings.config import TrainingConfig
from trainer.settings.hyperparameters import Activation, Optimizer, Schedule, Statistics
from trainer.settings.spelling import check_kinds, plain

# A model is named when it is published.
UNNAMED = "model"
# What is said of the bytes of a file.
OF_FILES = ("delimiter", "encoding", "sheet", "keep_total")


class Settings(TypedDict, total=False):
    """Every option of `evenkeel fit`; defaults and ranges are the command line's. A test holds the two together."""

    # How the table is read.
    delimiter: str
    encoding: str
    decimal: str
    sheet: str
    keep_total: bool
    merge_spellings: bool
    schema: str | os.PathLike[str]
    drop: Sequence[str]
    weight: str
    # How it is split.
    split_by: str
    group: str
    time: str
    keep: Sequence[str]
    test_table: Table
    validation: float
    test: float
    coverage_rows: float
    seed: int
    # The network.
    hidden: Sequence[int]
    activation: Activation
    batch_norm: Literal["before", "after", "none"]
    dropout: float
    input_dropout: float
    periodic: float
    statistics: Statistics
    ewma_decay: float
    epsilon: float
    scaling: Kind
    atoms: bool
    one_hot: int
    selection: bool
    members: int
    distil: bool
    student: Sequence[int]
    teacher: Literal["bag", "trees", "auto"]
    # Training.
    optimizer: Optimizer
    learning_rate: float
    beta1: float
    beta2: float
    weight_decay: float
    schedule: Schedule
    warm_up: float
    batch_size: int
    epochs: int
    patience: int
    label_smoothing: float
    clip_norm: float
    class_weight: Literal["none", "balanced"]
    compiled: bool
    restart: int
    time_limit: float | str
    memory: int | str
    # What is published.
    coverage: float
    positive: str
    threshold: str
    background: int


def training_config(table: Table, target: str, settings: Settings) -> tuple[TrainingConfig, Mapping[Path, Decoded]]:
    """The settings of a job, and those of its tables that are in memory.

    :raises InvalidSetting: there is no such setting, or it is outside its range.
    :raises InvalidTable: a frame is none that can be trained on.
    """
    given: dict[str, Any] = {**settings}
    for name in given:
        if name not in Settings.__annotations__:
            raise InvalidSetting(f"there is no setting '{name[:64]}'; {_instead(name)}")
    check_kinds({"target": target, **given})
    if path_of(table) is None:
        for name in OF_FILES:
            if given.get(name):
                raise InvalidSetting(f"--{name} says how a file is read, and the table is in memory; leave it out")
    frames: dict[Path, Decoded] = {}
    given["table"] = _placed(table, FRAME, frames)
    if "test_table" in given:
        given["test_table"] = _placed(given["test_table"], TEST_FRAME, frames)
    if "schema" in given:
        given["table_schema"] = given.pop("schema")
    values = {name: plain(value) for name, value in given.items()}
    return TrainingConfig.of(target=target, name=UNNAMED, **values), frames


def _instead(name: str) -> str:
    """What to write where there is no such setting."""
    if name == "name":
        return 'a model is named when it is published: model.publish("NAME")'
    nearest = get_close_matches(name, Settings.__annotations__, 1)
    return f"'{nearest[0]}' may be meant" if nearest else "docs/training.md lists them"


def _placed(table: Table, word: Path, frames: dict[Path, Decoded]) -> Path:
    """The path of a table; one in memory is added to the `frames` by a word for it."""
    path = path_of(table)
    if path is not None:
        return path
    assert not isinstance(table, str | os.PathLike)
    frames[word] = decode_frame(table, word)
    return word
