"""The columns of one kind: values from the wire into the tensor that the model takes, and warnings about odd ones.

A value that its column may not have raises one of `BROKEN`, without a word: finding the words is the rules' business.
"""

import struct
from collections.abc import Sequence
from itertools import islice
from sys import getsizeof
from typing import Any

import numpy as np
import numpy.typing as npt

from models.features import CategoricalFeature, NumericFeature
from service.errors import Detail
from service.rows.rules import echo
from service.rows.warnings import MOST_WARNINGS, Warnings

BROKEN = (TypeError, OverflowError, struct.error)
NAN = float("nan")
LARGEST = float(np.finfo(np.float32).max)

Row = Sequence[Any]


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
            far = np.flatnonzero((numbers < self._low) | (numbers > self._high))
            for position in far[: MOST_WARNINGS + 1].tolist():
                row, column = divmod(position, len(self._features))
                warnings.add(row, _far(self._features[column]))
        return numbers

    def _with_gaps(self, row: Row) -> list[Any]:
        nullable = zip(row, self._nullable, strict=True)
        return [NAN if value is None and missing_allowed else value for value, missing_allowed in nullable]


class TextColumns:
    """Texts, as objects (n, columns) with "" for a missing one."""

    def __init__(self, features: Sequence[CategoricalFeature]) -> None:
        self._features = features
        # A known text becomes the one that is kept here: it takes no memory for each row that has it.
        self._known: list[dict[Any, str]] = [
            {text: text for text in feature.categories} | {"": ""} | ({None: ""} if feature.nullable else {})
            for feature in features
        ]

    def tensor(self, rows: Sequence[Row], warnings: Warnings) -> npt.NDArray[np.object_]:
        """The tensor."""
        known = self._known
        try:
            return np.array([[texts[text] for texts, text in zip(known, row, strict=True)] for row in rows], object)
        except KeyError:
            return self._with_unseen(rows, warnings)

    def unshared(self, tensor: npt.NDArray[np.object_]) -> int:
        """How many bytes the texts of a tensor take that training has not seen, each for itself."""
        columns = zip(self._known, tensor.T, strict=True)
        return sum(getsizeof(text) for known, column in columns for text in column.tolist() if text not in known)

    def _with_unseen(self, rows: Sequence[Row], warnings: Warnings) -> npt.NDArray[np.object_]:
        tensor = np.empty((len(rows), len(self._features)), object)
        unseen: list[tuple[int, int]] = []
        for column, known in enumerate(self._known):
            given = [row[column] for row in rows]
            odd = set(given).difference(known)
            if not all(isinstance(text, str) for text in odd):
                raise TypeError
            tensor[:, column] = list(map(known.get, given, given))
            if odd:
                found = ((row, column) for row, text in enumerate(given) if text in odd)
                unseen += islice(found, MOST_WARNINGS + 1)
        for row, column in sorted(unseen)[: MOST_WARNINGS + 1]:
            warnings.add(row, _unseen(self._features[column], tensor[row, column]))
        return tensor


def _unseen(feature: CategoricalFeature, text: str) -> Detail:
    message = f"training has not seen {echo(text)}; it counts as none of the known categories"
    return {"feature": feature.name, "code": "unseen_category", "message": message}


def _far(feature: NumericFeature) -> Detail:
    seen = f"training has seen {feature.minimum:.6g} to {feature.maximum:.6g}"
    message = f"{seen}; the value lies outside by more than that range is wide"
    return {"feature": feature.name, "code": "far_outside_range", "message": message}
