"""A bag and its student for an estimator: trained by what trains those of a job."""

from collections.abc import Callable

import numpy as np

from trainer.data.encoder import Encoder, fit_encoder
from trainer.data.rows import Examples, Rows, joined
from trainer.data.scaling import LARGEST, Standard
from trainer.data.split import Fold, Split, split
from trainer.fitting.fitted import Fitted, train_all
from trainer.fitting.members import Run, members_for
from trainer.fitting.start import Start, generator
from trainer.settings.config import TrainingConfig
from trainer.training.records import Epoch


def encoder_for(config: TrainingConfig, rows: Rows, *, scaled: bool) -> Encoder:
    """What encodes rows as a job does; numbers that are not to be `scaled` stay what they are."""
    if scaled or rows.codes.shape[1]:
        return fit_encoder(rows, scaling=config.scaling, atoms=config.atoms, one_hot=config.one_hot)
    return as_they_are(rows.numeric.shape[1])


def as_they_are(columns: int) -> Encoder:
    """The encoder that changes no number."""
    zeros, ones, ends = np.zeros(columns, np.float32), np.ones(columns, np.float32), np.full(columns, LARGEST)
    highest = ends.astype(np.float32)
    return Encoder(zeros, Standard(-highest, highest, zeros, ones), (), (), (), 0, tuple(range(columns)))


def train_bag_on(
    config: TrainingConfig,
    examples: Examples,
    held_out: Callable[[Encoder], Examples] | None,
    share: float,
    watch: Callable[[Epoch], None],
    *,
    scaled: bool,
) -> tuple[Encoder, Fitted]:
    """Train on examples of which a `share` chooses the epoch of each member, or else those that are `held_out`.

    A student does not learn from the latter, which may be asked for only once there is an encoder of the others.

    :raises InvalidTable: there are too few examples.
    :raises Diverged: a loss stopped being finite.
    """
    members = config.members or members_for(len(examples))
    if held_out is None:
        chosen = split(examples, share, 0.0, generator(config.seed, 0), members)
        encoder = encoder_for(config, examples.rows.take(chosen.train), scaled=scaled)
    else:
        encoder = encoder_for(config, examples.rows, scaled=scaled)
        own = len(examples)
        examples = joined(examples, held_out(encoder))
        fold = Fold(np.arange(own), np.arange(own, len(examples)))
        chosen = Split((fold,) * members, fold.train[:0])
        config = config.model_copy(update={"split_by": "validation"})
    run = Run(
        watch=lambda member, members, epoch: watch(epoch), tried=lambda attempt, epoch: watch(epoch) if epoch else None
    )
    config = config if scaled else config.model_copy(update={"selection": False})
    fitted = train_all(config, Start(examples, chosen, encoder), run)
    return fitted.selection.start.encoder, fitted
