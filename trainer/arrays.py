"""The arrays that pass between the parts of the trainer."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

# float32 in training; float64 where gradients are held against differences.
Array = npt.NDArray[np.floating[Any]]
Codes = npt.NDArray[np.int32]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Picked:
    """Rows of a `table` (N, width) by their `places` (n,); what is asked for is copied, and nothing else.

    Of a table `on_disk`, rows that stand near each other are best read together.
    """

    table: Array
    places: npt.NDArray[np.int64]
    on_disk: bool = False

    @property
    def dtype(self) -> np.dtype[np.floating[Any]]:
        return self.table.dtype

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.places), self.table.shape[1]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, chosen: slice | npt.NDArray[np.int64]) -> Array:
        return self.table[self.places[chosen]]

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return self[:].astype(dtype or self.dtype, copy=False)


# What a network is given, (n, width).
Inputs = Array | Picked


def shortest_decimal(value: np.float32) -> float:
    """The shortest decimal that is this float32: 39.1, where float() alone would say 39.099998474121094."""
    return float(str(value))
