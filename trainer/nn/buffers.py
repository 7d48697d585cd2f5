"""Memory that a step uses again and again."""

import numpy as np

from trainer.arrays import Array


class Buffer:
    """An array made once for a batch's shape and handed out for every batch of that shape; its contents are stale."""

    def __init__(self) -> None:
        self._array: Array = np.empty((0, 0))

    def like(self, array: Array) -> Array:
        if self._array.shape != array.shape:
            self._array = np.empty_like(array)
        return self._array

    def of(self, rows: int, columns: int, dtype: np.dtype[np.floating]) -> Array:
        if self._array.shape != (rows, columns) or self._array.dtype != dtype:
            self._array = np.empty((rows, columns), dtype)
        return self._array
