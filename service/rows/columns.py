"""The columns of one kind: values from the wire into the tensor that the model takes, and warnings about odd ones.

A value that its column may not have raises one of `BROKEN`, without a word: finding the words is the rules' business.
"""

import struct
from collections.abc import Sequence
from operator import contains
from typing import Any

import numpy as np
import numpy.typing as npt

from models.features import CategoricalFeature, NumericFeature
from service.errors import Detail
from service.rows.rules import echo

BROKEN = (TypeError, OverflowError, struct.error)
NAN = float("nan")
LARGEST = float(np.finfo(np.float32).max)

Row = Sequence[Any]
# By the position of a row.
Warnings = dict[int, list[Detail]]


class NumericColumns:
    """Numbers, as float32 (n, columns) with NaN for a missing one."""

    def __init__(self, features: Sequence[NumericFeature]) -> None:
        self._features = features
        self._nullable = [feature.nullable for feature in features]
        self._pack = struct.Struct(f"={len(features)}f").pack
        # Below and above these a value lies outside of what training has seen by more than that range is wide.
        widths = [feature.maximum - feature.minimum or abs(feature.maximum) or 1.0 for feature in features]
        low = [feature.minimum - width for feature, width in zip(features, widths, strict=True)]
        high = [feature.maximum + width for feature, width in zip(features, widths, strict=True)]
        # As a matrix, because numpy takes twice the time where it has to make one of a vector.
        self._low, self._high = (np.clip([bound], -LARGEST, LARGEST).astype(np.float32) for bound in (low, high))

    def tensor(self, rows: Sequence[Row], may_hold_booleans: bool, warnings: Warnings) -> npt.NDArray[np.float32]:
        """The tensor; `struct` takes numbers and booleans, and nothing else."""
        if may_hold_booleans and any(bool in map(type, row) for row in rows):
            raise TypeError
        try:
            packed = b"".join([self._pack(*row) for row in rows])
        except struct.error:
            packed = b"".join([self._pack(*self._with_gaps(row)) for row in rows])
        return self._watched(np.ndarray((len(rows), len(self._features)), np.float32, packed), warnings)

    def cast(self, numbers: npt.NDArray[np.float64], warnings: Warnings) -> npt.NDArray[np.float32]:
        """The tensor of finite numbers (n, columns)."""
        with np.errstate(over="ignore"):
            return self._watched(numbers.astype(np.float32), warnings)

    def _watched(self, numbers: npt.NDArray[np.float32], warnings: Warnings) -> npt.NDArray[np.float32]:
        """The same; an infinity, the one number that is none, lies outside of every range."""
        if np.maximum(np.minimum(numbers, self._high), self._low).tobytes() != numbers.tobytes():
            if np.isinf(numbers).any():
                raise OverflowError
            for position in np.flatnonzero((numbers < self._low) | (numbers > self._high)).tolist():
                row, column = divmod(position, len(self._features))
                warnings.setdefault(row, []).append(_far(self._features[column]))
        return numbers

    def _with_gaps(self, row: Row) -> list[Any]:
        nullable = zip(row, self._nullable, strict=True)
        return [NAN if value is None and missing_allowed else value for value, missing_allowed in nullable]


class TextColumns:
    """Texts, as objects (n, columns) with "" for a missing one."""

    def __init__(self, features: Sequence[CategoricalFeature]) -> None:
        self._features = features
        self._known = [frozenset({*feature.categories, "", *[None] * feature.nullable}) for feature in features]

    def tensor(self, rows: Sequence[Row], warnings: Warnings) -> npt.NDArray[np.object_]:
        """The tensor."""
        if not all(all(map(contains, self._known, row)) for row in rows):
            for index, row in enumerate(rows):
                if unseen := self._unseen(row):
                    warnings.setdefault(index, []).extend(unseen)
        return np.array([[text or "" for text in row] for row in rows], object)

    def _unseen(self, row: Row) -> list[Detail]:
        unseen: list[Detail] = []
        for feature, known, text in zip(self._features, self._known, row, strict=True):
            if text not in known:
                if not isinstance(text, str):
                    raise TypeError
                message = f"training has not seen {echo(text)}; it counts as none of the known categories"
                unseen.append({"feature": feature.name, "code": "unseen_category", "message": message})
        return unseen


def _far(feature: NumericFeature) -> Detail:
    seen = f"training has seen {feature.minimum:.6g} to {feature.maximum:.6g}"
    message = f"{seen}; the value lies outside by more than that range is wide"
    return {"feature": feature.name, "code": "far_outside_range", "message": message}
