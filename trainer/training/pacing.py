"""As many epochs as there is time for, with a learning rate that has run its course by then."""

import time
from collections.abc import Callable

import numpy as np

from trainer.nn.batches import Batches
from trainer.nn.network import Network
from trainer.settings.hyperparameters import Hyperparameters
from trainer.training.deadline import NEVER, Deadline
from trainer.training.fit import fit
from trainer.training.records import Checkpoint, Encoded, Epoch, History, OutOfTime, Snapshot, StopTraining


class Remembering:
    """A checkpoint that gives back what it has saved, whether or not a file does."""

    def __init__(self, checkpoint: Checkpoint | None) -> None:
        self._checkpoint = checkpoint
        self._last: Snapshot | None = None

    def load(self) -> Snapshot | None:
        return self._last or (self._checkpoint.load() if self._checkpoint else None)

    def save(self, snapshot: Snapshot) -> None:
        self._last = snapshot
        if self._checkpoint:
            self._checkpoint.save(snapshot)


def fit_in_time(
    network: Network,
    train: Encoded,
    validation: None,
    settings: Hyperparameters,
    rng: np.random.Generator,
    *,
    deadline: Deadline,
    least: int,
    watch: Callable[[Epoch], None],
    checkpoint: Checkpoint | None,
    batches: Batches,
) -> History:
    """Train as `fit` does without validation rows, over as many of the epochs as end before the deadline.

    How long an epoch takes is measured; after each one that leaves time for fewer than were planned, the rest of the
    run is planned anew. The history is `out_of_time` where not even the `least` number of epochs would end in time.

    :raises Diverged: the loss stopped being finite.
    :raises KeyboardInterrupt: before the first epoch was over.
    :raises OutOfTime: before the first epoch was over.
    """
    remembering = Remembering(checkpoint)
    began, seen, planned = time.monotonic(), 0, settings.epochs

    def look(epoch: Epoch) -> None:
        nonlocal seen, planned
        watch(epoch)
        seen += 1
        fitting = epoch.number + int(max(deadline.left_s, 0.0) * seen / (time.monotonic() - began))
        if fitting < min(least, settings.epochs):
            raise OutOfTime
        planned = min(planned, fitting)
        # The deadline itself stops the first epoch alone: one that is only planned too long is worth its end.
        if seen == 1 or planned < course.epochs:
            raise StopTraining

    while True:
        course = settings.model_copy(update={"epochs": planned})
        history = fit(
            network,
            train,
            validation,
            course,
            rng,
            watch=look,
            checkpoint=remembering,
            batches=batches,
            deadline=NEVER if seen else deadline,
        )
        if history.interrupted or history.out_of_time or len(history.epochs) >= planned:
            return history
