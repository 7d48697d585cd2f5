"""Tables: a CSV or Parquet file read into typed, still raw rows. The only module that knows pyarrow."""

import gzip
import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from models.features import FLOAT32_MAX
from trainer.arrays import Array, Codes, Labels
from trainer.data.csv_layout import check_names, check_quotes, column_names, ragged_row
from trainer.data.rows import Column, Examples, Rows
from trainer.errors import InvalidTable

MISSING = ("", " ", "NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "None", "?")
LARGEST_VOCABULARY = 256


@dataclass(frozen=True)
class Table:
    """A table as read: its labelled examples, how many rows had no target, and the digest of the file."""

    examples: Examples
    rows_without_target: int
    sha256: str


def read_table(path: Path, target: str, drop: Sequence[str] = (), weight: str | None = None) -> Table:
    """Read a table whose column `target` holds the class and `weight`, if there is one, how much a row counts.

    The file is CSV, plain or gzipped, or Parquet; its first bytes tell which, whatever its name.

    Numbers become numeric features, everything else categorical ones. Empty cells and the spellings in `MISSING` are
    missing; a row whose target is missing, or whose weight is 0, is left out.

    :raises InvalidTable: the file is no table that can be trained on; the sentence names the line or the column.
    :raises OSError: the file cannot be read.
    """
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if data.startswith(b"\x1f\x8b"):
        data = _decompress(path, data)
    if data.startswith(b"PAR1"):
        table = _read_parquet(path, data)
        _check_columns(path, table.column_names, target, drop, weight)
        return _labelled(path, table, target, drop, weight, digest)
    _check_columns(path, column_names(path, data), target, drop, weight)
    return _labelled(path, _parse(path, data, target), target, drop, weight, digest)


def _check_columns(path: Path, names: Sequence[str], target: str, drop: Sequence[str], weight: str | None) -> None:
    for name in (target, *drop, *([weight] if weight else [])):
        if name not in names:
            raise InvalidTable(f"{path} has no column '{name}'; its columns are {', '.join(names)}")
    if target in (*drop, weight):
        raise InvalidTable(f"column '{target}' is the target and cannot be dropped or weigh the rows")


def _labelled(path: Path, arrow: pa.Table, target: str, drop: Sequence[str], weight: str | None, digest: str) -> Table:
    labelled = arrow.filter(pc.is_valid(arrow[target]))
    without_target = len(arrow) - len(labelled)
    if not len(labelled):
        raise InvalidTable(f"{path}: no row has a value in the target column '{target}'")
    weights = None
    if weight:
        weights = _weights(path, weight, labelled[weight])
        labelled, weights = labelled.filter(pa.array(weights > 0)), weights[weights > 0]
    labels, classes = _labels(path, labelled, target)
    rows = _rows(path, labelled.drop_columns(list({target, *drop, *([weight] if weight else [])})))
    return Table(Examples(rows, labels, classes, weights), without_target, digest)


def _decompress(path: Path, data: bytes) -> bytes:
    try:
        return gzip.decompress(data)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise InvalidTable(f"{path} is a damaged gzip file ({str(error).lower()}); write it again") from None


def _read_parquet(path: Path, data: bytes) -> pa.Table:
    try:
        check_names(path, parquet.read_schema(pa.BufferReader(data)).names)
        table = parquet.read_table(pa.BufferReader(data))
    except (pa.ArrowInvalid, OSError) as error:
        raise InvalidTable(f"{path} is a damaged Parquet file: {str(error).splitlines()[0]}") from None
    if not len(table):
        raise InvalidTable(f"{path} has columns but no rows")
    return table


def _parse(path: Path, data: bytes, target: str) -> pa.Table:
    check_quotes(path, data)
    # The target stays text, and nothing turns into booleans: a label comes back from the service as it was written.
    convert = arrow_csv.ConvertOptions(
        column_types={target: pa.string()},
        null_values=list(MISSING),
        strings_can_be_null=True,
        true_values=[],
        false_values=[],
    )
    layout = arrow_csv.ParseOptions(newlines_in_values=b'"' in data)
    try:
        table = arrow_csv.read_csv(pa.BufferReader(data), parse_options=layout, convert_options=convert)
    except pa.ArrowInvalid as error:
        raise InvalidTable(ragged_row(path, data) or f"{path}: {str(error).splitlines()[0]}") from None
    if not len(table):
        raise InvalidTable(f"{path} has a header but no rows")
    return table


def _labels(path: Path, table: pa.Table, target: str) -> tuple[Labels, tuple[str, ...]]:
    cells = table[target].cast(pa.string())
    classes = sorted(pc.unique(cells).to_pylist())
    if len(classes) < 2:
        raise InvalidTable(
            f"{path}: the target '{target}' holds one class only ('{classes[0]}'); a classifier needs two or more"
        )
    labels = pc.index_in(cells, value_set=pa.array(classes, pa.string()))
    return labels.to_numpy().astype(np.int64), tuple(classes)


def _rows(path: Path, table: pa.Table) -> Rows:
    if not table.num_columns:
        raise InvalidTable(f"{path} has no feature column beside the target")
    columns: list[Column] = []
    numeric: list[Array] = []
    codes: list[Codes] = []
    vocabularies: list[tuple[str, ...]] = []
    for name in table.column_names:
        cells = _plain(path, name, table[name])
        if _is_number(cells):
            numeric.append(_numbers(path, name, cells))
            columns.append(Column(name, "numeric", bool(np.isnan(numeric[-1]).any())))
        else:
            columns.append(Column(name, "categorical", cells.null_count > 0))
            column_codes, vocabulary = _categories(path, name, cells)
            codes.append(column_codes)
            vocabularies.append(vocabulary)
    return Rows(
        tuple(columns),
        np.column_stack(numeric) if numeric else np.empty((len(table), 0), np.float32),
        np.column_stack(codes) if codes else np.empty((len(table), 0), np.int32),
        tuple(vocabularies),
    )


def _plain(path: Path, name: str, cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Cells as numbers or as what can be spelled out; only Parquet has others."""
    if pa.types.is_dictionary(cells.type):
        cells = cells.cast(cells.type.value_type)
    if pa.types.is_decimal(cells.type):
        return cells.cast(pa.float64())
    if pa.types.is_nested(cells.type) or pa.types.is_binary(cells.type):
        raise InvalidTable(f"{path}: column '{name}' holds {cells.type}; leave it out with --drop '{name}'")
    return cells


def _is_number(cells: pa.ChunkedArray) -> bool:
    # A column without a single value has no type; as numbers it scales to nothing.
    kinds = (pa.types.is_integer, pa.types.is_floating, pa.types.is_null)
    return any(kind(cells.type) for kind in kinds)


def _numbers(path: Path, name: str, cells: pa.ChunkedArray) -> Array:
    values: npt.NDArray[np.float64] = cells.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    too_large = np.abs(values) > FLOAT32_MAX
    if too_large.any():
        row = int(np.argmax(too_large))
        raise InvalidTable(
            f"{path}, row {row + 1} of data, column '{name}': {values[row]:g} does not fit in a 32-bit float"
        )
    return values.astype(np.float32)


def _weights(path: Path, name: str, cells: pa.ChunkedArray) -> Array:
    if not _is_number(cells):
        raise InvalidTable(f"{path}: the weights in column '{name}' must be numbers")
    weights = _numbers(path, name, cells)
    unfit = ~(weights >= 0)
    if unfit.any():
        row = int(np.argmax(unfit))
        raise InvalidTable(
            f"{path}, row {row + 1} of the rows with a target, column '{name}': a weight must be 0 or more, "
            f"not {'missing' if np.isnan(weights[row]) else weights[row]}"
        )
    if not weights.any():
        raise InvalidTable(f"{path}: every weight in column '{name}' is 0; at least one row must count")
    return weights


def _categories(path: Path, name: str, cells: pa.ChunkedArray) -> tuple[Codes, tuple[str, ...]]:
    texts = cells.cast(pa.string()).fill_null("")
    vocabulary = sorted(pc.unique(texts).to_pylist())
    if len(vocabulary) > LARGEST_VOCABULARY:
        raise InvalidTable(
            f"{path}: column '{name}' has {len(vocabulary)} different texts, more than {LARGEST_VOCABULARY}; "
            f"it looks like an identifier or free text: leave it out with --drop '{name}'"
        )
    codes = pc.index_in(texts, value_set=pa.array(vocabulary, pa.string()))
    return codes.to_numpy().astype(np.int32), tuple(vocabulary)
