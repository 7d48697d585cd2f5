"""The scoring format of MLflow and SageMaker: a table as JSON, in one of four layouts, or as CSV."""

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

from models.features import Feature
from service.document import JSON, decode
from service.errors import InvalidRecord, MalformedBody
from service.prediction.predictor import Predictor
from service.prediction.protocol import Allowance, Question, WireFormat
from service.rows.rules import BrokenRules
from service.wire.instances import Instances, read_rows, refuse

CSV = "text/csv"
LAYOUTS = ("dataframe_split", "dataframe_records", "instances", "inputs")
# The names of the columns, where rows are lists that do not stand in card order, and the rows.
Table = tuple[list[Any] | None, list[Any]]
SHAPE = f"the request must hold exactly one of {', '.join(LAYOUTS)}"


def read(predictor: Predictor, body: bytes, environ: dict[str, Any], allowance: Allowance) -> Question:
    """Read a table, by its Content-Type.

    :raises MalformedBody: the body is not JSON, or no CSV in UTF-8.
    :raises InvalidRecord: it has another shape, or a row breaks the card.
    """
    if environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower() == CSV:
        table = _csv_table(body, predictor.card.features)
    else:
        table = _json_table(body)
    columns, rows = table
    if not rows:
        raise _misshapen("the table must have at least one row")
    if columns is not None:
        rows = _in_card_order(predictor, columns, rows)
    return Instances(predictor, read_rows(predictor, rows, body), several=True)


def _json_table(body: bytes) -> Table:
    document = decode(body)
    # `params` are for models that take some; this one takes none.
    layouts = [key for key in document if key != "params"] if isinstance(document, dict) else []
    if len(layouts) != 1 or layouts[0] not in LAYOUTS:
        raise _misshapen(SHAPE)
    (layout,) = layouts
    table = document[layout]
    if layout == "dataframe_split":
        if not (isinstance(table, dict) and isinstance(table.get("data"), list)):
            raise _misshapen('"dataframe_split" must be {"columns": [name, …], "data": [[value, …], …]}')
        columns = table.get("columns")
        if not isinstance(columns, list):
            raise _misshapen('"columns" must be a list of names')
        return columns, table["data"]
    if layout == "inputs" and isinstance(table, dict):
        lists = list(table.values())
        if not all(isinstance(values, list) for values in lists) or len({len(values) for values in lists}) != 1:
            raise _misshapen('"inputs" by name must be {feature: [value, …]}, all lists of one length')
        return list(table), [list(row) for row in zip(*lists, strict=True)]
    if not isinstance(table, list):
        raise _misshapen(f'"{layout}" must be a list of rows')
    return None, table


def _csv_table(body: bytes, features: Sequence[Feature]) -> Table:
    """The header, and the rows below it: an empty cell is a missing value, a number is one in Python's notation."""
    try:
        header, *lines = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
    except (UnicodeDecodeError, csv.Error):
        raise MalformedBody("the body is no CSV in UTF-8") from None
    except ValueError:
        raise MalformedBody("the body has no header; its first line must name the features") from None
    numeric = {feature.name for feature in features if feature.kind == "numeric"}
    readers = [_number if name in numeric else _text for name in header]
    rows = []
    for number, line in enumerate(lines):
        if len(line) != len(header):
            raise MalformedBody(f"row {number} of the CSV has {len(line)} cells; its header has {len(header)}")
        rows.append([reader(cell) for reader, cell in zip(readers, line, strict=True)])
    return header, rows


def _number(cell: str) -> float | str | None:
    """A number; what is none, or not a finite one, stays a text, which the card then refuses by its place."""
    try:
        number = float(cell) if "_" not in cell else math.nan
    except ValueError:
        number = math.nan
    return number if math.isfinite(number) else cell or None


def _text(cell: str) -> str | None:
    return cell or None


def _in_card_order(predictor: Predictor, columns: list[Any], rows: list[Any]) -> list[Any]:
    try:
        order = predictor.rows.column_positions(columns)
    except BrokenRules as broken:
        raise refuse(broken, several=True) from None
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(columns):
            raise _misshapen(f"row {number} must be a list of {len(columns)} values, one for each column")
    return [[row[position] for position in order] for row in rows]


def _misshapen(sentence: str) -> InvalidRecord:
    return InvalidRecord(sentence, [{"rule": "shape", "message": sentence}])


INVOCATIONS = WireFormat(frozenset({JSON, CSV}), read)
