"""The members of a bag: networks on one encoder, each with validation rows and first weights of its own."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from trainer.arrays import Array, Picked
from trainer.classifier import Classifier
from trainer.config import TrainingConfig
from trainer.data.encoder import Encoder, fit_encoder
from trainer.data.rows import Examples
from trainer.data.split import Indices, Split
from trainer.hyperparameters import Hyperparameters
from trainer.nn.architecture import build_network
from trainer.nn.network import Network
from trainer.training.calibration import calibrate
from trainer.training.fit import fit
from trainer.training.freezing import Frozen, freeze
from trainer.training.records import Checkpoint, Encoded, Epoch, History
from trainer.training.weighting import as_counts, class_shares, weigh

# A member's number, from 0, how many there are, and its epoch.
Watch = Callable[[int, int, Epoch], None]

# The number of the generator that draws the card's background rows; no bag has so many members.
BACKGROUND = 1 << 16
# A small table is learned in a moment, and gains most from a bag.
MOST_MEMBERS, ROWS_TOGETHER = 5, 200_000


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


def unwatched(member: int, members: int, epoch: Epoch) -> None:
    """Look at no epoch."""


def members_for(rows: int) -> int:
    """How many networks a bag has where nobody says: five, or as many as read 200 000 rows together."""
    return min(MOST_MEMBERS, max(1, ROWS_TOGETHER // rows))


@dataclass(frozen=True, eq=False)
class Start:
    """Everything a run begins with: the labelled rows, how they are split, and the encoder of them all."""

    examples: Examples
    split: Split
    encoder: Encoder

    @classmethod
    def on(cls, config: TrainingConfig, examples: Examples, split: Split) -> "Start":
        """Fit the encoder on the rows that the networks learn from."""
        rows = examples.rows.take(split.train)
        encoder = fit_encoder(rows, scaling=config.scaling, atoms=config.atoms, one_hot=config.one_hot)
        return cls(examples, split, encoder)

    @cached_property
    def inputs(self) -> Array:
        """All rows as a network sees them, shape (n, width): encoded once, for every part and every member."""
        return self.encoder.encode(self.examples.rows)

    def part(self, indices: Indices) -> Encoded:
        """Some of the rows as a network sees them, without a copy of the inputs."""
        weights = self.examples.weights
        labels = self.examples.labels[indices]
        return Encoded(Picked(self.inputs, indices), labels, None if weights is None else weights[indices])

    def encode(self, indices: Indices) -> Encoded:
        """Some of the rows alone, where the others are not needed."""
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
    """All members after their training, and what they say together."""

    members: tuple[Trained, ...]
    classifier: Classifier


def generator(seed: int, number: int, restart: int = 0) -> np.random.Generator:
    """A source of randomness of its own: 0 is for the split, 1 for the export gate, 2 and on for the members,
    BACKGROUND for what the card keeps of the training rows.

    Each `restart` has another.
    """
    key = (number, restart) if restart else (number,)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def build_member(config: TrainingConfig, start: Start, number: int) -> Member:
    """Pick the rows of one member and build its network."""
    fold = start.split.folds[number]
    train, validation = start.part(fold.train), start.part(fold.validation)
    return member_on(config, start.encoder, train, validation, len(start.examples.classes), number)


def member_on(
    config: TrainingConfig, encoder: Encoder, train: Encoded, validation: Encoded, classes: int, number: int = 0
) -> Member:
    """Weigh encoded rows as the settings say, and build the network of one member."""
    if train.weights is not None:
        train = replace(train, weights=as_counts(train.weights))
    if config.class_weight == "balanced":
        train, validation = weigh(train, train, classes), weigh(validation, train, classes)
    rng = generator(config.seed, 2 + number, config.restart)
    architecture = config.architecture(
        encoder.width, classes, coded=len(encoder.coded), codes=encoder.codes, varied=encoder.varied
    )
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

    Ctrl-C ends with the members that have an epoch behind them.

    :raises Diverged: a loss stopped being finite.
    :raises KeyboardInterrupt: before the first epoch of the first member was over.
    """
    members: list[Trained] = []
    for number in range(len(start.split.folds)):
        try:
            members.append(_train_member(config, start, number, watch, checkpoint_of(number), train))
        except KeyboardInterrupt:
            if not members:
                raise
            break
        if members[-1].history.interrupted:
            break
    calibrator = calibrate([(member.network, member.validation) for member in members])
    networks = tuple(member.network for member in members)
    return Bag(tuple(members), Classifier(start.encoder, networks, start.examples.classes, calibrator))


def _train_member(
    config: TrainingConfig, start: Start, number: int, watch: Watch, checkpoint: Checkpoint | None, train: Fit
) -> Trained:
    member = build_member(config, start, number)

    def look(epoch: Epoch) -> None:
        watch(number, len(start.split.folds), epoch)

    parts = (member.network, member.train, member.validation)
    history = train(*parts, config, member.rng, watch=look, checkpoint=checkpoint)
    frozen = freeze(*parts, statistics=config.statistics, batch_size=config.batch_of(len(member.train)))
    return Trained(member.network, history, frozen, member.validation)
