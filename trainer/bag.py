"""The members of a bag: networks on one encoder, each with validation rows and first weights of its own."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from trainer.classifier import Classifier
from trainer.config import TrainingConfig
from trainer.data.encoder import Encoder, fit_encoder
from trainer.data.rows import Examples
from trainer.data.split import Indices, Split
from trainer.hyperparameters import Hyperparameters
from trainer.nn.architecture import build_network
from trainer.nn.network import Network
from trainer.training.calibration import calibrate
from trainer.training.fit import Checkpoint, Encoded, Epoch, History, fit
from trainer.training.freezing import Frozen, freeze
from trainer.training.weighting import as_counts, class_shares, weigh

Watch = Callable[[int, Epoch], None]


class Fit(Protocol):
    """How a network is trained: `fit`, or what stands in its place."""

    def __call__(
        self,
        network: Network,
        train: Encoded,
        validation: Encoded | None,
        settings: Hyperparameters,
        rng: np.random.Generator,
        *,
        watch: Callable[[Epoch], None] = ...,
        checkpoint: Checkpoint | None = ...,
    ) -> History: ...


def unwatched(member: int, epoch: Epoch) -> None:
    """Look at no epoch."""


@dataclass(frozen=True, eq=False)
class Start:
    """Everything a run begins with: the labelled rows, how they are split, and the encoder of them all."""

    examples: Examples
    split: Split
    encoder: Encoder

    @classmethod
    def on(cls, examples: Examples, split: Split) -> "Start":
        """Fit the encoder on the rows that the networks learn from."""
        return cls(examples, split, fit_encoder(examples.rows.take(split.train)))

    def encode(self, indices: Indices) -> Encoded:
        """Some of the rows as a network sees them."""
        part = self.examples.take(indices)
        return Encoded(self.encoder.encode(part.rows), part.labels, part.weights)


@dataclass(frozen=True, eq=False)
class Member:
    """One network with its first weights, the rows it learns from and those that choose its epoch."""

    train: Encoded
    validation: Encoded
    network: Network
    rng: np.random.Generator


@dataclass(frozen=True, eq=False)
class Trained:
    """One network after its training, its statistics frozen."""

    network: Network
    history: History
    frozen: Frozen
    validation: Encoded


@dataclass(frozen=True, eq=False)
class Bag:
    """All members after their training, and the one temperature that suits their validation rows together."""

    members: tuple[Trained, ...]
    classifier: Classifier


def generators(
    seed: int, members: int, restart: int = 0
) -> tuple[np.random.Generator, np.random.Generator, list[np.random.Generator]]:
    """One for the split, one for the export gate, and one a member, for everything in its training.

    A `restart` has the same split, and other generators for the members.
    """
    splitting, drawing, *training = np.random.SeedSequence(seed).spawn(2 + members)
    if restart:
        training = [member.spawn(restart)[-1] for member in training]
    generate = np.random.default_rng
    return generate(splitting), generate(drawing), [generate(member) for member in training]


def build_member(config: TrainingConfig, start: Start, number: int) -> Member:
    """Encode the rows of one member and build its network."""
    fold = start.split.folds[number]
    train, validation = start.encode(fold.train), start.encode(fold.validation)
    return member_on(config, train, validation, len(start.examples.classes), number)


def member_on(config: TrainingConfig, train: Encoded, validation: Encoded, classes: int, number: int = 0) -> Member:
    """Weigh encoded rows as the settings say, and build the network of one member."""
    if train.weights is not None:
        train = replace(train, weights=as_counts(train.weights))
    if config.class_weight == "balanced":
        train, validation = weigh(train, train, classes), weigh(validation, train, classes)
    rng = generators(config.seed, config.members, config.restart)[2][number]
    architecture = config.architecture(train.inputs.shape[1], classes)
    network = build_network(architecture, rng, class_shares=class_shares(train, classes))
    return Member(train, validation, network, rng)


def train_bag(
    config: TrainingConfig,
    start: Start,
    watch: Watch = unwatched,
    checkpoint_of: Callable[[int], Checkpoint | None] = lambda member: None,
    train: Fit = fit,
) -> Bag:
    """Train member after member with `train`, and calibrate them together.

    `watch` gets a member's number, from 0, and its epoch. Ctrl-C ends with the members that have an epoch behind them.

    :raises Diverged: a loss stopped being finite.
    :raises KeyboardInterrupt: before the first epoch of the first member was over.
    """
    members: list[Trained] = []
    for number in range(config.members):
        try:
            members.append(_train_member(config, start, number, watch, checkpoint_of(number), train))
        except KeyboardInterrupt:
            if not members:
                raise
            break
        if members[-1].history.interrupted:
            break
    temperature = calibrate([(member.network, member.validation) for member in members])
    networks = tuple(member.network for member in members)
    return Bag(tuple(members), Classifier(start.encoder, networks, start.examples.classes, temperature))


def _train_member(
    config: TrainingConfig, start: Start, number: int, watch: Watch, checkpoint: Checkpoint | None, train: Fit
) -> Trained:
    member = build_member(config, start, number)

    def look(epoch: Epoch) -> None:
        watch(number, epoch)

    parts = (member.network, member.train, member.validation)
    history = train(*parts, config, member.rng, watch=look, checkpoint=checkpoint)
    frozen = freeze(*parts, statistics=config.statistics, batch_size=config.batch_size)
    return Trained(member.network, history, frozen, member.validation)
