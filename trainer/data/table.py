"""Tables: a file, and a schema if there is one, read into typed, still raw rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainer.arrays import Array, Labels
from trainer.data.columns import File, NumberCells, read_file
from trainer.data.conversion import fill_numbers, to_rows
from trainer.data.inspection import with_warnings
from trainer.data.kinds import infer
from trainer.data.rows import Examples
from trainer.data.schema import MISSING, ColumnSchema, Schema, check_schema, read_schema
from trainer.errors import InvalidTable

# Fewer classes than this may all be single rows: that is a small table, and the split says so.
MANY_CLASSES = 10


@dataclass(frozen=True)
class Table:
    """A table as read: its labelled examples, how many rows had no target, how it was read, and the file's digest."""

    examples: Examples
    rows_without_target: int
    schema: Schema
    sha256: str


def read_table(
    path: Path,
    target: str,
    drop: Sequence[str] = (),
    weight: str | None = None,
    schema: Path | None = None,
) -> Table:
    """Read a table whose column `target` holds the class and `weight`, if there is one, how much a row counts.

    The file is CSV, plain or gzipped, or Parquet; its first bytes tell which, whatever its name. `schema` says how each
    column is read; without it, `trainer.data.kinds` decides. A row whose target is missing, or whose weight is 0, is
    left out.

    :raises Unreadable: the table or the schema is not there or cannot be read.
    :raises TableChanged: the table was written to while it was read.
    :raises InvalidSchema: the schema breaks a rule or was written for another table.
    :raises InvalidTable: the file is no table that can be trained on; the sentence names the line or the column.
    """
    given = read_schema(schema) if schema else None
    file = read_file(path)
    _check_columns(path, file.names, target, drop, weight)
    if given and schema:
        check_schema(given, schema, path, file.names, target)
    markers = given.missing if given else MISSING
    labels, classes = _labels(file, target, markers)
    kept = labels >= 0
    without_target = int((~kept).sum())
    weights = None
    if weight:
        weights = _weights(file, weight, markers, kept)
        kept &= weights > 0
    settled = _settle(file, target, drop, weight, given)
    examples = Examples(to_rows(file, settled), labels, classes, weights)
    if not kept.all():
        examples = examples.take(np.flatnonzero(kept))
    return Table(examples, without_target, with_warnings(settled, examples), file.sha256)


def _check_columns(path: Path, names: Sequence[str], target: str, drop: Sequence[str], weight: str | None) -> None:
    for name in (target, *drop, *([weight] if weight else [])):
        if name not in names:
            raise InvalidTable(f"{path} has no column '{name}'; its columns are {', '.join(names)}")
    if target in (*drop, weight):
        raise InvalidTable(f"column '{target}' is the target and cannot be dropped or weigh the rows")


def _settle(file: File, target: str, drop: Sequence[str], weight: str | None, given: Schema | None) -> Schema:
    """How each column is read: as the command line says, else as the schema says, else as its cells say."""
    columns = {}
    for name in file.names:
        if name in drop or name == weight:
            columns[name] = ColumnSchema(kind="ignored")
        elif name != target:
            # Notes of an earlier inspection may be about another table.
            columns[name] = _unnoted(given.columns[name]) if given else infer(file.look(name), MISSING)
    if all(column.kind == "ignored" for column in columns.values()):
        ignored = f"; ignored: {', '.join(columns)}" if columns else ""
        raise InvalidTable(f"{file.path} has no feature column beside the target{ignored}")
    return Schema(target=target, missing=given.missing if given else MISSING, columns=columns)


def _unnoted(column: ColumnSchema) -> ColumnSchema:
    return column.model_copy(update={"notes": (), "found": None})


def _labels(file: File, target: str, missing: tuple[str, ...]) -> tuple[Labels, tuple[str, ...]]:
    """The class of each row, -1 where it is missing, and what the classes are called; the file forgets the column."""
    cells = file.take(target)
    cells = cells.as_texts() if isinstance(cells, NumberCells) else cells
    known = ~cells.are(missing)
    spelled = cells.spelled(np.flatnonzero(known))
    if not spelled:
        raise InvalidTable(f"{file.path}: no row has a value in the target column '{target}'")
    classes = tuple(sorted(spelled))
    if len(classes) < 2:
        raise InvalidTable(
            f"{file.path}: the target '{target}' holds one class only ('{classes[0]}'); a classifier needs two or more"
        )
    rows = int(cells.counts()[:-1][known].sum())
    if len(classes) > MANY_CLASSES and rows < 2 * len(classes):
        raise InvalidTable(
            f"{file.path}: the target '{target}' has {len(classes)} different values in {rows} rows; a classifier "
            "needs classes that repeat"
        )
    position = {text: label for label, text in enumerate(classes)}
    meaning = np.full(len(cells), -1)
    meaning[known] = [position[text] for text in spelled]
    labels = np.empty(len(file), np.int64)
    cells.spread(meaning, np.int64(-1), labels)
    return labels, classes


def _weights(file: File, name: str, missing: tuple[str, ...], labelled: npt.NDArray[np.bool_]) -> Array:
    """Shape (n,)."""
    weights = np.empty(len(file), np.float32)
    fill_numbers(weights, file, name, ColumnSchema(kind="numeric"), missing)
    unfit = labelled & ~(weights >= 0)
    if unfit.any():
        row = int(np.argmax(unfit))
        found = "missing" if np.isnan(weights[row]) else weights[row]
        raise InvalidTable(f"{file.place(row)}, column '{name}': a weight must be 0 or more, not {found}")
    if not (weights[labelled] > 0).any():
        raise InvalidTable(f"{file.path}: every weight in column '{name}' is 0; at least one row must count")
    return weights
