"""Softmax and its cross-entropy."""

import numpy as np
import numpy.typing as npt

from trainer.arrays import Array, Labels
from trainer.nn.batches import BatchWeights
from trainer.nn.layers import Buffer


def softmax(logits: Array) -> Array:
    """exp(l) / Σ exp(l) for each row; subtracting the row's largest logit changes nothing and cannot overflow."""
    exponentials: Array = np.exp(logits - logits.max(axis=1, keepdims=True))
    exponentials /= exponentials.sum(axis=1, keepdims=True)
    return exponentials


def cross_entropy(probabilities: Array, labels: Labels, weights: Array | None = None) -> float:
    """The mean of -log p(true class), in nats; `weights` (n,) say how much each row counts."""
    chosen = probabilities[np.arange(len(labels)), labels]
    losses = -np.log(np.maximum(chosen, np.finfo(np.float32).tiny), dtype=np.float64)
    return float(np.average(losses, weights=weights))


def targets_of(classes: int, smoothing: float = 0.0, dtype: npt.DTypeLike = np.float32) -> Array:
    """The target of each label, shape (classes, classes): 1 for its class.

    With label smoothing s it is 1 - s + s / C there and s / C elsewhere (Szegedy et al. 2016, section 7).
    """
    targets: Array = ((1.0 - smoothing) * np.eye(classes) + smoothing / classes).astype(dtype)
    return targets


class SoftmaxCrossEntropy:
    """The mean over a batch of -Σ target log softmax(logits), in nats; the targets of a row add up to 1."""

    def __init__(self) -> None:
        self._difference, self._product = Buffer(), Buffer()
        self._rows = np.empty(0, np.float32)
        self._columns = np.empty((0, 0), np.float32)
        self._ones = np.empty(0, np.float32)
        self._weights: BatchWeights
        self._probabilities: Array
        self._targets: Array

    def forward(self, logits: Array, targets: Array, weights: BatchWeights) -> float:
        """The loss of logits (n, classes) against targets (n, classes)."""
        # Buffers of an earlier batch's shape serve again.
        if self._columns.shape != logits.T.shape:
            self._rows = np.empty(len(logits), logits.dtype)
            self._columns = np.empty(logits.T.shape, logits.dtype)
            self._ones = np.ones(logits.shape[1], logits.dtype)
        rows, column, work = self._rows, self._rows[:, np.newaxis], self._product.like(logits)
        self._weights, self._targets = weights, targets
        # The largest of each row, taken over a transposed copy: along a short axis numpy is slow.
        np.copyto(self._columns, logits.T)
        np.maximum.reduce(self._columns, axis=0, out=rows)
        shifted = np.subtract(logits, column, out=self._difference.like(logits))
        # -Σ t log p = log Σ exp(l) - Σ t l, because Σ t = 1.
        np.multiply(targets, shifted, out=work)
        chosen = np.dot(np.dot(work, self._ones, out=rows), weights.shares)
        exponentials = np.exp(shifted, out=shifted)
        np.dot(exponentials, self._ones, out=rows)
        self._probabilities = np.divide(exponentials, column, out=exponentials)
        np.log(rows, out=rows)
        return float(np.dot(rows, weights.shares) - chosen)

    def backward(self) -> Array:
        """The gradient by the logits: share (p - target)."""
        grad = np.subtract(self._probabilities, self._targets, out=self._probabilities)
        equal = self._weights.equal_share
        grad *= self._weights.shares[:, np.newaxis] if equal is None else equal
        return grad
