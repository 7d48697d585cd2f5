"""The arrays that pass between rows, a model and its answer."""

from typing import Any

import numpy as np
import numpy.typing as npt

# By the model's input: `numeric` float32 (n, p), NaN meaning missing; `categorical` object (n, q), "" meaning missing.
Tensors = dict[str, npt.NDArray[Any]]
# Softmax probabilities (n, classes), in the order of the card's classes.
Probabilities = npt.NDArray[np.float32]

# Letting go of so many takes some 4 ms.
MANY_TEXTS = 1 << 17


def row_count(tensors: Tensors) -> int:
    """How many rows there are in tensors, of which there is at least one."""
    return len(next(iter(tensors.values())))


def release(tensors: Tensors) -> None:
    """Let go of many texts, some at a time: all at once would hold the interpreter for as long as that takes."""
    texts = tensors.get("categorical")
    if texts is not None and texts.size > MANY_TEXTS:
        flat = texts.reshape(-1)
        for start in range(0, texts.size, MANY_TEXTS):
            flat[start : start + MANY_TEXTS] = ""
