"""Which input dropout and which encoding of numbers a table gets: what is best on rows held out of training.

Whole numbers of few values are sometimes codes of categories, skewed numbers sometimes tell more by their ranks, and a
rule over categories is sometimes learned better without input dropout. None suits every table. So the first networks
of the bag are trained with each change too; the best is taken where its gain in log-loss cannot be chance, and the
others are tried on top of it.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from trainer.data.encoder import possible_codes, tells_by_rank
from trainer.data.scaling import Kind
from trainer.data.split import Fold, Indices, Split
from trainer.errors import Diverged
from trainer.fitting.members import PLAIN, Member, Run, TrainedNetwork, in_turn
from trainer.fitting.start import Start
from trainer.measures.scores import gain_over, losses_of
from trainer.settings.config import TrainingConfig
from trainer.training.calibration import calibrate
from trainer.training.deadline import Deadline
from trainer.training.records import OutOfTime

# So many validation rows tell a gain from chance, and networks of so many rows what suits all of them.
ENOUGH, MOST_ROWS = 1_000, 20_000
# Fewer in each fold tell nothing.
FEWEST_ROWS = 20
OVERLAP = 0.5

Members = list[tuple[Member, TrainedNetwork]]
Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Candidate:
    """An input dropout, the numeric columns that are encoded as categories, and how the other numbers are scaled, where
    that is not as the settings say.
    """

    input_dropout: float
    codes: tuple[int, ...] = ()
    scaling: Kind | None = None


# The fields of a candidate that another has in its place.
Change = dict[str, Any]


@dataclass(frozen=True)
class Tried:
    """A candidate beside the defaults: by how much it lowers the log-loss of so many validation `rows`, in nats, with
    the 95 % interval.
    """

    candidate: Candidate
    rows: int
    gain: float
    interval: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Selection:
    """The settings and the encoder that a table is trained with: those of the `chosen` candidate, or the defaults.

    The members that are `trained` need not be trained again. After a Ctrl-C, which `interrupted` it, no more are.
    """

    config: TrainingConfig
    start: Start
    chosen: Candidate | None = None
    tried: tuple[Tried, ...] = ()
    trained: tuple[tuple[Member, TrainedNetwork], ...] = ()
    interrupted: bool = False


@dataclass(frozen=True, eq=False)
class Contender:
    """A candidate with what it was trained on, its networks, and the `losses` (n,) of their validation rows, which
    count by their `weights` (n,).
    """

    candidate: Candidate
    config: TrainingConfig
    start: Start
    trained: Members
    losses: Vector
    weights: Vector

    @classmethod
    def of(cls, candidate: Candidate, config: TrainingConfig, start: Start, trained: Members) -> Self:
        return cls(candidate, config, start, trained, *held_out_losses(trained))

    def gain_over(self, other: "Contender") -> tuple[float, tuple[float, float]]:
        """By how much its log-loss is lower than that of another, in nats; with the 95 % interval."""
        return gain_over(self.losses, other.losses, self.weights)


def select(config: TrainingConfig, start: Start, run: Run = PLAIN, deadline: Deadline | None = None) -> Selection:
    """Train the networks of a few folds with the defaults and with each candidate, and choose.

    A candidate that diverges is none, as is one that the `deadline` ends, and Ctrl-C ends it with the defaults.

    :raises Diverged: the loss of the defaults stopped being finite.
    :raises KeyboardInterrupt: before the first epoch of the first network was over.
    """
    changes = tuple(changes_for(config, start))
    if not changes:
        return Selection(config, start)
    trial, trained, trying = Trial.of(start), Members(), replace(run, deadline=deadline)
    # Of some rows the defaults are but another candidate.
    count = 0 if trial.whole else 1
    interrupted = False
    try:
        trial.train(config, start, trying.as_candidate(0, count + len(changes)) if count else run, trained)
    except KeyboardInterrupt:
        if not trained:
            raise
        interrupted = True
    # Networks of some rows of a table are no members.
    defaults = Selection(config, start, trained=tuple(trained) if trial.whole else (), interrupted=interrupted)
    if interrupted or not trial.ended(trained):
        return defaults
    usual = Contender.of(Candidate(config.input_dropout), config, start, trained)
    try:
        best, tried = _race(usual, changes, trial, trying, count)
    except KeyboardInterrupt:
        return replace(defaults, interrupted=True)
    if best is not usual:
        defaults = _taken(best, start, trial, run)
    return replace(defaults, tried=tuple(tried))


def _taken(best: Contender, usual: Start, trial: "Trial", run: Run) -> Selection:
    """What is trained with the best candidate. Where its rows are encoded anew, they are shared as the `usual` ones."""
    start = best.start
    if usual.file and start is not usual:
        usual.file.close()
        start = start.shared()
    if not trial.whole:
        return Selection(best.config, start, best.candidate)
    _tell(best, run)
    return Selection(best.config, start, best.candidate, trained=tuple(best.trained))


def _race(
    usual: Contender, changes: Sequence[Change], trial: "Trial", run: Run, begun: int
) -> tuple[Contender, list[Tried]]:
    """The best contender that there is time for, and all candidates that were tried beside the `usual` one, which are
    numbered from `begun` on.

    Each change is tried alone; then, on top of the best, those that are left, until none gains any more.

    :raises KeyboardInterrupt: Ctrl-C came.
    """
    best, tried, left = usual, list[Tried](), list(changes)
    with suppress(OutOfTime):
        while left:
            before, most, count = best, 0.0, begun + len(left)
            for change in left:
                contender = _trained(replace(before.candidate, **change), before, trial, run.as_candidate(begun, count))
                begun += 1
                if contender is None:
                    continue
                tried.append(Tried(contender.candidate, trial.rows, *contender.gain_over(usual)))
                gain, (lowest, _) = contender.gain_over(before)
                if lowest > 0 and gain > most:
                    best, most = contender, gain
            if best is before:
                break
            left = [change for change in left if replace(best.candidate, **change) != best.candidate]
    return best, tried


def _trained(candidate: Candidate, other: Contender, trial: "Trial", run: Run) -> Contender | None:
    """A candidate after its training, on the encoded rows of another where they are its own too; None if it diverged.

    :raises OutOfTime: the run's deadline came.
    :raises KeyboardInterrupt: Ctrl-C came.
    """
    if run.deadline and run.deadline.left_s <= 0:
        raise OutOfTime
    scaling = candidate.scaling or other.config.scaling
    config = other.config.model_copy(update={"input_dropout": candidate.input_dropout, "scaling": scaling})
    start, trained = other.start, Members()
    if (candidate.codes, candidate.scaling) != (other.candidate.codes, other.candidate.scaling):
        start = Start.on(config, start.examples, start.split, candidate.codes)
    try:
        trial.train(config, start, run, trained)
    except Diverged:
        return None
    if not trial.ended(trained):
        raise OutOfTime
    return Contender.of(candidate, config, start, trained)


def _tell(best: Contender, run: Run) -> None:
    """Tell of the networks of a chosen candidate, which take the place of those that have been told of."""
    members = len(best.start.split.folds)
    for _, trained in best.trained:
        for epoch in trained.history.epochs:
            run.taken(trained.number, members, epoch)
        run.ended(trained.number, members)


def changes_for(config: TrainingConfig, start: Start) -> Iterator[Change]:
    """What is tried in place of the defaults: no input dropout, whole numbers as categories, numbers by their ranks.

    Whatever the settings have of their own is left alone. A long table is not read so many times more. Few validation
    rows, and those of a few groups, tell no gain from chance.
    """
    few = len(start.split.folds[0].validation) < FEWEST_ROWS
    if not config.selection or start.examples.long or config.group or few:
        return
    rows, fields = start.examples.rows.take(start.split.train), TrainingConfig.model_fields
    if config.input_dropout == fields["input_dropout"].default:
        yield {"input_dropout": 0.0}
    if codes := possible_codes(rows):
        yield {"codes": codes}
    if config.scaling == fields["scaling"].default and tells_by_rank(rows):
        yield {"scaling": "quantile"}


@dataclass(frozen=True, eq=False)
class Trial:
    """The folds that candidates are compared on, and how many different `rows` validate in them.

    They are `whole` where their networks can be kept.
    """

    folds: tuple[Fold, ...]
    whole: bool
    rows: int

    @classmethod
    def of(cls, start: Start) -> Self:
        """The first folds, until there are enough validation rows, most of each fold its own; of a large table some
        rows of one.
        """
        first = start.split.folds[0]
        if len(first.train) > MOST_ROWS:
            part = Fold(_some(first.train), _some(first.validation))
            return cls((part,), whole=False, rows=len(part.validation))
        folds: list[Fold] = []
        seen = first.validation[:0]
        for fold in start.split.folds:
            if len(seen) >= ENOUGH or np.isin(fold.validation, seen).mean() > OVERLAP:
                break
            folds.append(fold)
            seen = np.union1d(seen, fold.validation)
        return cls(tuple(folds), whole=True, rows=len(seen))

    def on(self, start: Start) -> Start:
        """A start of which nothing is encoded but the rows of the folds."""
        if self.whole:
            return start
        (fold,) = self.folds
        rows = np.union1d(fold.train, fold.validation)
        places = Fold(np.searchsorted(rows, fold.train), np.searchsorted(rows, fold.validation))
        return Start(start.examples.take(rows), Split((places,), rows[:0]), start.encoder)

    def ended(self, trained: Members) -> bool:
        """Whether there was time for all of its networks."""
        return len(trained) == len(self.folds) and not any(one.history.out_of_time for _, one in trained)

    def train(self, config: TrainingConfig, start: Start, run: Run, done: Members) -> None:
        """Train a network on each fold, and add it to those that are `done`, until the run's deadline.

        :raises Diverged: a loss stopped being finite.
        :raises KeyboardInterrupt: Ctrl-C came; a network with an epoch behind it is done.
        """
        for member, trained in in_turn(config, self.on(start), run, range(len(self.folds))):
            done.append((member, trained))
            if trained.history.interrupted:
                raise KeyboardInterrupt


def _some(rows: Indices) -> Indices:
    return np.sort(np.random.default_rng(0).permutation(rows)[:MOST_ROWS])


def held_out_losses(members: Iterable[tuple[Member, TrainedNetwork]]) -> tuple[Vector, Vector]:
    """The losses of the validation rows, each of its own network and calibrated as a bag would be; and the weights."""
    pairs = [(member.network, member.validation) for member, _ in members]
    calibrator = calibrate(pairs)
    losses = [
        losses_of(calibrator.probabilities(network.logits(part.inputs[:])), part.labels) for network, part in pairs
    ]
    return np.concatenate(losses), np.concatenate([part.counts for _, part in pairs])
