"""Which input dropout and which encoding of numbers a table gets: what is best on rows held out of training.

Whole numbers of few values are sometimes codes of categories, skewed numbers sometimes tell more by their ranks, and a
rule over categories is sometimes learned better without input dropout. None suits every table. So the first networks
of the bag are trained with each change too; the best is taken where its gain in log-loss cannot be chance, and the
others are tried on top of it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from trainer.data.encoder import possible_codes, tells_by_rank
from trainer.data.scaling import Kind
from trainer.data.split import Fold, Indices, Split
from trainer.fitting.members import PLAIN, Course, Member, Run, TrainedNetwork, TrainNetworks, in_turn
from trainer.fitting.start import Start
from trainer.measures.scores import gain_over, losses_of
from trainer.settings.config import TrainingConfig
from trainer.training.calibration import calibrate
from trainer.training.deadline import Deadline

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
    """A candidate with the rows and the encoder of its table, the course of its networks, and those that are `done`."""

    candidate: Candidate
    start: Start
    course: Course
    done: Members = field(default_factory=list)

    @property
    def networks(self) -> tuple[tuple[Member, TrainedNetwork], ...]:
        """Those that are done, in their order."""
        return tuple(sorted(self.done, key=lambda pair: pair[1].number))

    @cached_property
    def losses(self) -> tuple[Vector, Vector]:
        """The losses of its networks' validation rows (n,), and how much each row counts (n,)."""
        return held_out_losses(self.networks)

    def gain_over(self, other: "Contender") -> tuple[float, tuple[float, float]]:
        """By how much its log-loss is lower than that of another, in nats; with the 95 % interval."""
        (own, weights), (others, _) = self.losses, other.losses
        return gain_over(own, others, weights)


def select(
    config: TrainingConfig,
    start: Start,
    run: Run = PLAIN,
    deadline: Deadline | None = None,
    train: TrainNetworks = in_turn,
) -> Selection:
    """Train the networks of a few folds with the defaults and with each candidate, and choose.

    A candidate that diverges is none, as is one that the `deadline` ends, and Ctrl-C ends it with the defaults.

    :raises Diverged: the loss of the defaults stopped being finite.
    :raises KeyboardInterrupt: before the first epoch of the first network was over.
    """
    changes = tuple(changes_for(config, start))
    if not changes:
        return Selection(config, start)
    race = Race(config, start, run, replace(run, deadline=deadline), train, len(changes))
    kept = start
    try:
        best = race.best_of(changes)
        kept = best.start
    except KeyboardInterrupt:
        if not race.usual.done:
            raise
        return Selection(config, start, trained=race.members(race.usual), interrupted=True)
    finally:
        race.let_go_of_all_but(kept)
    members = race.members(best)
    if best is race.usual:
        return Selection(config, start, tried=tuple(race.tried), trained=members)
    for _, network in members:
        _tell(network, len(start.split.folds), run)
    return Selection(best.course.config, kept, best.candidate, tuple(race.tried), members)


def _tell(network: TrainedNetwork, members: int, run: Run) -> None:
    """Tell of a network of the chosen candidate, which takes the place of one that has been told of."""
    for epoch in network.history.epochs:
        run.taken(network.number, members, epoch)
    run.ended(network.number, members)


class Race:
    """The `usual` contender, which has the defaults, and what was `tried` beside it."""

    def __init__(
        self, config: TrainingConfig, start: Start, run: Run, trying: Run, train: TrainNetworks, changes: int
    ) -> None:
        """Networks of the defaults are trained by `run`, and those of candidates as `trying` tells of them."""
        self._trial = trial = Trial.of(start)
        self._run, self._train = trying, train
        self._begun = 0
        if not trial.whole:
            # Of some rows the defaults are but another candidate, which has to be there.
            run = replace(trying.as_candidate(0, 1 + changes), candidate=False)
            self._begun = 1
        self.usual = Contender(Candidate(config.input_dropout), start, Course(config, trial.on(start), run))
        self.tried: list[Tried] = []
        self._starts = [start, self.usual.course.start]

    def members(self, contender: Contender) -> tuple[tuple[Member, TrainedNetwork], ...]:
        """The networks of a contender that can be kept: those of some rows of a table are no members."""
        return contender.networks if self._trial.whole else ()

    def best_of(self, changes: Sequence[Change]) -> Contender:
        """The best contender that there is time for.

        Each change is tried alone; then, on top of the best, those that are left, until none gains any more.

        :raises Diverged: the loss of the defaults stopped being finite.
        :raises KeyboardInterrupt: Ctrl-C came.
        """
        best, left, first = self.usual, list(changes), [self.usual]
        while left:
            count = self._begun + len(left)
            contenders = [self._changed(best, change, self._begun + place, count) for place, change in enumerate(left)]
            self._begun = count
            self._trial.train([*first, *contenders], self._train)
            if not self._trial.ended(self.usual):
                break
            ended = [contender for contender in contenders if self._trial.ended(contender)]
            self.tried += [Tried(one.candidate, self._trial.rows, *one.gain_over(self.usual)) for one in ended]
            before, first = best, []
            better = [one for one in ended if one.gain_over(before)[1][0] > 0]
            best = max(better, key=lambda one: one.gain_over(before)[0], default=before)
            if best is before or not self._run.has_time:
                break
            left = [change for change in left if replace(best.candidate, **change) != best.candidate]
        return best

    def _changed(self, other: Contender, change: Change, number: int, count: int) -> Contender:
        """The contender of this number, of so many; it has the encoded rows of another where they are its own too."""
        candidate = replace(other.candidate, **change)
        config = other.course.config.model_copy(update={"input_dropout": candidate.input_dropout})
        start, part = other.start, other.course.start
        if (candidate.codes, candidate.scaling) != (other.candidate.codes, other.candidate.scaling):
            config = config.model_copy(update={"scaling": candidate.scaling or config.scaling})
            start = Start.on(config, start.examples, start.split, candidate.codes)
            start = start.shared() if other.start.file else start
            self._starts.append(start)
            part = self._trial.on(start)
            self._starts.append(part)
        return Contender(candidate, start, Course(config, part, self._run.as_candidate(number, count)))

    def let_go_of_all_but(self, kept: Start) -> None:
        """Close the files of encoded rows that nobody needs any more."""
        for start in self._starts:
            if start is not kept:
                start.close()


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
        part = Start(start.examples.take(rows), Split((places,), rows[:0]), start.encoder)
        return part.shared() if start.file else part

    def train(self, contenders: Sequence[Contender], train: TrainNetworks) -> None:
        """Train a network of each contender on each fold.

        :raises Diverged: a loss of the defaults stopped being finite.
        :raises KeyboardInterrupt: Ctrl-C came; networks with an epoch behind them are done.
        """
        of = {contender.course: contender for contender in contenders}
        interrupted = False
        for course, member, network in train([(course, number) for course in of for number in range(len(self.folds))]):
            of[course].done.append((member, network))
            interrupted |= network.history.interrupted
        if interrupted:
            raise KeyboardInterrupt

    def ended(self, contender: Contender) -> bool:
        """Whether each network of a contender was trained to its end."""
        return len(contender.done) == len(self.folds) and not any(one.history.out_of_time for _, one in contender.done)


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
