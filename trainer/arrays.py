"""The arrays that pass between the parts of the trainer."""

from typing import Any

import numpy as np
import numpy.typing as npt

# float32 in training; float64 where gradients are held against differences.
Array = npt.NDArray[np.floating[Any]]
Codes = npt.NDArray[np.int32]
Labels = npt.NDArray[np.int64]


def shortest_decimal(value: np.float32) -> float:
    """The shortest decimal that is this float32: 39.1, where float() alone would say 39.099998474121094."""
    return float(str(value))
