"""Rows as clients send them, checked against the card and turned into the tensors of the model.

Two ways lead there. The swift one turns rows into tensors by means that fail on whatever breaks the card, and fails
without a word. Then the card's rules are asked, which find the words; rows that they let pass, though the swift way did
not, are made swift and go that way after all. So what is answered never depends on the way.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from operator import itemgetter
from typing import Any, NamedTuple

from models.features import Feature
from service.errors import Detail
from service.rows.columns import BROKEN, NumericColumns, Row, TextColumns
from service.rows.numbers import read_numbers
from service.rows.rules import LONGEST_ECHO, MOST_DETAILS, BrokenRules, Rules
from service.rows.tensors import Tensors, drop, join
from service.rows.warnings import Warnings

# None where a row already is what would be picked.
Picker = Callable[[Any], Row] | None
# Told how many rows there are by now, and how many bytes more they take; it raises where that is too much.
Grow = Callable[[int, int], None]


class Rows(NamedTuple):
    """Checked rows, and what a person should know about some of them."""

    tensors: Tensors
    warnings: Warnings


class Chunk(NamedTuple):
    """Some of many rows: how to read them, whether one may be a boolean; and, where they stand in the card's order, the
    JSON array of them.
    """

    rows: Callable[[], Sequence[Any]]
    may_hold_booleans: bool = True
    text: bytes = b""


class RowReader:
    """Reads the rows of one model. A row is a record, values by feature name, or a list of values in card order."""

    def __init__(self, features: Sequence[Feature], hints: bool = True) -> None:
        """With `hints` a name that is no feature is told with the feature that may be meant."""
        self._rules = Rules(features, hints)
        numeric = [feature for feature in features if feature.kind != "categorical"]
        categorical = [feature for feature in features if feature.kind == "categorical"]
        self._numeric = NumericColumns(numeric) if numeric else None
        self._texts = TextColumns(categorical) if categorical else None
        by_name = [_picker([feature.name for feature in part]) for part in (numeric, categorical)]
        positions = self._rules.positions
        by_position = (
            _picker([positions[feature.name] for feature in numeric]) if categorical else None,
            _picker([positions[feature.name] for feature in categorical]),
        )
        self._pickers: dict[type, Sequence[Picker]] = {dict: by_name, list: by_position, tuple: by_position}

    @cached_property
    def without_hints(self) -> "RowReader":
        """The same for many broken rows: to look for what may be meant takes long."""
        return RowReader(self._rules.features, hints=False)

    def read(self, rows: Sequence[Any], may_hold_booleans: bool = True) -> Rows:
        """Check rows, at least one; `may_hold_booleans` is False where the caller knows that none of them is a boolean.

        :raises BrokenRules: a row breaks the card.
        """
        swift = self._read_swiftly(rows, may_hold_booleans)
        if swift is None:
            swift = self._read_swiftly(self._check(rows), may_hold_booleans=False)
            assert swift is not None
        return swift

    def read_numbers(self, text: bytes, named: bool = True) -> Rows | None:
        """Several rows straight from JSON, where it holds nothing but numbers by position; None where it holds anything
        else, or where a row may break the card. It is {"instances": rows}, or the rows alone where it is not `named`.
        """
        if self._numeric is None or self._numeric.dates or self._texts is not None:
            return None
        numbers = read_numbers(text, len(self._rules.features), named)
        warnings = Warnings()
        try:
            return None if numbers is None else Rows({"numeric": self._numeric.cast(numbers, warnings)}, warnings)
        except OverflowError:
            return None

    def read_chunks(self, chunks: Iterable[Chunk], grow: Grow) -> Rows | None:
        """Check many rows, some at a time; None where there are none.

        :raises BrokenRules: a row breaks the card; all are looked at, or as many as it takes to find enough that do.
        """
        parts: list[Tensors] = []
        try:
            warnings = self._read_parts(chunks, grow, parts)
            if not parts:
                return None
            by_name = {name: [part[name] for part in parts] for name in parts[0]}
            parts.clear()
            return Rows({name: join(some) for name, some in by_name.items()}, warnings)
        finally:
            drop(parts)

    def _read_parts(self, chunks: Iterable[Chunk], grow: Grow, parts: list[Tensors]) -> Warnings:
        warnings = Warnings()
        details: list[Detail] = []
        count = start = 0
        for chunk in chunks:
            part = self.read_numbers(chunk.text, named=False) if chunk.text else None
            rows = chunk.rows() if part is None else ()
            length = len(rows) if part is None else len(part.tensors["numeric"])
            if not length:
                continue
            grow(start + length, 0)
            try:
                part = part or self.read(rows, chunk.may_hold_booleans)
                if not details:
                    grow(start + length, self._bytes(part.tensors))
                    parts.append(part.tensors)
                    warnings.join(part.warnings, start)
            except BrokenRules as broken:
                details += [{**detail, "instance": start + int(detail["instance"])} for detail in broken.details]
                count += broken.count
                if len(details) >= MOST_DETAILS:
                    raise BrokenRules(details, count, more=True) from None
            start += length
        if details:
            raise BrokenRules(details, count)
        return warnings

    def column_positions(self, names: Sequence[Any]) -> list[int]:
        """Where each feature stands in a table with these column names; others are passed over.

        :raises BrokenRules: a feature is missing, or stands there twice.
        """
        # However deep a list may be that stands in the place of a name.
        texts = ["…" if isinstance(name, list | dict) else str(name) for name in names]
        twice: list[Detail] = [
            {"feature": name[:LONGEST_ECHO], "rule": "unique", "message": "stands twice among the columns"}
            for name, times in Counter(texts).items()
            if times > 1 and name in self._rules.positions
        ]
        try:
            # Where one is missing, another may be meant for it.
            if not self._rules.positions.keys() <= set(texts):
                self._rules.check_names(texts)
        except BrokenRules as broken:
            raise BrokenRules(broken.details + twice, broken.count + len(twice)) from None
        if twice:
            raise BrokenRules(twice, len(twice))
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
        warnings = Warnings()
        try:
            if self._numeric is not None:
                numbers = _picked(numbers_of, rows)
                tensors["numeric"] = self._numeric.tensor(numbers, may_hold_booleans, warnings)
            if self._texts is not None:
                tensors["categorical"] = self._texts.tensor(_picked(texts_of, rows), warnings)
        except (KeyError, *BROKEN):
            return None
        return Rows(tensors, warnings)

    def _check(self, rows: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Rows in card order, each value of its feature's type; enough broken ones are found without the others."""
        details: list[Detail] = []
        count = 0
        checked = []
        for index, row in enumerate(rows):
            try:
                checked.append(self._rules.check(self._in_card_order(row)))
            except BrokenRules as broken:
                count += broken.count
                details += [{"instance": index, **detail} for detail in broken.details]
                if len(details) >= MOST_DETAILS:
                    raise BrokenRules(details, count, more=index + 1 < len(rows)) from None
        if details:
            raise BrokenRules(details, count)
        return checked

    def _in_card_order(self, row: Any) -> Sequence[Any]:
        if isinstance(row, dict):
            self._rules.check_names(list(row))
            return [row[name] for name in self._rules.positions]
        message = "must be a record {feature: value} or a list of values"
        if isinstance(row, list | tuple):
            width = len(self._rules.features)
            if len(row) == width:
                return row
            message = f"must have {width} values, one for each feature in the model's order; it has {len(row)}"
        raise BrokenRules([{"rule": "shape", "message": message}], 1)

    def _bytes(self, tensors: Tensors) -> int:
        """What tensors take, and what they take again while they are joined."""
        texts = tensors.get("categorical")
        unshared = 0 if self._texts is None or texts is None else self._texts.unshared(texts)
        return unshared + 2 * sum(tensor.nbytes for tensor in tensors.values())


def _picked(picker: Picker, rows: Sequence[Any]) -> Sequence[Row]:
    return rows if picker is None else [picker(row) for row in rows]


def _picker(keys: Sequence[Any]) -> Picker:
    """The values under some keys; `itemgetter` alone makes no tuple of a single one."""
    if len(keys) == 1:
        (key,) = keys
        return lambda row: (row[key],)
    return itemgetter(*keys) if keys else lambda _: ()
