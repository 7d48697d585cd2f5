"""One training on rows that are shared."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from trainer.fitting.members import member_on
from trainer.search.rows import Rows
from trainer.settings.config import TrainingConfig
from trainer.training.fit import fit, freeze_for_validation, score
from trainer.training.records import Epoch, History, Score


@dataclass(frozen=True)
class Result:
    """What a training came to: its epochs, and the score of its best on the rows that it learned from."""

    history: History
    train: Score

    @property
    def log_loss(self) -> float:
        """What counts, in nats: the higher of the log-losses on validation and on training rows.

        No network knows what it has not seen better than what it has. Where it seems to, there are few validation rows,
        and one of many trials was lucky with them.
        """
        assert self.history.best.validation is not None
        return max(self.history.best.validation.log_loss, self.train.log_loss)


def train(config: TrainingConfig, rows: Rows, watch: Callable[[Epoch], None] = lambda _: None) -> Result:
    """Train as the first member of `fit` with these settings would, to the same bits.

    :raises Diverged: the loss stopped being finite.
    :raises KeyboardInterrupt: somebody stopped it.
    """
    member = member_on(config, rows.encoder, rows.train, rows.validation, rows.classes)
    # An overflow shows in the loss; among many trials there are some.
    with np.errstate(all="ignore"):
        history = fit(member.network, member.train, member.validation, config, member.rng, watch=watch)
        if history.interrupted:
            raise KeyboardInterrupt
        freeze_for_validation(member.network, member.train, config)
        return Result(history, score(member.network, member.train))


def cost(config: TrainingConfig, inputs: int, rows: int) -> float:
    """About how long an epoch takes, in seconds: enough to tell the long trials from the short."""
    products = sum(width * following for width, following in pairwise((inputs, *config.hidden)))
    return rows / config.batch_of(rows) * 1e-4 + rows * products * 3e-10
