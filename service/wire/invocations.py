"""The scoring format of MLflow and SageMaker: a table as JSON, in one of four layouts, or as CSV."""

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from models.features import Feature, Value, cell_reader
from service.document import JSON, decode
from service.errors import InvalidRecord, MalformedBody
from service.prediction.predictor import Predictor
from service.prediction.protocol import Allowance, Question, WireFormat
from service.rows.rules import LONGEST_ECHO, BrokenRules
from service.wire.instances import Instances, read_rows, refuse

CSV = "text/csv"
CHARSET = re.compile(r"charset\s*=\s*\"?([\w.:-]+)", re.IGNORECASE | re.ASCII)
DELIMITERS = (",", ";", "\t", "|")
LAYOUTS = ("dataframe_split", "dataframe_records", "instances", "inputs")
# The names of the columns, where rows are lists that do not stand in card order, and the rows.
Table = tuple[list[Any] | None, list[Any]]
SHAPE = f"the request must hold exactly one of {', '.join(LAYOUTS)}"


def read(predictor: Predictor, body: bytes, environ: dict[str, Any], allowance: Allowance) -> Question:
    """Read a table, by its Content-Type.

    :raises MalformedBody: the body is not JSON, or no CSV in UTF-8.
    :raises InvalidRecord: it has another shape, or a row breaks the card.
    """
    content_type, _, parameters = environ.get("CONTENT_TYPE", "").partition(";")
    if content_type.strip().lower() == CSV:
        charset = CHARSET.search(parameters)
        table = _csv_table(body, charset[1] if charset else "utf-8", predictor.card.features)
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


def _csv_table(body: bytes, charset: str, features: Sequence[Feature]) -> Table:
    """The header and the rows below it, each cell read as training read its column; other columns are passed over.

    The delimiter is the one by which the header names most features.
    """
    by_name = {feature.name: feature for feature in features}
    try:
        text = body.decode(charset).removeprefix("\ufeff")
        delimiter = max(DELIMITERS, key=lambda one: sum(name in by_name for name in _header(text, one)))
        header, *lines = _lines(text, delimiter)
    except (UnicodeDecodeError, LookupError, csv.Error):
        raise MalformedBody(f"the body is no CSV in {charset.upper()[:LONGEST_ECHO]}") from None
    except ValueError:
        raise MalformedBody("the body has no header; its first line must name the features") from None
    columns = [(position, _reader(by_name[name])) for position, name in enumerate(header) if name in by_name]
    rows = []
    for number, line in enumerate(lines):
        if len(line) != len(header):
            raise MalformedBody(f"row {number} of the CSV has {len(line)} cells; its header has {len(header)}")
        rows.append([read(line[position]) for position, read in columns])
    return [header[position] for position, _ in columns], rows


def _header(text: str, delimiter: str) -> list[str]:
    try:
        return next(_lines(text, delimiter), [])
    except csv.Error:
        return []


def _lines(text: str, delimiter: str) -> Iterator[list[str]]:
    """The header, its names without the blanks around them, and the lines that are not blank."""
    lines = filter(None, csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    for header in islice(lines, 1):
        yield [name.strip() for name in header]
    yield from lines


def _reader(feature: Feature) -> Callable[[str], Value]:
    """Reads a cell; what is none of the feature's values stays a text, which the card then refuses by its place."""
    read = cell_reader(feature)

    def read_or_keep(cell: str) -> Value:
        try:
            return read(cell)
        except ValueError:
            return cell

    return read_or_keep


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
