"""The members of a bag: networks on one encoder, each with validation rows and first weights of its own."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np

from trainer.data.encoder import Encoder
from trainer.errors import Diverged
from trainer.fitting.start import Start, generator
from trainer.fitting.trained_classifier import TrainedClassifier
from trainer.nn.architecture import build_network
from trainer.nn.network import Network
from trainer.settings.config import TrainingConfig
from trainer.settings.hyperparameters import Hyperparameters
from trainer.training.calibration import calibrate
from trainer.training.deadline import Deadline
from trainer.training.fit import fit
from trainer.training.freezing import Frozen, freeze, log_loss_on
from trainer.training.records import Checkpoint, Encoded, Epoch, History, OutOfTime
from trainer.training.weighting import as_counts, class_shares, weigh

# The number of a member, from 0, how many there are, and an epoch of it.
Watch = Callable[[int, int, Epoch], None]
# A member's number, whose training is over, and how many there are.
Ended = Callable[[int, int], None]

# A small table is learned in a moment, and gains most from a bag.
MOST_MEMBERS, ROWS_TOGETHER = 5, 200_000


class Attempt(NamedTuple):
    """A network of a candidate: the candidate's number, from 0, and how many there are; its member's, and how many."""

    candidate: int
    candidates: int
    member: int
    members: int


# A network of a candidate, and an epoch of it; None when its training is over.
WatchAttempt = Callable[[Attempt, Epoch | None], None]


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


class CheckpointOf(Protocol):
    """Where a member's epochs are saved, trained with the defaults or with what was `chosen` instead of them."""

    def __call__(self, member: int, *, chosen: object = ...) -> Checkpoint | None: ...


def unsaved(member: int, *, chosen: object = None) -> None:
    """Save no epoch."""


def unwatched(member: int, members: int, epoch: Epoch) -> None:
    """Look at no epoch."""


def untold(member: int, members: int) -> None:
    """Say nothing of a network that is trained."""


def untried(attempt: Attempt, epoch: Epoch | None) -> None:
    """Look at no epoch of a candidate."""


def unannounced() -> None:
    """Do nothing when all networks are trained."""


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
class TrainedNetwork:
    """One network after its training, its statistics frozen; `number` says which fold it learned from."""

    number: int
    network: Network
    history: History
    frozen: Frozen


@dataclass(frozen=True, eq=False)
class Bag:
    """The `wanted` members after their training, and what they say together.

    A bag that was `interrupted`, or whose time was over, may lack some.
    """

    members: tuple[TrainedNetwork, ...]
    classifier: TrainedClassifier
    wanted: int
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


@dataclass(frozen=True, eq=False)
class Run:
    """How networks are trained, and who is told of it, of candidates that are `tried`, again of the networks of the
    candidate that is `taken`, which become members, and when the training is `over`.

    A `deadline` is kept by `fit`, and by nothing in its place. Of a `candidate`, a network that diverges is left out.
    """

    watch: Watch = unwatched
    ended: Ended = untold
    tried: WatchAttempt = untried
    checkpoint_of: CheckpointOf = unsaved
    train: Fit = fit
    deadline: Deadline | None = None
    taken: Watch = unwatched
    over: Callable[[], None] = unannounced
    candidate: bool = False

    @property
    def has_time(self) -> bool:
        return self.deadline is None or self.deadline.left_s > 0

    def has_time_for(self, number: int) -> bool:
        """Whether a network is to be begun; the first member is, whatever the time."""
        return self.has_time or self._is_first(number)

    def train_of(self, number: int) -> Fit:
        """What trains a network; the first member has an epoch whatever the time."""
        if self.deadline is None:
            return self.train
        return partial(fit, deadline=replace(self.deadline, least=int(self._is_first(number))))

    def _is_first(self, number: int) -> bool:
        return number == 0 and not self.candidate

    def as_candidate(self, number: int, count: int) -> "Run":
        """How the networks of a candidate are trained: nothing of them is saved, and `tried` is told."""
        return Run(
            lambda member, members, epoch: self.tried(Attempt(number, count, member, members), epoch),
            lambda member, members: self.tried(Attempt(number, count, member, members), None),
            train=self.train,
            deadline=self.deadline,
            candidate=True,
        )


PLAIN = Run()


@dataclass(frozen=True, eq=False)
class Course:
    """What the networks of a bag, or of a candidate, have in common: settings, rows, and how they are trained."""

    config: TrainingConfig
    start: Start
    run: Run = PLAIN

    @property
    def folds(self) -> int:
        """How many networks there may be."""
        return len(self.start.split.folds)

    def build(self, number: int) -> Member:
        return build_member(self.config, self.start, number)


# The network of this number.
Turn = tuple[Course, int]
# Trains networks, one after the other or several at a time, and gives each back when it is done.
TrainNetworks = Callable[[Sequence[Turn]], Iterator[tuple[Course, Member, TrainedNetwork]]]


def in_turn(turns: Sequence[Turn]) -> Iterator[tuple[Course, Member, TrainedNetwork]]:
    """Train network after network, until Ctrl-C, those that there is time for.

    :raises Diverged: a loss stopped being finite.
    :raises KeyboardInterrupt: before the first epoch of a network was over.
    """
    for course, number in turns:
        run = course.run
        if not run.has_time_for(number):
            continue
        member = course.build(number)
        watch, checkpoint = partial(run.watch, number, course.folds), run.checkpoint_of(number)
        try:
            trained = train_member(course.config, number, member, watch, checkpoint, run.train_of(number))
        except OutOfTime:
            continue
        except Diverged:
            if not run.candidate:
                raise
            run.ended(number, course.folds)
            continue
        run.ended(number, course.folds)
        yield course, member, trained
        if trained.history.interrupted:
            return


def train_member(
    config: TrainingConfig,
    number: int,
    member: Member,
    watch: Callable[[Epoch], None],
    checkpoint: Checkpoint | None,
    train: Fit,
) -> TrainedNetwork:
    """Train one member with `train`, and freeze its statistics.

    :raises OutOfTime: before its first epoch was over.
    :raises KeyboardInterrupt: before its first epoch was over.
    """
    parts = (member.network, member.train, member.validation)
    history = train(*parts, config, member.rng, watch=watch, checkpoint=checkpoint)
    loss = log_loss_on(member.network, member.validation)
    size = config.batch_of(len(member.train))
    frozen = freeze(member.network, member.train, loss, statistics=config.statistics, batch_size=size)
    return TrainedNetwork(number, member.network, history, frozen)


def train_bag(
    config: TrainingConfig,
    start: Start,
    run: Run = PLAIN,
    train_networks: TrainNetworks = in_turn,
    first: Sequence[tuple[Member, TrainedNetwork]] = (),
) -> Bag:
    """Train the members with `train_networks`, but for the `first` ones, which are trained, and calibrate all.

    Ctrl-C and the deadline end with the members that have an epoch behind them.

    :raises Diverged: a loss stopped being finite.
    :raises KeyboardInterrupt: before the first epoch of the first member was over.
    """
    done = list(first)
    interrupted, course = False, Course(config, start, run)
    try:
        # What has come before a Ctrl-C stays.
        left = [(course, number) for number in range(len(done), course.folds)]
        done.extend((member, trained) for _, member, trained in train_networks(left))
    except KeyboardInterrupt:
        if not done:
            raise
        interrupted = True
    done.sort(key=lambda each: each[1].number)
    members = tuple(trained for _, trained in done)
    calibrator = calibrate([(member.network, member.validation) for member, _ in done])
    networks = tuple(trained.network for trained in members)
    classifier = TrainedClassifier(start.encoder, networks, start.examples.classes, calibrator)
    interrupted = interrupted or any(trained.history.interrupted for trained in members)
    return Bag(members, classifier, len(start.split.folds), interrupted)
