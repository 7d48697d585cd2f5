"""The arrays that pass between rows, a model and its answer."""

from typing import Any

import numpy as np
import numpy.typing as npt

# By the model's input: `numeric` float32 (n, p), NaN meaning missing; `categorical` object (n, q), "" meaning missing.
Tensors = dict[str, npt.NDArray[Any]]
# Softmax probabilities (n, classes), in the order of the card's classes.
Probabilities = npt.NDArray[np.float32]


def row_count(tensors: Tensors) -> int:
    """How many rows there are in tensors, of which there is at least one."""
    return len(next(iter(tensors.values())))
