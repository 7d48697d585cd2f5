"""The training job: a table in, a published model out."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from models import __version__
from models.card import Calibration, ModelCard
from models.repository import ModelRepository
from trainer.classifier import Classifier
from trainer.config import TrainingConfig
from trainer.data.encoder import Encoder, fit_encoder
from trainer.data.rows import Examples
from trainer.data.schema import Schema
from trainer.data.split import Parts, split
from trainer.data.table import Table, read_table
from trainer.describe import Scores, describe, libraries, mirror
from trainer.errors import DamagedCheckpoint, TrainerError
from trainer.export.gate import check_export
from trainer.export.graph import to_onnx
from trainer.nn.architecture import build_network
from trainer.nn.network import Network
from trainer.training.calibration import calibrate, hold_against
from trainer.training.checkpoint import FileCheckpoint
from trainer.training.fit import Encoded, Epoch, History, fit, score
from trainer.training.freezing import Frozen, freeze
from trainer.training.weighting import as_counts, class_shares, weigh


@dataclass(frozen=True)
class Outcome:
    """What a job leaves behind. `difference` is the largest between a probability of the network and the graph's."""

    card: ModelCard
    version: int
    schema: Schema
    classifier: Classifier
    history: History
    frozen: Frozen
    calibration: Calibration
    difference: float


@dataclass(frozen=True)
class Start:
    """Everything a run begins with: the parts of the table, encoded, and a network with its first weights."""

    parts: Parts
    encoder: Encoder
    train: Encoded
    validation: Encoded
    network: Network
    rng: np.random.Generator


def prepare(config: TrainingConfig) -> tuple[Table, Start]:
    """Read, split and encode the table, and build the network.

    :raises TrainerError: the table cannot be trained on.
    :raises OSError: the table cannot be read.
    """
    table = read_table(config.table, config.target, config.drop, config.weight, config.table_schema)
    parts = split(table.examples, config.validation, config.test, _generators(config.seed)[0])
    return table, begin(config, parts)


def begin(config: TrainingConfig, parts: Parts) -> Start:
    """Encode the parts of a table and build the network."""
    encoder = fit_encoder(parts.train.rows)
    train, validation = (_encode(encoder, part) for part in (parts.train, parts.validation))
    if train.weights is not None:
        train = replace(train, weights=as_counts(train.weights))
    classes = len(parts.train.classes)
    training = _generators(config.seed)[1]
    if config.class_weight == "balanced":
        train, validation = weigh(train, train, classes), weigh(validation, train, classes)
    network = build_network(
        config.architecture(encoder.width, classes), training, class_shares=class_shares(train, classes)
    )
    return Start(parts, encoder, train, validation, network, training)


def train_on(config: TrainingConfig, examples: Examples) -> Classifier:
    """Train on examples that are all there to learn from; a share of them chooses the epoch. Nothing is published.

    :raises TrainerError: the examples cannot be trained on.
    """
    parts = split(examples, config.validation, 0.0, _generators(config.seed)[0])
    start = begin(config, parts)
    fit(start.network, start.train, start.validation, config, start.rng)
    _settle(config, start)
    return Classifier(start.encoder, start.network, examples.classes)


def run(
    config: TrainingConfig, repository: ModelRepository, watch: Callable[[Epoch], None], *, resume: bool = False
) -> Outcome:
    """Train as `config` says and publish into `repository`; `watch` is called after every epoch.

    After each epoch the run is saved beside the models, and `resume` takes up one that was killed; the file is gone
    when the run is over.

    :raises TrainerError: nothing was published; the sentence says why.
    :raises OSError: the table cannot be read or the repository cannot be written; nothing was published.
    """
    table, start = prepare(config)
    network = start.network
    checkpoint = FileCheckpoint(repository.root / ".checkpoints", config.name, _identity(config, table), resume=resume)
    try:
        history = fit(network, start.train, start.validation, config, start.rng, watch=watch, checkpoint=checkpoint)
        frozen = _settle(config, start)
        test = _encode(start.encoder, start.parts.test)
        calibration = hold_against(network, test)
        classifier = Classifier(start.encoder, network, table.examples.classes)
        card = describe(config, table, start.parts, classifier, frozen, calibration, _scores(start, test))
        model = to_onnx(classifier, mirror(card))
        drawing = _generators(config.seed)[2]
        difference = check_export(model, classifier, table.examples.rows, drawing)
        version = repository.publish(card, {"model.onnx": model})
    except DamagedCheckpoint:
        raise
    except TrainerError:
        checkpoint.remove()
        raise
    checkpoint.remove()
    return Outcome(card, version, table.schema, classifier, history, frozen, calibration, difference)


def _generators(seed: int) -> list[np.random.Generator]:
    """One for the split, one for everything in training, one for the export gate."""
    return [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(3)]


def _settle(config: TrainingConfig, start: Start) -> Frozen:
    """Fix what inference needs beside the weights: the statistics, and the temperature."""
    frozen = freeze(
        start.network, start.train, start.validation, statistics=config.statistics, batch_size=config.batch_size
    )
    calibrate(start.network, start.validation)
    return frozen


def _encode(encoder: Encoder, part: Examples) -> Encoded:
    return Encoded(encoder.encode(part.rows), part.labels, part.weights)


def _scores(start: Start, test: Encoded) -> Scores:
    """The final scores, in which rows count as the table says and class weights do not."""
    train, validation = (
        replace(encoded, weights=part.weights)
        for encoded, part in ((start.train, start.parts.train), (start.validation, start.parts.validation))
    )
    return Scores(*(score(start.network, part) for part in (train, validation, test)))


def _identity(config: TrainingConfig, table: Table) -> dict[str, object]:
    """What a run's every bit depends on."""
    return {
        "settings": config.settings(),
        "target": config.target,
        "table": table.sha256,
        "schema": table.schema.decisions(),
        "libraries": libraries(),
        "evenkeel": __version__,
    }
