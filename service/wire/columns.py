"""Tables by column: a list of values for each feature."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from service.document import LongArray, LongObject, drain
from service.prediction.predictor import Predictor
from service.rows.reader import Chunk, RowReader, Rows
from service.rows.rules import BrokenRules
from service.rows.tensors import row_count
from service.rows.warnings import Warnings
from service.wire.capacity import Capacity
from service.wire.extras import Extras
from service.wire.instances import may_hold_booleans, read_chunks
from service.wire.refusals import refuse, shapeless

SHAPE = '"inputs" by name must be {feature: [value, …]}, all lists of one length'


def read_columns(predictor: Predictor, table: Mapping[str, Any] | LongObject, body: bytes, capacity: Capacity) -> Rows:
    """Check a table by column, each at least one value long. Columns that are no features are passed over.

    :raises InvalidRecord: a column is missing or of another length, or a value breaks the card.
    """
    extras = Extras(predictor)
    if isinstance(table, dict) and not any(isinstance(values, LongArray) for values in table.values()):
        extras.pass_over(table)
        return extras.warned(_short(predictor, table, body, capacity))
    return extras.warned(_long(predictor, table, capacity, extras))


def _short(predictor: Predictor, table: Mapping[str, Any], body: bytes, capacity: Capacity) -> Rows:
    lists = list(table.values())
    if not all(isinstance(values, list) for values in lists) or len({len(values) for values in lists}) != 1:
        raise shapeless(SHAPE)
    rows = list(zip(*lists, strict=True))
    try:
        order = predictor.rows.column_positions(list(table)) if rows else []
    except BrokenRules as broken:
        raise refuse(broken, several=True) from None
    chunk = Chunk(lambda: [[row[position] for position in order] for row in rows], may_hold_booleans(body))
    return read_chunks(predictor.rows, [chunk], capacity)


def _long(predictor: Predictor, table: Mapping[str, Any] | LongObject, capacity: Capacity, extras: Extras) -> Rows:
    columns = _read(predictor, table, capacity, extras)
    if len({row_count(column.tensors) for column in columns.values()}) != 1:
        raise shapeless(SHAPE)
    tensors, warnings = {}, Warnings()
    for kind, features in predictor.inputs.items():
        tensors[kind] = np.hstack([columns[feature.name].tensors[kind] for feature in features])
        for feature in features:
            warnings.join(columns[feature.name].warnings, 0)
    return Rows(tensors, warnings)


def _read(
    predictor: Predictor, table: Mapping[str, Any] | LongObject, capacity: Capacity, extras: Extras
) -> dict[str, Rows]:
    """All columns, by name. Each is made a tensor at once: what all of them unfold to would take too much memory."""
    features = {feature.name: feature for feature in predictor.card.features}
    columns: dict[str, Rows] = {}
    members: Iterable[Mapping[str, Any]] = table if isinstance(table, LongObject) else [table]
    for name, values in chain.from_iterable(piece.items() for piece in members):
        if not isinstance(values, list | LongArray):
            raise shapeless(SHAPE)
        if name in features:
            columns[name] = read_chunks(RowReader([features[name]]), _chunks(values), capacity)
            continue
        drain(values)
        extras.pass_over([name])
    try:
        predictor.rows.column_positions(list(columns))
    except BrokenRules as broken:
        raise refuse(broken, several=True) from None
    return columns


def _chunks(values: list[Any] | LongArray) -> Iterator[Chunk]:
    if isinstance(values, list):
        yield Chunk(partial(_as_rows, values))
        return
    for piece in values:
        yield Chunk(partial(_as_rows, piece.elements()), may_hold_booleans(piece.text))


def _as_rows(values: list[Any]) -> list[Any]:
    return [(value,) for value in values]
