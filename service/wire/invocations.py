"""The scoring format of MLflow and SageMaker: a table as JSON, in one of four layouts, or as CSV."""

import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from service.document import JSON, LongArray, LongObject, decode, drain
from service.prediction.predictor import Predictor
from service.prediction.protocol import Allowance, Question, WireFormat
from service.rows.reader import Chunk, Rows
from service.rows.rules import BrokenRules
from service.wire.bare_nan import NAN, as_null
from service.wire.capacity import Capacity
from service.wire.columns import read_columns
from service.wire.extras import Extras
from service.wire.instances import Instances, capacity_for, may_hold_booleans, read_chunks, read_rows
from service.wire.refusals import refuse, shapeless
from service.wire.tables import CsvTable

CSV = "text/csv"
CHARSET = re.compile(r"charset\s*=\s*\"?([\w.:-]+)", re.IGNORECASE | re.ASCII)
LAYOUTS = ("dataframe_split", "dataframe_records", "instances", "inputs")
SHAPE = f"the request must hold exactly one of {', '.join(LAYOUTS)}"
SPLIT = '"dataframe_split" must be {"columns": [name, …], "data": [[value, …], …]}'


def read(predictor: Predictor, body: bytes, environ: dict[str, Any], allowance: Allowance) -> Question:
    """Read a table, by its Content-Type. What is no feature is passed over with a warning, and NaN is null.

    :raises MalformedBody: the body is not JSON, or no CSV in its charset.
    :raises InvalidRecord: it has another shape, or a row breaks the card.
    :raises TooManyRows: it has more rows, or its answer would have more bytes, than it may.
    :raises BodyTooLarge: a row or a text in it is too long, or it takes more memory than a request may.
    """
    capacity = capacity_for(predictor, body, allowance)
    content_type, _, parameters = environ.get("CONTENT_TYPE", "").partition(";")
    if content_type.strip().lower() == CSV:
        charset = CHARSET.search(parameters)
        table = CsvTable(body, predictor.card.features, charset[1] if charset else "utf-8")
        extras = Extras(predictor)
        extras.pass_over(table.others)
        rows = extras.warned(read_chunks(predictor.rows, _csv_rows(predictor, table), capacity))
    else:
        if NAN in body:
            allowance.memory.take(len(body))
        rows = _read_json(predictor, as_null(body), capacity)
    return Instances(predictor, rows, several=True)


def _read_json(predictor: Predictor, body: bytes, capacity: Capacity) -> Rows:
    document = decode(body)
    # `params` are for models that take some; this one takes none.
    layouts = [key for key in document if key != "params"] if isinstance(document, dict) else []
    if len(layouts) != 1 or layouts[0] not in LAYOUTS:
        raise shapeless(SHAPE)
    (layout,) = layouts
    drain(document.get("params"))
    table = document[layout]
    if layout == "dataframe_split":
        return _read_split(predictor, table, body, capacity)
    if layout == "inputs" and isinstance(table, dict | LongObject):
        return read_columns(predictor, table, body, capacity)
    if not isinstance(table, list | LongArray):
        raise shapeless(f'"{layout}" must be a list of rows')
    if table == []:
        raise shapeless("the table must have at least one row")
    return read_rows(Extras(predictor), table, body, capacity)


def _read_split(predictor: Predictor, table: Any, body: bytes, capacity: Capacity) -> Rows:
    if isinstance(table, LongObject):
        table = table.whole()
    data = table.pop("data", None) if isinstance(table, dict) else None
    if not isinstance(data, list | LongArray):
        raise shapeless(SPLIT)
    columns = table.pop("columns", None)
    if not isinstance(columns, list):
        raise shapeless('"columns" must be a list of names')
    for value in table.values():
        drain(value)
    extras, order, width = Extras(predictor), _positions(predictor, columns), len(columns)
    extras.pass_over(columns)
    if isinstance(data, list):
        chunks = iter([Chunk(partial(_in_order, data, order, width, 0), may_hold_booleans(body))])
    else:
        chunks = _long_rows(data, order, width)
    return extras.warned(read_chunks(predictor.rows, chunks, capacity))


def _long_rows(data: LongArray, order: Sequence[int], width: int) -> Iterator[Chunk]:
    start = 0
    for piece in data:
        rows = _in_order(piece.elements(), order, width, start)
        yield Chunk(partial(_same, rows), may_hold_booleans(piece.text))
        start += len(rows)


def _same(rows: list[Any]) -> list[Any]:
    return rows


def _in_order(rows: list[Any], order: Sequence[int], width: int, start: int) -> list[Any]:
    """Rows in the order of the card, from those of a table of so many columns, in which each feature has one."""
    for number, row in enumerate(rows, start):
        if not isinstance(row, list) or len(row) != width:
            raise shapeless(f"row {number} must be a list of {width} values, one for each column")
    return [[row[position] for position in order] for row in rows]


def _positions(predictor: Predictor, columns: Sequence[Any]) -> list[int]:
    try:
        return predictor.rows.column_positions(columns)
    except BrokenRules as broken:
        raise refuse(broken, several=True) from None


def _csv_rows(predictor: Predictor, table: CsvTable) -> Iterator[Chunk]:
    order: list[int] = []
    for rows in table:
        order = order or _positions(predictor, table.header)
        yield Chunk(partial(_same, [[row[position] for position in order] for row in rows]), may_hold_booleans=False)


INVOCATIONS = WireFormat(frozenset({JSON, CSV}), read)
