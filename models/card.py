"""The model card: everything a stranger must know to use a model, and everything a service needs to check it."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from models.drift import DriftBaseline
from models.evaluation import Evaluation
from models.features import CategoricalFeature, DateFeature, Feature, NumericFeature, Record
from models.sets import PredictionSets


class _Part(BaseModel):
    # Unknown keys are let through: a card written by a newer trainer stays readable.
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class Metrics(_Part):
    """How well the model did on one part of the table. `log_loss` is the mean of -log p(true class), in nats."""

    rows: int
    log_loss: float
    accuracy: float


class Moments(_Part):
    """Mean and variance of each unit's z in one layer, both of shape (units,)."""

    mean: tuple[float, ...]
    variance: tuple[float, ...]


class LayerStatistics(_Part):
    """One batch-norm layer: what training tracked, and what a pass over the training rows measured."""

    running: Moments
    population: Moments


class FrozenStatistics(_Part):
    """The statistics that every answer of one network is normalised with (Ioffe & Szegedy 2015, Algorithm 2).

    `source` names the ones that the export contains. `largest_shift` says how far the two kinds lie apart: the largest
    distance between a running and a population mean, in standard deviations of that unit. `validation_log_loss` holds
    what the network reached under each kind, in nats; of a network that learned from others, `divergence` holds how far
    it is from them.
    """

    source: Literal["running", "population"]
    epsilon: float
    ewma_decay: float
    largest_shift: float
    validation_log_loss: dict[Literal["running", "population"], float] = {}
    divergence: dict[Literal["running", "population"], float] = {}
    layers: tuple[LayerStatistics, ...]


class Reliability(_Part):
    """How well probabilities hold: log-loss in nats, Brier score, expected calibration error over 15 equal bins."""

    log_loss: float
    brier: float
    ece: float


class Calibration(_Part):
    """What logits are divided by and what is added then, a bias a class, and what that did to the test rows.

    Both are fitted on the validation rows.
    """

    temperature: float
    bias: tuple[float, ...] = ()
    before: Reliability
    after: Reliability


class Provenance(_Part):
    """Where the model came from: enough to train it again, byte for byte.

    `table_schema` says how each column of the table was read, in the words of a schema file.
    """

    created: datetime
    evenkeel: str
    python: str
    libraries: dict[str, str]
    table: str
    table_sha256: str
    test_table: str | None = None
    test_table_sha256: str | None = None
    target: str
    table_schema: dict[str, Any] = {}
    rows_without_target: int
    settings: dict[str, Any]
    # Of a run whose settings were changed while it ran: from which epoch on, which ones.
    changes: dict[int, dict[str, Any]] = {}


class Distillation(_Part):
    """The bag of networks that the published one learned from.

    `members` is how many there were, `temperature` what their logits were divided by, and `test` what they reach on the
    test rows together. The published network was trained for `epochs`, and is `divergence` nats from them: the mean of
    Σ p log(p / q) on rows mixed of two training rows, p their probabilities and q its own. `trees` is the share that
    gradient-boosted trees had in what it learned from, None where there were none.
    """

    members: int
    trees: float | None = None
    temperature: float
    epochs: int
    divergence: float
    test: Metrics


class Candidate(_Part):
    """What was tried beside the defaults: this rate of input dropout, these numeric features as categories, and this
    `scaling` of the others, None where it is as it was asked for.

    `gain` is by how much it lowers the log-loss of `rows` validation rows, in nats, and `interval` its 95 % interval.
    """

    input_dropout: float
    categories: tuple[str, ...] = ()
    scaling: str | None = Field(None, exclude_if=lambda value: value is None)
    rows: int
    gain: float
    interval: tuple[float, float]
    chosen: bool = False


class SearchSummary(_Part):
    """The search that chose the settings: how much was tried, and what the chosen trial reached on validation rows.

    `refits` are the validation log-losses, in nats, of the same settings with several first weights; the lowest was
    published. `space` is what the trials were drawn from.
    """

    study: str
    sampler: str
    trials: int
    stopped: int
    diverged: int
    trial: int
    validation_log_loss: float
    refits: tuple[float, ...]
    space: dict[str, Any]


class LearnedRows(_Part):
    """By what rows are known again that the networks learned from.

    `hashes` are the lowest of the hashes of all different rows, eight bytes each, in base64; they are `all` of them
    where there are few. Of so many rows that were `tested`, `repeated` are alike a learned one by chance.
    """

    hashes: str = Field(pattern=r"^[A-Za-z0-9+/]*={0,2}$")
    all: bool
    tested: int = Field(ge=0)
    repeated: int = Field(ge=0)


class GoldenRow(_Part):
    """A record and the answer the network gave to it before export; whoever loads the model must get the same."""

    instance: Record
    probabilities: tuple[float, ...]


class FileDigest(_Part):
    """Size in bytes and SHA-256 in hexadecimal of one file of the model."""

    bytes: int
    sha256: str


class ModelCard(_Part):
    """The description of one model. `classes` gives the order of every list of probabilities.

    `frozen_statistics` has one entry a network: a bag has several. Where one network learned from a bag, and is
    published in its place, `distillation` tells of the bag, and the validation metrics are those of its members.
    `selection` has the candidates that were tried beside the default encoding, one of them `chosen` at most.
    `evaluation` is what the test rows say, `warnings` are what whoever uses the model should know, a sentence each. Of
    two classes `positive` is the one that is looked for, and `threshold` the probability from which on a row is taken
    for it. Cards from before there was one have no `drift` and no `evaluation`. `sets` says which classes belong to an
    answer; a model that was trained without --coverage has none, and its card does not name them.
    """

    format: Literal[1] = 1
    name: str
    features: tuple[Feature, ...]
    classes: tuple[str, ...]
    metrics: dict[str, Metrics]
    provenance: Provenance
    frozen_statistics: tuple[FrozenStatistics, ...]
    calibration: Calibration | None = None
    distillation: Distillation | None = None
    selection: tuple[Candidate, ...] = Field((), exclude_if=lambda value: not value)
    search: SearchSummary | None = None
    drift: DriftBaseline | None = None
    evaluation: Evaluation | None = None
    warnings: tuple[str, ...] = ()
    positive: str | None = None
    threshold: float | None = Field(None, ge=0, le=1)
    sets: PredictionSets | None = Field(None, exclude_if=lambda value: value is None)
    typical: Record | None = None
    background: tuple[Record, ...] = ()
    learned_rows: LearnedRows | None = None
    golden: tuple[GoldenRow, ...]
    files: dict[str, FileDigest] = {}

    @field_validator("frozen_statistics", mode="before")
    @classmethod
    def _of_each_network(cls, statistics: Any) -> Any:
        """Cards from before there were bags hold those of their one network."""
        return (statistics,) if isinstance(statistics, Mapping) else statistics

    @model_validator(mode="after")
    def _consistent(self) -> "ModelCard":
        names = [feature.name for feature in self.features]
        if len(set(names)) != len(names):
            raise ValueError("two features share a name")
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise ValueError("classes must be at least two, all different")
        if any(len(row.probabilities) != len(self.classes) for row in self.golden):
            raise ValueError("a golden row has not one probability a class")
        if self.drift and not {(one.feature, one.kind) for one in self.drift.features} <= {
            (feature.name, "categorical" if feature.kind == "categorical" else "numeric") for feature in self.features
        }:
            raise ValueError("the drift baseline has a feature that is none of the model's")
        if any(row.keys() != set(names) for row in (*([self.typical] if self.typical else []), *self.background)):
            raise ValueError("a typical or background row has not the features of the model")
        if self.positive is not None and self.positive not in self.classes:
            raise ValueError("the positive class is none of the classes")
        return self

    @property
    def numeric(self) -> tuple[NumericFeature | DateFeature, ...]:
        """The columns of the `numeric` tensor, in order: numbers and dates."""
        return tuple(feature for feature in self.features if feature.kind != "categorical")

    @property
    def categorical(self) -> tuple[CategoricalFeature, ...]:
        """The columns of the `categorical` tensor, in order."""
        return tuple(feature for feature in self.features if feature.kind == "categorical")

    @property
    def learning_rows(self) -> int:
        """How many rows the networks learned from, those that chose their epochs included."""
        # Each member has training and validation rows of its own, together the same for all; a student learns from all.
        parts = ("train",) if self.distillation else ("train", "validation")
        return sum(self.metrics[part].rows for part in parts if part in self.metrics)

    def to_json(self) -> str:
        """The text of card.json: one line a part, so that people can read it and diff it."""
        return one_line_a_part(self.model_dump(mode="json"))


def one_line_a_part(document: Mapping[str, Any]) -> str:
    """JSON with each top-level key on a line of its own."""
    parts = (f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in document.items())
    return "{\n" + ",\n".join(parts) + "\n}\n"
