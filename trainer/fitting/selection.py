"""Which input dropout and which encoding of whole numbers a table gets: what is best on rows held out of training.

Whole numbers of few values are sometimes codes of categories, and a rule over categories is sometimes learned better
without input dropout. Neither suits every table, so the first networks of the bag are trained with each candidate too,
and one is taken where its gain in log-loss cannot be chance.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from trainer.data.encoder import possible_codes
from trainer.data.split import Fold, Indices, Split
from trainer.errors import Diverged
from trainer.fitting.members import PLAIN, Member, Run, TrainedNetwork, in_turn
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
    """An input dropout, and the numeric columns that are encoded as categories."""

    input_dropout: float
    codes: tuple[int, ...] = ()


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


def select(config: TrainingConfig, start: Start, run: Run = PLAIN, deadline: Deadline | None = None) -> Selection:
    """Train the networks of a few folds with the defaults and with each candidate, and choose.

    A candidate that diverges is none, as is one that the `deadline` ends, and Ctrl-C ends it with the defaults.

    :raises Diverged: the loss of the defaults stopped being finite.
    :raises KeyboardInterrupt: before the first epoch of the first network was over.
    """
    candidates = candidates_for(config, start)
    if not candidates:
        return Selection(config, start)
    trial, usual = Trial.of(start), Members()
    apart = replace(PLAIN, train=run.train, deadline=deadline)
    interrupted = False
    try:
        trial.train(config, start, run if trial.whole else apart, usual)
    except KeyboardInterrupt:
        if not usual:
            raise
        interrupted = True
    best = defaults = Selection(config, start, interrupted=interrupted)
    try:
        if not interrupted and trial.ended(usual):
            best = _compare(defaults, usual, candidates, trial, replace(run, deadline=deadline))
    except KeyboardInterrupt:
        best = replace(defaults, interrupted=True)
    if start.file and best.start is not start:
        start.file.close()
        best = replace(best, start=best.start.shared())
    # Networks of some rows of a table are no members.
    kept = best.trained if best.chosen else tuple(usual)
    return replace(best, trained=kept if trial.whole else ())


def _compare(
    defaults: Selection, usual: Members, candidates: Sequence[Candidate], trial: "Trial", run: Run
) -> Selection:
    """The best of the candidates that there is time for, or the defaults, whose networks are the `usual` ones.

    :raises KeyboardInterrupt: Ctrl-C came.
    """
    best, tried, start = defaults, list[Tried](), defaults.start
    losses, weights = held_out_losses(usual)
    most = 0.0
    for number, candidate in enumerate(candidates):
        if run.deadline and run.deadline.left_s <= 0:
            break
        config = defaults.config.model_copy(update={"input_dropout": candidate.input_dropout})
        if candidate.codes and start is defaults.start:
            start = Start.on(config, start.examples, start.split, candidate.codes)
        trained = Members()
        with suppress(Diverged):
            trial.train(config, start, run.as_candidate(number, len(candidates)), trained)
            if not trial.ended(trained):
                break
            gain, interval = gain_over(held_out_losses(trained)[0], losses, weights)
            if interval[0] > 0 and gain > most:
                most, best = gain, Selection(config, start, candidate, trained=tuple(trained))
            tried.append(Tried(candidate, trial.rows, gain, interval))
    if best.chosen and trial.whole:
        _tell(best, run)
    return replace(best, tried=tuple(tried))


def _tell(best: Selection, run: Run) -> None:
    """Tell of the networks of a chosen candidate, which take the place of those that have been told of."""
    members = len(best.start.split.folds)
    for _, trained in best.trained:
        for epoch in trained.history.epochs:
            run.taken(trained.number, members, epoch)
        run.ended(trained.number, members)


def candidates_for(config: TrainingConfig, start: Start) -> tuple[Candidate, ...]:
    """What is tried beside the defaults: no input dropout, unless the settings have another rate than the default,
    whole numbers as categories, and both.

    A long table is not read so many times more. Few validation rows, and those of a few groups, tell no gain from
    chance.
    """
    few = len(start.split.folds[0].validation) < FEWEST_ROWS
    if not config.selection or start.examples.long or config.group or few:
        return ()
    usual = config.input_dropout
    rates = (usual, 0.0) if usual == TrainingConfig.model_fields["input_dropout"].default else (usual,)
    codes = dict.fromkeys([(), possible_codes(start.examples.rows.take(start.split.train))])
    return tuple(Candidate(rate, columns) for columns in codes for rate in rates)[1:]


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
