"""Mini-batches: shuffled rows, a few at a time, and how much each of them counts."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from trainer.arrays import Array, Inputs, Labels, Picked


@dataclass(frozen=True, eq=False)
class BatchWeights:
    """The weights of a batch's rows, in its loss and in its statistics alike.

    `shares` (n,) sum to one; where all are equal, `equal_share` is what each is. `ones` (n,) is there to sum with.
    `total` is how many rows the weights stand for: a row of weight 2 is that row twice.
    """

    shares: Array
    ones: Array
    total: float
    equal_share: np.floating[Any] | None

    @classmethod
    def equal(cls, rows: int, dtype: npt.DTypeLike = np.float32) -> "BatchWeights":
        """Every row counts once."""
        shares = np.full(rows, 1.0 / rows, dtype)
        return cls(shares, np.ones_like(shares), rows, shares[0])

    @classmethod
    def of(cls, weights: Array) -> "BatchWeights":
        """One weight (n,) a row, none negative, at least one positive."""
        total = float(weights.sum(dtype=np.float64))
        return cls((weights / total).astype(weights.dtype), np.ones_like(weights), total, None)

    @cached_property
    def bessel(self) -> float:
        """What turns the variance within the batch into the unbiased one."""
        # Weights that add up to less than two rows know nothing of a variance; two is the least that does.
        total = max(self.total, 2.0)
        return total / (total - 1.0)


# Inputs (n, width), targets (n, classes), weights.
Batch = tuple[Array, Array, BatchWeights]


def batches(rows: int, size: int) -> Iterator[slice]:
    """Cut `rows` rows into batches of `size`; a single row left over joins the batch before it.

    One row has no variance, so batch norm cannot train on it.
    """
    start = 0
    while start < rows:
        end = start + size if size == 1 or rows - start > size + 1 else rows
        yield slice(start, end)
        start = end


# Rows of a disk that are read together, and rows among which they are shuffled.
NEAR_ROWS, SHUFFLED_ROWS = 1 << 8, 1 << 20


def nearby(rows: int, size: int, rng: np.random.Generator) -> Iterator[npt.NDArray[np.int64]]:
    """The places of all rows in an order that `rng` draws, some at a time, to be cut into batches of `size`.

    Runs of rows that follow each other are drawn first, and then the rows of many runs together. The batches are as
    long as those of all rows in one.
    """
    runs = rng.permutation(-(-rows // NEAR_ROWS))
    together = SHUFFLED_ROWS // NEAR_ROWS
    rest = np.empty(0, np.int64)
    for start in range(0, len(runs), together):
        places = (runs[start : start + together, np.newaxis] * NEAR_ROWS + np.arange(NEAR_ROWS)).ravel()
        order = np.concatenate([rest, rng.permutation(places[places < rows])])
        # Two are left for what follows: one alone would join a batch that is over.
        whole = len(order) if start + together >= len(runs) else max(0, len(order) - 2) // size * size
        yield order[:whole]
        rest = order[whole:]


class Batches(Protocol):
    """Where the batches of an epoch come from. A batch is stale when the next one is drawn."""

    def __len__(self) -> int:
        """How many batches an epoch has."""

    def shuffled(self, rng: np.random.Generator) -> Iterator[Batch]:
        """The batches of one epoch, in an order that `rng` draws."""


class MiniBatches:
    """The rows of one part in a new order each epoch, gathered batch by batch into one buffer.

    `inputs` (n, width), `labels` (n,), whose rows of `targets` (labels, classes) the loss is held against, and, where
    rows do not count alike, `weights` (n,).
    """

    def __init__(self, inputs: Inputs, labels: Labels, weights: Array | None, size: int, targets: Array) -> None:
        self.inputs = inputs if isinstance(inputs, Picked) else Picked(inputs, np.arange(len(inputs)))
        self.labels, self.weights, self.targets = labels, weights, targets
        self.size = size
        longest = min(len(inputs), size + 1)
        self._inputs = np.empty((longest, inputs.shape[1]), inputs.dtype)
        self._targets = np.empty((longest, targets.shape[1]), targets.dtype)
        self._equal = lru_cache(maxsize=4)(BatchWeights.equal)

    def __len__(self) -> int:
        """How many batches an epoch has."""
        return sum(1 for _ in batches(len(self.inputs), self.size))

    def shuffled(self, rng: np.random.Generator) -> Iterator[Batch]:
        """Every row once, in an order that `rng` draws."""
        if not self.inputs.on_disk:
            yield from self.in_order(rng.permutation(len(self.inputs)))
            return
        for order in nearby(len(self.inputs), self.size, rng):
            yield from self.in_order(order)

    def in_order(self, order: npt.NDArray[np.int64]) -> Iterator[Batch]:
        """The rows at these places, (n,)."""
        all_labels = self.labels[order]
        for batch in batches(len(order), self.size):
            chosen = order[batch]
            rows = len(chosen)
            places = self.inputs.places[chosen]
            # They stay within bounds, and numpy's check of it would go through a copy.
            inputs = np.take(self.inputs.table, places, axis=0, out=self._inputs[:rows], mode="clip")
            targets = np.take(self.targets, all_labels[batch], axis=0, out=self._targets[:rows], mode="clip")
            counted = self._equal(rows, inputs.dtype) if self.weights is None else BatchWeights.of(self.weights[chosen])
            yield inputs, targets, counted
