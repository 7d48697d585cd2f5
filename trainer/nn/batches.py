"""Mini-batches: shuffled rows, a few at a time."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from trainer.arrays import Array, Labels
from trainer.nn.weights import BatchWeights

Batch = tuple[Array, Labels, BatchWeights]


def batches(rows: int, size: int) -> Iterator[slice]:
    """Cut `rows` rows into batches of `size`; a single row left over joins the batch before it.

    One row has no variance, so batch norm cannot train on it.
    """
    start = 0
    while start < rows:
        end = start + size if size == 1 or rows - start > size + 1 else rows
        yield slice(start, end)
        start = end


class MiniBatches:
    """The rows of one part in a new order each epoch, gathered batch by batch into one buffer.

    `inputs` (n, width), `labels` (n,) and, where rows do not count alike, `weights` (n,). A batch is stale when the
    next one is drawn.
    """

    def __init__(self, inputs: Array, labels: Labels, weights: Array | None, size: int) -> None:
        self.inputs, self.labels, self.weights = inputs, labels, weights
        self.size = size
        longest = min(len(inputs), size + 1)
        self._inputs = np.empty((longest, inputs.shape[1]), inputs.dtype)
        self._equal = lru_cache(maxsize=4)(BatchWeights.equal)

    def __len__(self) -> int:
        """How many batches an epoch has."""
        return sum(1 for _ in batches(len(self.inputs), self.size))

    def shuffled(self, rng: np.random.Generator) -> Iterator[Batch]:
        """Every row once, in an order that `rng` draws."""
        order = rng.permutation(len(self.inputs))
        all_labels = self.labels[order]
        for batch in batches(len(order), self.size):
            chosen, labels = order[batch], all_labels[batch]
            rows = len(chosen)
            # A permutation stays within bounds, and numpy's check of it would go through a copy.
            inputs = np.take(self.inputs, chosen, axis=0, out=self._inputs[:rows], mode="clip")
            counted = self._equal(rows, inputs.dtype) if self.weights is None else BatchWeights.of(self.weights[chosen])
            yield inputs, labels, counted
