"""The records of a run: the rows it learns from, what each epoch reached, and what it can be taken up from."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from trainer.arrays import Array, Inputs, Labels
from trainer.nn.network import State
from trainer.training.unit import Looked


@dataclass(frozen=True, eq=False)
class Encoded:
    """One part of the table as the network sees it: `inputs` (n, width), `labels` (n,), `weights` (n,) or None."""

    inputs: Inputs
    labels: Labels
    weights: Array | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def counts(self) -> npt.NDArray[np.float64]:
        """How much each row counts, shape (n,)."""
        return np.ones(len(self)) if self.weights is None else self.weights.astype(np.float64)

    def take(self, indices: npt.NDArray[np.int64]) -> "Encoded":
        weights = None if self.weights is None else self.weights[indices]
        return Encoded(self.inputs[indices], self.labels[indices], weights)


@dataclass(frozen=True)
class Score:
    """How well a network does on one part, each row counting by its weight. `log_loss` is in nats."""

    rows: int
    log_loss: float
    accuracy: float


@dataclass(frozen=True)
class Epoch:
    """One pass over the training rows. `loss` is the mean over its batches, each under the weights of its moment.

    Without a validation part there is no `validation`. `unit` is what batch norm did to one unit, where there is any.
    """

    number: int
    loss: float
    validation: Score | None
    unit: Looked | None = None


@dataclass(frozen=True, eq=False)
class Best:
    """The epoch with the lowest validation log-loss so far, and the network after it."""

    epoch: Epoch
    state: State


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A run after an epoch: everything that the rest of it depends on."""

    epochs: tuple[Epoch, ...]
    best: Best | None
    network: State
    optimizer_steps: int
    optimizer_memory: tuple[Array, ...]
    generator: dict[str, Any]


class StopTraining(Exception):
    """Raised by who watches a run: the epoch that has just ended is the last."""


class OutOfTime(Exception):
    """Raised where a run meets its deadline: it ends with the epochs that are over."""


class Checkpoint(Protocol):
    """Where the snapshots of a run go, and where it starts from."""

    def load(self) -> Snapshot | None: ...

    def save(self, snapshot: Snapshot) -> None: ...


@dataclass(frozen=True)
class History:
    """Every epoch of a run, and the one whose weights were kept.

    A run that was `interrupted`, or `out_of_time`, kept the best it had. `compiled` says whether its steps were.
    """

    epochs: tuple[Epoch, ...]
    best: Epoch
    interrupted: bool = False
    out_of_time: bool = False
    compiled: bool = False
