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


def join(parts: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """One array of several, at least one, which are gone then.

    Copied one by one, and let go of as soon as they were: of many texts, all at once would hold the interpreter for as
    long as that takes.
    """
    parts.reverse()
    joined = np.empty((sum(map(len, parts)), *parts[0].shape[1:]), parts[0].dtype)
    at = 0
    while parts:
        part = parts.pop()
        joined[at : at + len(part)] = part
        at += len(part)
    return joined


def drop(parts: list[Any]) -> None:
    """Let go of parts that are of no use, one by one."""
    while parts:
        parts.pop()


def is_long(tensors: Tensors) -> bool:
    """Whether there are so many texts that `release` lets go of them."""
    texts = tensors.get("categorical")
    return texts is not None and texts.size > MANY_TEXTS


def release(tensors: Tensors) -> None:
    """Let go of many texts, some at a time."""
    texts = tensors.get("categorical")
    if texts is not None and is_long(tensors):
        flat = texts.reshape(-1)
        for start in range(0, texts.size, MANY_TEXTS):
            flat[start : start + MANY_TEXTS] = ""
