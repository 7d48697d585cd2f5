"""The members of a bag: networks on one encoder, each with validation rows and first weights of its own."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np

from trainer.classifier import Classifier
from trainer.config import TrainingConfig
from trainer.data.encoder import Encoder
from trainer.hyperparameters import Hyperparameters
from trainer.nn.architecture import build_network
from trainer.nn.network import Network
from trainer.start import Start, generator
from trainer.training.calibration import calibrate
from trainer.training.fit import fit
from trainer.training.freezing import Frozen, freeze, log_loss_on
from trainer.training.records import Checkpoint, Encoded, Epoch, History
from trainer.training.weighting import as_counts, class_shares, weigh

# A member's number, from 0, how many there are, and its epoch.
Watch = Callable[[int, int, Epoch], None]

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


@dataclass(frozen=True, eq=False)
class Bag:
    """All members after their training, and what they say together. A bag that was `interrupted` may lack some."""

    members: tuple[Trained, ...]
    classifier: Classifier
    interrupted: bool = False

    @property
    def mean_epochs(self) -> float:
        """How many epochs its members were trained for, on average."""
        return float(np.mean([len(member.history.epochs) for member in self.members]))


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
    held_out: list[tuple[Network, Encoded]] = []
    folds = len(start.split.folds)
    try:
        for number in range(folds):
            member = build_member(config, start, number)
            members.append(_trained(config, member, partial(watch, number, folds), checkpoint_of(number), train))
            held_out.append((member.network, member.validation))
            if members[-1].history.interrupted:
                break
    except KeyboardInterrupt:
        if not members:
            raise
    calibrator = calibrate(held_out)
    networks = tuple(member.network for member in members)
    classifier = Classifier(start.encoder, networks, start.examples.classes, calibrator)
    return Bag(tuple(members), classifier, len(members) < folds or members[-1].history.interrupted)


def _trained(
    config: TrainingConfig,
    member: Member,
    watch: Callable[[Epoch], None],
    checkpoint: Checkpoint | None,
    train: Fit,
) -> Trained:
    parts = (member.network, member.train, member.validation)
    history = train(*parts, config, member.rng, watch=watch, checkpoint=checkpoint)
    loss = log_loss_on(member.network, member.validation)
    size = config.batch_of(len(member.train))
    frozen = freeze(member.network, member.train, loss, statistics=config.statistics, batch_size=size)
    return Trained(member.network, history, frozen)
