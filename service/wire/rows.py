"""Rows as clients send them, checked against the card and turned into the tensors of the model.

Two ways lead there. The swift one turns rows into tensors by means that fail on whatever breaks the card, and fails
without a word. Then the card's rules are asked, which find the words; rows that they let pass, though the swift way did
not, are made swift and go that way after all. So what is answered never depends on the way.
"""

import struct
from collections.abc import Callable, Sequence
from operator import contains, itemgetter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from models.card import ModelCard
from models.features import NumericFeature
from service.errors import Detail
from service.wire.rules import LONGEST_ECHO, MOST_DETAILS, BrokenRules, Rules, echo

# By the model's input: `numeric` float32 (n, p), NaN meaning missing; `categorical` object (n, q), "" meaning missing.
Tensors = dict[str, npt.NDArray[Any]]
Picker = Callable[[Any], tuple[Any, ...]]

NAN = float("nan")
LARGEST_BOUND = float(np.finfo(np.float32).max)


class Rows(NamedTuple):
    """Checked rows, and what a person should know about some of them."""

    tensors: Tensors
    warnings: dict[int, list[Detail]]


class RowReader:
    """Reads the rows of one model. A row is a record, values by feature name, or a list of values in card order."""

    def __init__(self, card: ModelCard) -> None:
        self._rules = Rules(card.features)
        self._numeric = card.numeric
        self._categorical = card.categorical
        self._nullable = [feature.nullable for feature in card.numeric]
        self._taken = [frozenset({*feature.categories, "", *[None] * feature.nullable}) for feature in card.categorical]
        self._low, self._high = _bounds(card.numeric)
        self._pack = struct.Struct(f"={len(card.numeric)}f").pack
        positions = self._rules.positions
        numeric = [feature.name for feature in card.numeric]
        categorical = [feature.name for feature in card.categorical]
        by_position = (
            _picker([positions[name] for name in numeric]) if categorical else tuple,
            _picker([positions[name] for name in categorical]),
        )
        self._pickers: dict[type, tuple[Picker, Picker]] = {
            dict: (_picker(numeric), _picker(categorical)),
            list: by_position,
            tuple: by_position,
        }

    def read(self, rows: Sequence[Any], may_hold_booleans: bool = True) -> Rows:
        """Check rows, at least one; `may_hold_booleans` is False where the caller knows that none of them is a boolean.

        :raises BrokenRules: a row breaks the card.
        """
        swift = self._read_swiftly(rows, may_hold_booleans)
        if swift is None:
            swift = self._read_swiftly(self._rules.check(self._in_card_order(rows)), may_hold_booleans=False)
            assert swift is not None
        return swift

    def column_names(self, names: Sequence[Any]) -> list[int]:
        """Where each feature stands in a table with these column names.

        :raises BrokenRules: a feature is missing, or a column is none.
        """
        texts = [str(name) for name in names]
        details = self._rules.misnamed(texts)
        for name in sorted({text for text in texts if texts.count(text) > 1}):
            details.append(
                {"feature": name[:LONGEST_ECHO], "rule": "unique", "message": "stands twice among the columns"}
            )
        if details:
            raise BrokenRules(details[:MOST_DETAILS], len(details))
        return [texts.index(feature.name) for feature in self._rules.features]

    def _read_swiftly(self, rows: Sequence[Any], may_hold_booleans: bool) -> Rows | None:
        """The tensors and warnings; None where a row breaks the card, or where rows by name and by position mix."""
        kind, width = type(rows[0]), len(self._rules.features)
        if kind not in self._pickers or any(type(row) is not kind or len(row) != width for row in rows):
            return None
        numbers_of, texts_of = self._pickers[kind]
        tensors: Tensors = {}
        warnings: dict[int, list[Detail]] = {}
        try:
            if self._numeric:
                numbers = [numbers_of(row) for row in rows]
                if may_hold_booleans and any(bool in map(type, row) for row in numbers):
                    return None
                numeric = np.ndarray((len(rows), len(self._numeric)), np.float32, self._packed(numbers))
                tensors["numeric"] = numeric
                if not (all_true(self._low <= numeric) and all_true(numeric <= self._high)):
                    self._warn_of_far(numeric, warnings)
            if self._categorical:
                texts = [texts_of(row) for row in rows]
                if not all(all(map(contains, self._taken, row)) for row in texts):
                    self._warn_of_unseen(texts, warnings)
                tensors["categorical"] = np.array([[text or "" for text in row] for row in texts], object)
        except (KeyError, TypeError, OverflowError, struct.error):
            return None
        return Rows(tensors, warnings)

    def _packed(self, numbers: list[tuple[Any, ...]]) -> bytes:
        """The numbers as 32-bit floats. What is no number, or not in their range, raises."""
        try:
            return b"".join([self._pack(*row) for row in numbers])
        except struct.error:
            gaps = [
                [
                    NAN if value is None and nullable else value
                    for value, nullable in zip(row, self._nullable, strict=True)
                ]
                for row in numbers
            ]
            return b"".join([self._pack(*row) for row in gaps])

    def _warn_of_far(self, numeric: npt.NDArray[Any], warnings: dict[int, list[Detail]]) -> None:
        for row, column in np.argwhere((numeric < self._low) | (numeric > self._high)).tolist():
            warnings.setdefault(row, []).append(_far(self._numeric[column]))

    def _warn_of_unseen(self, rows: list[tuple[Any, ...]], warnings: dict[int, list[Detail]]) -> None:
        for index, row in enumerate(rows):
            for feature, taken, text in zip(self._categorical, self._taken, row, strict=True):
                if text not in taken:
                    if not isinstance(text, str):
                        raise TypeError
                    warnings.setdefault(index, []).append(_unseen(feature.name, text))

    def _in_card_order(self, rows: Sequence[Any]) -> list[Any]:
        details: list[Detail] = []
        count = 0
        ordered = []
        for index, row in enumerate(rows):
            wrong = self._misshapen(row)
            count += len(wrong)
            details += [{"instance": index, **detail} for detail in wrong[: MOST_DETAILS - len(details)]]
            if not count:
                ordered.append([row[name] for name in self._rules.positions] if isinstance(row, dict) else row)
        if details:
            raise BrokenRules(details, count)
        return ordered

    def _misshapen(self, row: Any) -> list[Detail]:
        if isinstance(row, dict):
            return self._rules.misnamed(list(row))
        if isinstance(row, list | tuple):
            width = len(self._rules.features)
            rule = f"must have {width} values, one for each feature in the model's order"
            return [] if len(row) == width else [{"rule": "shape", "message": f"{rule}; it has {len(row)}"}]
        return [{"rule": "shape", "message": "must be a record {feature: value} or a list of values"}]


def all_true(mask: npt.NDArray[np.bool_]) -> bool:
    """`mask.all()` in a third of its time, which for a row alone counts."""
    return b"\0" not in mask.tobytes()


def _picker(keys: Sequence[Any]) -> Picker:
    """The values under some keys; `itemgetter` alone makes no tuple of a single one."""
    if len(keys) == 1:
        (key,) = keys
        return lambda row: (row[key],)
    return itemgetter(*keys) if keys else lambda _: ()


def _bounds(features: Sequence[NumericFeature]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Below and above these a value lies far outside of what training has seen: by more than the range is wide."""
    low = np.array([feature.minimum - _width(feature) for feature in features])
    high = np.array([feature.maximum + _width(feature) for feature in features])
    return (
        low.clip(-LARGEST_BOUND, LARGEST_BOUND).astype(np.float32),
        high.clip(-LARGEST_BOUND, LARGEST_BOUND).astype(np.float32),
    )


def _width(feature: NumericFeature) -> float:
    return feature.maximum - feature.minimum or abs(feature.maximum) or 1.0


def _far(feature: NumericFeature) -> Detail:
    seen = f"training has seen {feature.minimum:.6g} to {feature.maximum:.6g}"
    message = f"{seen}; the value lies outside by more than that range is wide"
    return {"feature": feature.name, "code": "far_outside_range", "message": message}


def _unseen(name: str, text: str) -> Detail:
    message = f"training has not seen {echo(text)}; it counts as none of the known categories"
    return {"feature": name, "code": "unseen_category", "message": message}
