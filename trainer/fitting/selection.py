"""Which input dropout and which encoding of whole numbers a table gets: what is best on rows held out of training.

Whole numbers of few values are sometimes codes of categories, and a rule over categories is sometimes learned better
without input dropout. Neither suits every table, so the first networks of the bag are trained with each candidate too,
and one is taken where its gain in log-loss cannot be chance.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from trainer.data.encoder import possible_codes
from trainer.data.hashing import drawn
from trainer.data.split import Fold, Indices
from trainer.errors import Diverged
from trainer.fitting.members import PLAIN, Member, Run, TrainedNetwork, member_on, train_member
from trainer.fitting.start import Start
from trainer.measures.scores import gain_over, losses_of
from trainer.settings.config import TrainingConfig
from trainer.training.calibration import calibrate

# So many validation rows tell a gain from chance, and networks of so many rows what suits all of them.
ENOUGH, MOST_ROWS = 1_000, 20_000

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


def select(config: TrainingConfig, start: Start, run: Run = PLAIN) -> Selection:
    """Train the networks of a few folds with the defaults and with each candidate, and choose.

    A candidate that diverges is none, and Ctrl-C ends it with the defaults.

    :raises Diverged: the loss of the defaults stopped being finite.
    :raises KeyboardInterrupt: before the first epoch of the first network was over.
    """
    candidates = candidates_for(config, start)
    if not candidates:
        return Selection(config, start)
    folds, whole = trial_folds(start)
    usual: Members = []
    alone = replace(PLAIN, train=run.train)
    try:
        _train(config, start, folds, run if whole else alone, usual)
    except KeyboardInterrupt:
        if not usual:
            raise
        return Selection(config, start, trained=tuple(usual), interrupted=True)
    defaults = Selection(config, start, trained=tuple(usual))
    try:
        best = _compare(defaults, candidates, folds, alone, usual)
    except KeyboardInterrupt:
        best = replace(defaults, interrupted=True)
    if start.file and best.start is not start:
        start.file.close()
        best = replace(best, start=best.start.shared())
    return best if whole or best.interrupted else replace(best, trained=())


def _compare(
    defaults: Selection, candidates: Sequence[Candidate], folds: Sequence[Fold], run: Run, usual: Members
) -> Selection:
    """The best of the candidates, or the defaults, whose networks are the `usual` ones.

    :raises KeyboardInterrupt: Ctrl-C came.
    """
    best, tried = defaults, list[Tried]()
    losses, weights = held_out_losses(usual)
    for candidate in candidates:
        config = defaults.config.model_copy(update={"input_dropout": candidate.input_dropout})
        start = defaults.start.with_codes(config, candidate.codes)
        trained: Members = []
        with suppress(Diverged):
            _train(config, start, folds, run, trained)
            gain, interval = gain_over(held_out_losses(trained)[0], losses, weights)
            if interval[0] > 0 and gain > max((one.gain for one in tried), default=0.0):
                best = Selection(config, start, candidate, trained=tuple(trained))
            tried.append(Tried(candidate, len(losses), gain, interval))
    return replace(best, tried=tuple(tried))


def candidates_for(config: TrainingConfig, start: Start) -> tuple[Candidate, ...]:
    """What is tried beside the defaults: no input dropout, unless the settings have another rate than the default,
    whole numbers as categories, and both.

    A long table is not read so many times more, and a time limit is for training.
    """
    if not config.selection or config.time_limit or start.examples.long:
        return ()
    usual = config.input_dropout
    rates = (usual, 0.0) if usual == TrainingConfig.model_fields["input_dropout"].default else (usual,)
    codes = dict.fromkeys([(), possible_codes(start.examples.rows.take(start.split.train))])
    return tuple(Candidate(rate, columns) for columns in codes for rate in rates)[1:]


def trial_folds(start: Start) -> tuple[Sequence[Fold], bool]:
    """The first folds, until there are enough validation rows, most of each fold its own; and whether they are whole:
    of a large table some rows of one fold are enough.
    """
    first = start.split.folds[0]
    if len(first.train) > MOST_ROWS:
        return [Fold(_some(first.train), _some(first.validation))], False
    folds: list[Fold] = []
    seen = first.validation[:0]
    for fold in start.split.folds:
        if len(seen) >= ENOUGH or np.isin(fold.validation, seen).mean() > 0.5:
            break
        folds.append(fold)
        seen = np.concatenate([seen, fold.validation])
    return folds, True


def _some(rows: Indices) -> Indices:
    return rows[drawn(len(rows), MOST_ROWS)]


def _train(config: TrainingConfig, start: Start, folds: Sequence[Fold], run: Run, done: Members) -> None:
    """Train a network on each fold, and add it to those that are `done`.

    :raises Diverged: a loss stopped being finite.
    :raises KeyboardInterrupt: Ctrl-C came; a network with an epoch behind it is done.
    """
    members, classes = len(start.split.folds), len(start.examples.classes)
    for number, fold in enumerate(folds):
        parts = start.part(fold.train), start.part(fold.validation)
        member = member_on(config, start.encoder, *parts, classes, number)
        watch, checkpoint = partial(run.watch, number, members), run.checkpoint_of(number)
        trained = train_member(config, number, member, watch, checkpoint, run.train)
        run.ended(number, members)
        done.append((member, trained))
        if trained.history.interrupted:
            raise KeyboardInterrupt


def held_out_losses(members: Members) -> tuple[Vector, Vector]:
    """The losses of the validation rows, each of its own network and calibrated as a bag would be; and the weights."""
    calibrator = calibrate([(member.network, member.validation) for member, _ in members])
    parts = [(member.network.logits(member.validation.inputs[:]), member.validation) for member, _ in members]
    losses = [losses_of(calibrator.probabilities(logits), part.labels) for logits, part in parts]
    return np.concatenate(losses), np.concatenate([part.counts for _, part in parts])
