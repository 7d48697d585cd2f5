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

from models.cells import days_of, iso_date, moment, spelled_code
from models.features import CategoricalFeature, DateFeature, Feature, NumericFeature, codes_of, usual_range
from service.errors import Detail
from service.rows.codes import Codes
from service.rows.rules import echo
from service.rows.warnings import MOST_WARNINGS, Warnings

BROKEN = (TypeError, OverflowError, struct.error)
NAN = float("nan")
LARGEST = float(np.finfo(np.float32).max)

Row = Sequence[Any]


class NumericColumns:
    """Numbers, and dates as days since 1970-01-01: float32 (n, columns) with NaN for a missing one."""

    def __init__(self, features: Sequence[NumericFeature | DateFeature]) -> None:
        self._features = features
        self.dates = any(feature.kind == "date" for feature in features)
        self._codes = Codes(features)
        self._pack = struct.Struct(f"={len(features)}f").pack
        low, high = ([usual_range(feature)[side] for feature in features] for side in (0, 1))
        # As a matrix, because numpy takes twice the time where it has to make one of a vector.
        self._low, self._high = (np.clip([bound], -LARGEST, LARGEST).astype(np.float32) for bound in (low, high))

    def tensor(self, rows: Sequence[Row], may_hold_booleans: bool, warnings: Warnings) -> npt.NDArray[np.float32]:
        """The tensor; `struct` takes numbers and booleans, and nothing else."""
        if may_hold_booleans and any(bool in map(type, row) for row in rows):
            raise TypeError
        try:
            # Where a date belongs, a number is none.
            packed = b"" if self.dates else b"".join([self._pack(*row) for row in rows])
        except struct.error:
            packed = b""
        if not packed:
            packed = b"".join([self._pack(*self._numbers(row, index, warnings)) for index, row in enumerate(rows)])
        return self._watched(np.ndarray((len(rows), len(self._features)), np.float32, packed), warnings)

    def cast(self, numbers: npt.NDArray[np.float64], warnings: Warnings) -> npt.NDArray[np.float32]:
        """The tensor of finite numbers (n, columns)."""
        with np.errstate(over="ignore"):
            return self._watched(numbers.astype(np.float32), warnings)

    def _watched(self, numbers: npt.NDArray[np.float32], warnings: Warnings) -> npt.NDArray[np.float32]:
        """The same; an infinity, the one number that is none, lies outside of every range."""
        far = np.maximum(np.minimum(numbers, self._high), self._low).tobytes() != numbers.tobytes()
        if far and np.isinf(numbers).any():
            raise OverflowError
        unseen = self._codes.unseen(numbers)
        if far or unseen is not None:
            odd = (numbers < self._low) | (numbers > self._high)
            if unseen is not None:
                odd[:, self._codes.columns] = unseen
            for position in np.flatnonzero(odd)[: MOST_WARNINGS + 1].tolist():
                row, column = divmod(position, len(self._features))
                warnings.add(row, _odd(self._features[column], numbers[row, column]))
        return numbers

    def _numbers(self, row: Row, index: int, warnings: Warnings) -> list[Any]:
        """The values of a row, with the days of a date, and NaN where nothing is and may be missing."""
        numbers = []
        for value, feature in zip(row, self._features, strict=True):
            if value is None and feature.nullable:
                if not _knows_gaps(feature):
                    warnings.add(index, _unseen_gap(feature, "the middle of its values"))
                numbers.append(NAN)
            else:
                numbers.append(_days(value) if feature.kind == "date" else value)
        return numbers


class TextColumns:
    """Texts, as objects (n, columns) with "" for a missing one."""

    def __init__(self, features: Sequence[CategoricalFeature]) -> None:
        self._features = features
        # A known text becomes the one that is kept here: it takes no memory for each row that has it.
        self._known: list[dict[Any, str]] = [
            {text: text for text in feature.categories}
            | ({"": ""} | ({None: ""} if feature.nullable else {}) if _knows_gaps(feature) else {})
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
        for column, (feature, known) in enumerate(zip(self._features, self._known, strict=True)):
            given = [row[column] for row in rows]
            odd = set(given).difference(known)
            if not all(isinstance(text, str) or (text is None and feature.nullable) for text in odd):
                raise TypeError
            tensor[:, column] = [known.get(text, text) or "" for text in given]
            if odd:
                found = ((row, column) for row, text in enumerate(given) if text in odd)
                unseen += islice(found, MOST_WARNINGS + 1)
        for row, column in sorted(unseen)[: MOST_WARNINGS + 1]:
            warnings.add(row, _unseen(self._features[column], tensor[row, column]))
        return tensor


def _knows_gaps(feature: Feature) -> bool:
    """Whether a missing value needs no warning; where it may not be at all, it is refused."""
    return feature.seen_missing or not feature.nullable


def _unseen(feature: CategoricalFeature, text: str) -> Detail:
    if not text:
        return _unseen_gap(feature, "none of the known categories")
    return _unseen_category(feature, echo(text))


def _unseen_category(feature: Feature, value: str) -> Detail:
    message = f"training has not seen {value}; it counts as none of the known categories"
    return {"feature": feature.name, "code": "unseen_category", "message": message}


def _days(value: object) -> float:
    if not isinstance(value, str):
        raise TypeError
    try:
        return days_of(moment(value))
    except ValueError:
        raise TypeError from None


def _unseen_gap(feature: Feature, counts_as: str) -> Detail:
    message = f"training has never seen it missing; it counts as {counts_as}"
    return {"feature": feature.name, "code": "unseen_missing", "message": message}


def _odd(feature: NumericFeature | DateFeature, number: np.float32) -> Detail:
    if codes_of(feature):
        return _unseen_category(feature, spelled_code(float(number)))
    if feature.kind == "date":
        low, high = (iso_date(round(days)) for days in (feature.minimum, feature.maximum))
    else:
        low, high = (f"{end:.6g}" for end in (feature.minimum, feature.maximum))
    seen = f"training has seen {low} to {high}"
    message = f"{seen}; the value lies outside by more than that range is wide"
    return {"feature": feature.name, "code": "far_outside_range", "message": message}
