"""The training job: a table in, a published model out."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from models import __version__
from models.card import ModelCard
from models.repository import ModelRepository
from trainer.classifier import Classifier
from trainer.config import TrainingConfig
from trainer.data.encoder import Encoder, fit_encoder
from trainer.data.rows import Examples
from trainer.data.split import Parts, split
from trainer.data.table import Table, read_table
from trainer.describe import Scores, describe, mirror
from trainer.errors import DamagedCheckpoint, TrainerError
from trainer.export.gate import check_export
from trainer.export.graph import to_onnx
from trainer.nn.architecture import build_network
from trainer.nn.network import Network
from trainer.training.checkpoint import FileCheckpoint
from trainer.training.fit import Encoded, Epoch, History, fit, score
from trainer.training.freezing import Frozen, freeze
from trainer.training.weighting import as_counts, class_shares, weigh


@dataclass(frozen=True)
class Outcome:
    """What a job leaves behind. `difference` is the largest between a probability of the network and the graph's."""

    card: ModelCard
    version: int
    classifier: Classifier
    history: History
    frozen: Frozen
    difference: float


@dataclass(frozen=True)
class Start:
    """Everything a run begins with: the table in parts, encoded, and a network with its first weights."""

    table: Table
    parts: Parts
    encoder: Encoder
    train: Encoded
    validation: Encoded
    network: Network
    rng: np.random.Generator


def prepare(config: TrainingConfig) -> Start:
    """Read, split and encode the table, and build the network.

    :raises TrainerError: the table cannot be trained on.
    :raises OSError: the table cannot be read.
    """
    splitting, training = _generators(config.seed)[:2]
    table = read_table(config.table, config.target, config.drop, config.weight)
    parts = split(table.examples, config.validation, config.test, splitting)
    encoder = fit_encoder(parts.train.rows)
    train, validation = (_encode(encoder, part) for part in (parts.train, parts.validation))
    if train.weights is not None:
        train = replace(train, weights=as_counts(train.weights))
    classes = len(table.examples.classes)
    if config.class_weight == "balanced":
        train, validation = weigh(train, train, classes), weigh(validation, train, classes)
    network = build_network(
        config.architecture(encoder.width, classes), training, class_shares=class_shares(train, classes)
    )
    return Start(table, parts, encoder, train, validation, network, training)


def run(
    config: TrainingConfig, repository: ModelRepository, watch: Callable[[Epoch], None], *, resume: bool = False
) -> Outcome:
    """Train as `config` says and publish into `repository`; `watch` is called after every epoch.

    After each epoch the run is saved beside the models, and `resume` takes up one that was killed; the file is gone
    when the run is over.

    :raises TrainerError: nothing was published; the sentence says why.
    :raises OSError: the table cannot be read or the repository cannot be written; nothing was published.
    """
    start = prepare(config)
    network = start.network
    checkpoint = FileCheckpoint(
        repository.root / ".checkpoints", config.name, _identity(config, start.table), resume=resume
    )
    try:
        history = fit(network, start.train, start.validation, config, start.rng, watch=watch, checkpoint=checkpoint)
        frozen = freeze(
            network, start.train, start.validation, statistics=config.statistics, batch_size=config.batch_size
        )
        classifier = Classifier(start.encoder, network, start.table.examples.classes)
        card = describe(config, start.table, start.parts, classifier, frozen, _scores(start))
        model = to_onnx(classifier, mirror(card))
        drawing = _generators(config.seed)[2]
        difference = check_export(model, classifier, start.table.examples.rows, drawing)
        version = repository.publish(card, {"model.onnx": model})
    except DamagedCheckpoint:
        raise
    except TrainerError:
        checkpoint.remove()
        raise
    checkpoint.remove()
    return Outcome(card, version, classifier, history, frozen, difference)


def _generators(seed: int) -> list[np.random.Generator]:
    """One for the split, one for everything in training, one for the export gate."""
    return [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(3)]


def _encode(encoder: Encoder, part: Examples) -> Encoded:
    return Encoded(encoder.encode(part.rows), part.labels, part.weights)


def _scores(start: Start) -> Scores:
    """The final scores, in which rows count as the table says and class weights do not."""
    train, validation = (
        replace(encoded, weights=part.weights)
        for encoded, part in ((start.train, start.parts.train), (start.validation, start.parts.validation))
    )
    test = _encode(start.encoder, start.parts.test)
    return Scores(*(score(start.network, part) for part in (train, validation, test)))


def _identity(config: TrainingConfig, table: Table) -> dict[str, object]:
    """What a run's every bit depends on."""
    return {
        "settings": config.settings(),
        "target": config.target,
        "table": table.sha256,
        "numpy": np.__version__,
        "evenkeel": __version__,
    }
