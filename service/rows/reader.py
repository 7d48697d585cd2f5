"""Rows as clients send them, checked against the card and turned into the tensors of the model.

Two ways lead there. The swift one turns rows into tensors by means that fail on whatever breaks the card, and fails
without a word. Then the card's rules are asked, which find the words; rows that they let pass, though the swift way did
not, are made swift and go that way after all. So what is answered never depends on the way.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from models.card import ModelCard
from service.errors import Detail
from service.rows.columns import BROKEN, NumericColumns, Row, TextColumns, Warnings
from service.rows.numbers import read_numbers
from service.rows.rules import LONGEST_ECHO, MOST_DETAILS, BrokenRules, Rules
from service.rows.tensors import Tensors

# None where a row already is what would be picked.
Picker = Callable[[Any], Row] | None


class Rows(NamedTuple):
    """Checked rows, and what a person should know about some of them."""

    tensors: Tensors
    warnings: Warnings


class RowReader:
    """Reads the rows of one model. A row is a record, values by feature name, or a list of values in card order."""

    def __init__(self, card: ModelCard) -> None:
        self._rules = Rules(card.features)
        self._numeric = NumericColumns(card.numeric) if card.numeric else None
        self._texts = TextColumns(card.categorical) if card.categorical else None
        numeric, categorical = ([feature.name for feature in part] for part in (card.numeric, card.categorical))
        positions = self._rules.positions
        by_name = (_picker(numeric), _picker(categorical))
        by_position = (
            _picker([positions[name] for name in numeric]) if categorical else None,
            _picker([positions[name] for name in categorical]),
        )
        self._pickers: dict[type, tuple[Picker, Picker]] = {dict: by_name, list: by_position, tuple: by_position}

    def read(self, rows: Sequence[Any], may_hold_booleans: bool = True) -> Rows:
        """Check rows, at least one; `may_hold_booleans` is False where the caller knows that none of them is a boolean.

        :raises BrokenRules: a row breaks the card.
        """
        swift = self._read_swiftly(rows, may_hold_booleans)
        if swift is None:
            swift = self._read_swiftly(self._rules.check(self._in_card_order(rows)), may_hold_booleans=False)
            assert swift is not None
        return swift

    def read_numbers(self, body: bytes) -> Rows | None:
        """Several rows straight from JSON, where it holds nothing but numbers by position; None where it holds anything
        else, or where a row may break the card.
        """
        if self._numeric is None or self._numeric.dates or self._texts is not None:
            return None
        numbers = read_numbers(body, len(self._rules.features))
        warnings: Warnings = {}
        try:
            return None if numbers is None else Rows({"numeric": self._numeric.cast(numbers, warnings)}, warnings)
        except OverflowError:
            return None

    def column_positions(self, names: Sequence[Any]) -> list[int]:
        """Where each feature stands in a table with these column names.

        :raises BrokenRules: a feature is missing, or a column is none.
        """
        texts = [str(name) for name in names]
        details, count = self._rules.misnamed(texts)
        for name in [text for text, times in Counter(texts).items() if times > 1]:
            count += 1
            details.append(
                {"feature": name[:LONGEST_ECHO], "rule": "unique", "message": "stands twice among the columns"}
            )
        if details:
            raise BrokenRules(details[:MOST_DETAILS], count)
        where = {name: position for position, name in enumerate(texts)}
        return [where[feature.name] for feature in self._rules.features]

    def _read_swiftly(self, rows: Sequence[Any], may_hold_booleans: bool) -> Rows | None:
        """The tensors and warnings; None where a row breaks the card, or where rows by name and by position mix."""
        kind, width = type(rows[0]), len(self._rules.features)
        if kind not in self._pickers:
            return None
        for row in rows:
            if type(row) is not kind or len(row) != width:
                return None
        numbers_of, texts_of = self._pickers[kind]
        tensors: Tensors = {}
        warnings: Warnings = {}
        try:
            if self._numeric is not None:
                numbers = _picked(numbers_of, rows)
                tensors["numeric"] = self._numeric.tensor(numbers, may_hold_booleans, warnings)
            if self._texts is not None:
                tensors["categorical"] = self._texts.tensor(_picked(texts_of, rows), warnings)
        except (KeyError, *BROKEN):
            return None
        return Rows(tensors, warnings)

    def _in_card_order(self, rows: Sequence[Any]) -> list[Any]:
        details: list[Detail] = []
        count = 0
        ordered = []
        for index, row in enumerate(rows):
            wrong, more = self._misshapen(row)
            count += more
            details += [{"instance": index, **detail} for detail in wrong[: MOST_DETAILS - len(details)]]
            if not count:
                ordered.append([row[name] for name in self._rules.positions] if isinstance(row, dict) else row)
        if details:
            raise BrokenRules(details, count)
        return ordered

    def _misshapen(self, row: Any) -> tuple[list[Detail], int]:
        if isinstance(row, dict):
            return self._rules.misnamed(list(row))
        message = "must be a record {feature: value} or a list of values"
        if isinstance(row, list | tuple):
            width = len(self._rules.features)
            if len(row) == width:
                return [], 0
            message = f"must have {width} values, one for each feature in the model's order; it has {len(row)}"
        return [{"rule": "shape", "message": message}], 1


def _picked(picker: Picker, rows: Sequence[Any]) -> Sequence[Row]:
    return rows if picker is None else [picker(row) for row in rows]


def _picker(keys: Sequence[Any]) -> Picker:
    """The values under some keys; `itemgetter` alone makes no tuple of a single one."""
    if len(keys) == 1:
        (key,) = keys
        return lambda row: (row[key],)
    return itemgetter(*keys) if keys else lambda _: ()
