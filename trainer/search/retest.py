"""Re-testing: the leading settings of a study on other data, and whether yesterday's best still is."""

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainer.errors import Diverged, OtherStudy
from trainer.search import space
from trainer.search.plan import Trial, ranked
from trainer.search.rows import Table
from trainer.search.search import Request, look_back
from trainer.search.trial import train
from trainer.settings.config import TrainingConfig

# Two means further apart than so many standard errors of their difference are taken as different.
CLEARLY = 2.0


@dataclass(frozen=True)
class Leader:
    """A trial on other data: its log-loss from each of several first weights, and the mean accuracy."""

    trial: Trial
    log_losses: tuple[float, ...]
    accuracy: float

    @property
    def log_loss(self) -> float:
        return float(np.mean(self.log_losses)) if self.log_losses else math.inf

    @property
    def deviation(self) -> float:
        return float(np.std(self.log_losses, ddof=1)) if len(self.log_losses) > 1 else 0.0


@dataclass(frozen=True)
class Verdict:
    """The leaders, the best of yesterday first, and what to think of it."""

    leaders: tuple[Leader, ...]
    same_table: bool

    @property
    def best_now(self) -> Leader:
        return min(self.leaders, key=lambda leader: leader.log_loss)

    @property
    def still_best(self) -> bool:
        """Whether no other leader is clearly better than yesterday's best."""
        return self.best_now is self.leaders[0] or self._distance <= self._noise

    @property
    def _distance(self) -> float:
        return self.leaders[0].log_loss - self.best_now.log_loss

    @property
    def _noise(self) -> float:
        variances = [
            leader.deviation**2 / max(len(leader.log_losses), 1) for leader in (self.leaders[0], self.best_now)
        ]
        return CLEARLY * math.sqrt(sum(variances))

    @property
    def sentence(self) -> str:
        """The verdict for a person."""
        best, now = self.leaders[0].trial.index, self.best_now
        table = "the table of the study" if self.same_table else "the new table"
        if now is self.leaders[0]:
            return f"On {table}, trial {best} is still the best of {len(self.leaders)}."
        if self.still_best:
            return (
                f"On {table}, trial {now.trial.index} is ahead of trial {best} by {self._distance:.4f} nats, which is "
                f"within the noise between first weights ({self._noise:.4f}): trial {best} may stay."
            )
        return (
            f"On {table}, trial {best} is no longer the best: trial {now.trial.index} is ahead by {self._distance:.4f} "
            f"nats, more than the noise between first weights ({self._noise:.4f}); it is time to search again."
        )

    def document(self) -> dict[str, Any]:
        """The verdict for machines."""
        return {
            "still_best": self.still_best,
            "best_then": self.leaders[0].trial.index,
            "best_now": self.best_now.trial.index,
            "sentence": self.sentence,
            "leaders": [
                {
                    "trial": leader.trial.index,
                    "log_loss_then": leader.trial.log_loss,
                    "log_losses_now": leader.log_losses,
                    "values": leader.trial.values,
                }
                for leader in self.leaders
            ],
        }


def retest(request: Request, leaders: int, seeds: int) -> Verdict:
    """Train the leading settings of a study on the table of the request, each from several first weights.

    :raises OtherStudy: there is no such study, or none of its trials came to a result.
    :raises TrainerError: the table cannot be trained on.
    """
    facts, trials = look_back(request)
    chosen = [trial for trial in ranked(list(trials.values())) if math.isfinite(trial.log_loss)][:leaders]
    if not chosen:
        raise OtherStudy(f"study '{request.place.name}' has no trial that came to a result")
    settings = {**_chosen(facts["settings"]), **request.given}
    table = Table.read(TrainingConfig.of(**settings))
    tested = tuple(_leader(settings, trial, table, seeds) for trial in chosen)
    return Verdict(tested, table.sha256 == facts["table"])


def _chosen(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a study that are not what they would be anyway."""
    usual = json.loads(json.dumps({name: TrainingConfig.model_fields[name].default for name in settings}))
    return {name: value for name, value in settings.items() if value != usual[name]}


def _leader(settings: Mapping[str, Any], trial: Trial, table: Table, seeds: int) -> Leader:
    config = TrainingConfig.of(**{**settings, **space.settings(trial.values)})
    rows, results = table.rows(config), []
    for seed in range(seeds):
        with suppress(Diverged):
            results.append(train(config.model_copy(update={"restart": seed}), rows))
    scores = [result.history.best.validation for result in results]
    accuracy = float(np.mean([score.accuracy for score in scores if score])) if scores else 0.0
    return Leader(trial, tuple(result.log_loss for result in results), accuracy)
