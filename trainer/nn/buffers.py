"""Memory that a step uses again and again."""

import numpy as np

from trainer.arrays import Array


class Buffer:
    """An array that is made once for a batch's size and handed out for every batch of that size.

    Its contents are stale. The width and the type of what a buffer holds never change, only the number of rows.
    """

    def __init__(self) -> None:
        self._array: Array = np.empty((0, 0))

    def like(self, array: Array) -> Array:
        if len(self._array) != len(array):
            self._array = np.empty_like(array)
        return self._array

    def of(self, rows: int, columns: int, dtype: np.dtype[np.floating]) -> Array:
        if len(self._array) != rows:
            self._array = np.empty((rows, columns), dtype)
        return self._array
