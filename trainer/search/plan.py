"""The course of a search: stages from coarse to fine, and when a weak trial is stopped.

Everything here is a function of trials that are finished before a trial may begin: its box, of the stages before; the
bar that it has to clear, of those outside a window of trials that may be under way at once. So the results depend
neither on the number of workers nor on who was interrupted when, and within the window trials may run in any order.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from trainer.search import space
from trainer.search.space import Space, Values

LARGEST_STAGE, SMALLEST_STAGE = 25, 8
BEST_SHARE, FEWEST_BEST = 1 / 5, 4
# Successive halving (Jamieson & Talwalkar 2016): a third goes on, to three times as many epochs.
REDUCTION = 3
RUNGS = 2
FEWEST_REFERENCES = 5
SMALLEST_WINDOW = 5
# So many trials it takes to say which parameter matters: a tenth of fewer says nothing.
FEWEST_TO_WEIGH = 40

Ending = Literal["epochs", "patience", "stopped", "diverged"]
Sampler = Literal["random", "tpe", "grid"]


@dataclass(frozen=True)
class Trial:
    """One finished trial: what was tried, and the validation log-loss and accuracy after each epoch.

    `log_loss` is what the trial counts with, in nats; infinite for one that diverged.
    """

    index: int
    values: Values
    ending: Ending
    log_losses: tuple[float, ...]
    accuracies: tuple[float, ...]
    log_loss: float
    seconds: float
    worker: str

    @property
    def best_epoch(self) -> int:
        """The first epoch with the lowest validation log-loss, from 1; 0 where the trial diverged."""
        return 0 if self.ending == "diverged" else self.log_losses.index(min(self.log_losses)) + 1

    @property
    def accuracy(self) -> float:
        """The validation accuracy after the best epoch; 0 where the trial diverged."""
        return self.accuracies[self.best_epoch - 1] if self.best_epoch else 0.0


Trials = Mapping[int, Trial]


@dataclass(frozen=True)
class Plan:
    """What a study was founded with: the whole box, the seed, how many trials make a stage, and epochs a trial."""

    box: Space
    seed: int
    stage: int
    epochs: int
    sampler: Sampler = "random"
    first: Values | None = None

    def stage_of(self, index: int) -> int:
        """The stage of a trial, from 0."""
        return 0 if self.sampler == "grid" else index // self.stage

    def before(self, index: int, trials: Trials) -> list[Trial]:
        """The finished trials of the stages before that of trial `index`."""
        start = self.stage_of(index) * self.stage
        return [trials[one] for one in sorted(trials) if one < start]

    @property
    def window(self) -> int:
        """How many trials may be under way at once: what began longer ago is over before another begins."""
        return max(SMALLEST_WINDOW, self.stage // 3)

    def open_trials(self, trials: Trials, wanted: int) -> list[int]:
        """The unfinished trials that may begin: of the first stage that is not over, those within the window."""
        waiting = [index for index in range(wanted) if index not in trials]
        if self.sampler != "random" or not waiting:
            return waiting
        end = min(waiting[0] + self.window, (self.stage_of(waiting[0]) + 1) * self.stage)
        return [index for index in waiting if index < end]

    def references(self, index: int, trials: Trials) -> list[Trial]:
        """The trials that trial `index` is held against: those that are over before it may begin."""
        match self.sampler:
            case "grid":
                return []
            case "tpe":
                return list(trials.values())
            case "random":
                end = max(self.stage_of(index) * self.stage, index - self.window + 1)
                return [trials[one] for one in sorted(trials) if one < end]

    def box_of(self, index: int, trials: Trials) -> Space:
        """The box that trial `index` is drawn from: the hull of the best fifth of the stages before."""
        before = self.before(index, trials)
        if self.sampler != "random" or not before:
            return self.box
        count = max(FEWEST_BEST, math.ceil(BEST_SHARE * len(before)))
        return space.narrowed(self.box, (trial.values for trial in ranked(before)[:count]))

    def values_of(self, index: int, trials: Trials) -> Values:
        """What trial `index` tries, unless a sampler that looks at the trials decides."""
        if self.sampler == "grid":
            return space.cell(self.box, index)
        if index == 0 and self.first is not None:
            return self.first
        return space.draw(self.box_of(index, trials), self.seed, index)

    @property
    def rungs(self) -> tuple[int, ...]:
        """The epochs after which a trial is held against others."""
        epochs = [math.ceil(self.epochs / REDUCTION**power) for power in range(RUNGS, 0, -1)]
        return tuple(sorted({epoch for epoch in epochs if 1 < epoch < self.epochs}))

    def goes_on(self, log_losses: Sequence[float], references: Sequence[Trial]) -> bool:
        """Whether a trial that has come to a rung is among the best third of those that came there before it.

        A trial before it counts as it did there, but with no less than what it came to in the end: it may have been
        lucky with the validation rows.
        """
        rung = len(log_losses)
        reached = sorted(
            max(min(trial.log_losses[:rung], default=math.inf), trial.log_loss)
            for trial in references
            if len(trial.log_losses) >= rung or trial.ending != "stopped"
        )
        if len(reached) < FEWEST_REFERENCES:
            return True
        return min(log_losses) <= reached[math.ceil(len(reached) / REDUCTION) - 1]


def ranked(trials: Sequence[Trial]) -> list[Trial]:
    """The trials, the best first and those that were stopped behind all others; of two that are equal, the earlier."""
    return sorted(trials, key=lambda trial: (trial.ending in ("stopped", "diverged"), trial.log_loss, trial.index))


def usual_stage(trials: int) -> int:
    """How many trials make a stage where nobody says: a quarter of all."""
    return min(LARGEST_STAGE, max(SMALLEST_STAGE, math.ceil(trials / 4)))
