"""How much rows count: by their own weights, and by how rare their class is.

A weight says how many times a row counts: 2 is the row twice. Weights whose mean is below one cannot be meant so; they
say how rows compare, and are scaled to a mean of one.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from trainer.arrays import Array
from trainer.training.records import Encoded


def as_counts(weights: Array) -> Array:
    """Positive weights (n,) as the number of times that each row counts."""
    mean = float(weights.mean(dtype=np.float64))
    return (weights / min(mean, 1.0)).astype(weights.dtype)


def class_totals(part: Encoded, classes: int) -> npt.NDArray[np.float64]:
    """The weight of each class in one part, shape (classes,)."""
    return np.bincount(part.labels, part.weights, minlength=classes).astype(np.float64)


def class_shares(part: Encoded, classes: int) -> npt.NDArray[np.float64]:
    """The share of each class in one part, shape (classes,); a class that is absent has a trace of one."""
    totals = class_totals(part, classes)
    shares: npt.NDArray[np.float64] = np.maximum(totals / totals.sum(), 1e-9)
    return shares


def weigh(part: Encoded, train: Encoded, classes: int) -> Encoded:
    """Let every class of the training part count alike: n / (classes · n of the class), times the row's own weight.

    A class that training never sees is left as it is.
    """
    totals = class_totals(train, classes)
    factors = np.divide(totals.sum(), classes * totals, out=np.ones(classes), where=totals > 0)
    own: Array | float = 1.0 if part.weights is None else part.weights
    return replace(part, weights=(factors[part.labels] * own).astype(part.inputs.dtype))
