"""Numbers that a model takes for categories, and which of them training has not seen."""

from collections.abc import Sequence
from math import isnan

import numpy as np
import numpy.typing as npt

from models.features import Feature, codes_of

ROWS_AT_ONCE = 1024
# For fewer rows than these, Python's sets take less time than numpy.
MANY_ROWS = 16


class Codes:
    """The codes of those of some numeric columns that have any; `columns` (k,) are their places."""

    def __init__(self, features: Sequence[Feature]) -> None:
        found = ((place, np.array(codes_of(feature), np.float32)) for place, feature in enumerate(features))
        coded = [(place, codes) for place, codes in found if len(codes)]
        self.columns = np.array([place for place, _ in coded], np.intp)
        self._sets = [(place, frozenset(codes.tolist())) for place, codes in coded]
        # Of each column the codes, and then nothing that equals a number: (most codes, k, 1).
        self._known = np.full((max((len(codes) for _, codes in coded), default=0), len(coded), 1), np.nan, np.float32)
        for column, (_, codes) in enumerate(coded):
            self._known[: len(codes), column, 0] = codes

    def unseen(self, numbers: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_] | None:
        """Where numbers (n, columns) are neither missing nor a code, shape (n, k); None where that is nowhere."""
        if not self._sets or (len(numbers) < MANY_ROWS and self._know(numbers.tolist())):
            return None
        unseen = np.empty((len(self.columns), len(numbers)), np.bool_)
        # Long requests some rows at a time: a comparison with every code takes many times their memory.
        for start in range(0, len(numbers), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            values = np.ascontiguousarray(numbers[part].T[self.columns])
            known = np.logical_or.reduce(values == self._known, axis=0)
            np.logical_not(known | np.isnan(values), out=unseen[:, part])
        return unseen.T if unseen.any() else None

    def _know(self, rows: Sequence[Sequence[float]]) -> bool:
        return all((value := row[place]) in codes or isnan(value) for row in rows for place, codes in self._sets)
