"""The training job: a table in, a published model out."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from models.card import ModelCard
from models.repository import ModelRepository
from trainer.classifier import Classifier
from trainer.config import TrainingConfig
from trainer.data.encoder import Encoder, fit_encoder
from trainer.data.rows import Examples
from trainer.data.split import split
from trainer.data.table import read_table
from trainer.describe import Scores, describe, mirror
from trainer.export.gate import check_export
from trainer.export.graph import to_onnx
from trainer.nn.network import Network, build_network, measure_population
from trainer.nn.statistics import Moments
from trainer.training import Encoded, Epoch, History, fit, score


@dataclass(frozen=True)
class Outcome:
    """What a job leaves behind. `difference` is the largest between a probability of the network and the graph's."""

    card: ModelCard
    version: int
    classifier: Classifier
    history: History
    difference: float


def run(config: TrainingConfig, repository: ModelRepository, watch: Callable[[Epoch], None]) -> Outcome:
    """Train as `config` says and publish into `repository`; `watch` is called after every epoch.

    :raises TrainerError: nothing was published; the sentence says why.
    :raises OSError: the table cannot be read or the repository cannot be written; nothing was published.
    """
    splitting, starting, shuffling, drawing = (
        np.random.default_rng(child) for child in np.random.SeedSequence(config.seed).spawn(4)
    )
    table = read_table(config.table, config.target, config.drop)
    parts = split(table.examples, config.validation, config.test, splitting)
    encoder = fit_encoder(parts.train.rows)
    train, validation, test = (_encode(encoder, part) for part in (parts.train, parts.validation, parts.test))
    network = build_network(
        encoder.width,
        config.hidden,
        np.bincount(train.labels),
        epsilon=config.epsilon,
        ewma_decay=config.ewma_decay,
        rng=starting,
    )
    history = fit(
        network,
        train,
        validation,
        batch_size=config.batch_size,
        epochs=config.epochs,
        patience=config.patience,
        learning_rate=config.learning_rate,
        rng=shuffling,
        watch=watch,
    )
    population = _freeze(network, train, config.batch_size)
    classifier = Classifier(encoder, network, table.examples.classes)
    scores = Scores(score(network, train), score(network, validation), score(network, test))
    card = describe(config, table, parts, classifier, population, scores)
    model = to_onnx(classifier, mirror(card))
    difference = check_export(model, classifier, table.examples.rows, drawing)
    version = repository.publish(card, {"model.onnx": model})
    return Outcome(card, version, classifier, history, difference)


def _encode(encoder: Encoder, part: Examples) -> Encoded:
    return Encoded(encoder.encode(part.rows), part.labels)


def _freeze(network: Network, train: Encoded, batch_size: int) -> list[Moments]:
    """Freeze the running averages, and return the population's moments to hold them against."""
    network.freeze([layer.running.moments() for layer in network.batch_norms])
    return measure_population(network, train.inputs, batch_size)
