"""Softmax and its cross-entropy."""

import numpy as np

from trainer.arrays import Array, Labels


def softmax(logits: Array) -> Array:
    """exp(l) / Σ exp(l) for each row; subtracting the row's largest logit changes nothing and cannot overflow."""
    exponentials: Array = np.exp(logits - logits.max(axis=1, keepdims=True))
    exponentials /= exponentials.sum(axis=1, keepdims=True)
    return exponentials


def cross_entropy(probabilities: Array, labels: Labels) -> float:
    """The mean of -log p(true class), in nats."""
    chosen = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(chosen, np.finfo(np.float32).tiny)).mean(dtype=np.float64))


def cross_entropy_grad(probabilities: Array, labels: Labels) -> Array:
    """The gradient of the mean cross-entropy by the logits: (p - onehot(label)) / n."""
    grad = probabilities.copy()
    grad[np.arange(len(labels)), labels] -= 1
    grad /= np.float32(len(labels))
    return grad
