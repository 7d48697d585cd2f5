"""Tables: a file, and a schema if there is one, read into typed, still raw rows."""

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainer.arrays import Array, Labels
from trainer.data.columns import File, NumberCells, read_file
from trainer.data.conversion import fill_numbers, to_rows
from trainer.data.division import By, Division, read_division
from trainer.data.inspection import with_warnings
from trainer.data.kinds import infer
from trainer.data.rows import Examples, joined
from trainer.data.schema import MISSING, ColumnSchema, Schema, check_schema, read_schema
from trainer.data.split import Split, split
from trainer.errors import InvalidTable

# Fewer classes than this may all be single rows: that is a small table, and the split says so.
MANY_CLASSES = 10
IGNORED = ColumnSchema(kind="ignored")


@dataclass(frozen=True, eq=False)
class Table:
    """A table as read: its labelled examples, how many rows had no target, how it was read, and the file's digest.

    `division` is the column that divides it, if there is one. The first `learning` examples are the table's own; the
    others are those of the test table, whose digest is `test_sha256`.
    """

    examples: Examples
    rows_without_target: int
    schema: Schema
    sha256: str
    division: Division | None
    learning: int
    test_sha256: str | None = None

    def split(self, validation: float, test: float, rng: np.random.Generator, members: int = 1) -> Split:
        """Split the table; a test table is the test part.

        :raises InvalidTable: there are too few rows for the parts.
        """
        own = self.examples.first(self.learning)
        if self.test_sha256 is None:
            return split(own, validation, test, rng, members, self.division)
        chosen = split(own, validation, 0.0, rng, members, self.division)
        return replace(chosen, test=np.arange(self.learning, len(self.examples)))


def read_table(
    path: Path,
    target: str,
    drop: Sequence[str] = (),
    weight: str | None = None,
    schema: Path | None = None,
    *,
    divide: tuple[By, str] | None = None,
    keep: Sequence[str] = (),
    test: Path | None = None,
) -> Table:
    """Read a table whose column `target` holds the class and `weight`, if there is one, how much a row counts.

    The file is CSV, plain or gzipped, or Parquet; its first bytes tell which, whatever its name. `schema` says how each
    column is read; without it, `trainer.data.kinds` decides. A row whose target is missing, or whose weight is 0, is
    left out.

    :param divide: a column that divides the table, and how; it is no feature, unless it is one of those to `keep`.
    :param test: a second table with the same columns, read in the same way.
    :raises Unreadable: a table or the schema is not there or cannot be read.
    :raises TableChanged: a table was written to while it was read.
    :raises InvalidSchema: the schema breaks a rule or was written for another table.
    :raises InvalidTable: a file is no table that can be trained on; the sentence names the line or the column.
    """
    given = read_schema(schema) if schema else None
    file = read_file(path)
    _check_columns(path, file.names, target, {*drop, *keep}, weight, divide)
    if given and schema:
        check_schema(given, schema, path, file.names, target)
    no_features = {*drop, *([weight] if weight else []), *([divide[1]] if divide else [])} - set(keep)
    table = _read(file, target, weight, given, file.names, divide, no_features)
    if test is None:
        return table
    return _with_test(table, path, read_file(test), target, weight)


def _with_test(table: Table, path: Path, file: File, target: str, weight: str | None) -> Table:
    """The table at `path` with the rows of a test table, whose columns are those of the table and read in the same way.

    :raises InvalidTable: it lacks a column, or has rows of another class.
    """
    kinds = {column.name: column.kind for column in table.examples.rows.columns}
    for name in (target, *kinds):
        if name not in file.names:
            raise InvalidTable(f"{file.path} has no column '{name}', which {path} has")
    columns = {name: table.schema.columns[name].model_copy(update={"kind": kind}) for name, kind in kinds.items()}
    tested = _read(file, target, weight, table.schema.model_copy(update={"columns": columns}), list(columns))
    for name in tested.examples.classes:
        if name not in table.examples.classes:
            raise InvalidTable(f"{file.path}: '{name}' is no class of {path}; leave its rows out")
    return replace(table, examples=joined(table.examples, tested.examples), test_sha256=file.sha256)


def _read(
    file: File,
    target: str,
    weight: str | None,
    given: Schema | None,
    names: Sequence[str],
    divide: tuple[By, str] | None = None,
    no_features: Set[str] = frozenset(),
) -> Table:
    """Read the columns of these names, in this order."""
    markers = given.missing if given else MISSING
    labels, classes = _labels(file, target, markers)
    kept = labels >= 0
    without_target = int((~kept).sum())
    weights = None
    if weight:
        weights = _weights(file, weight, markers, kept)
        kept &= weights > 0
    division = read_division(file, *divide, markers) if divide else None
    settled = _settle(file, target, given, names, no_features)
    examples = Examples(to_rows(file, settled), labels, classes, weights)
    if not kept.all():
        rows = np.flatnonzero(kept)
        examples, division = examples.take(rows), division and division.take(rows)
    settled = with_warnings(settled, examples)
    return Table(examples, without_target, settled, file.sha256, division, len(examples))


def _check_columns(
    path: Path,
    names: Sequence[str],
    target: str,
    drop: Set[str],
    weight: str | None,
    divide: tuple[By, str] | None,
) -> None:
    roles = [*sorted(drop), *([weight] if weight else []), *([divide[1]] if divide else [])]
    for name in (target, *roles):
        if name not in names:
            raise InvalidTable(f"{path} has no column '{name}'; its columns are {', '.join(names)}")
    if target in roles:
        raise InvalidTable(f"column '{target}' is the target and cannot be dropped, weigh the rows or divide them")


def _settle(file: File, target: str, given: Schema | None, names: Sequence[str], no_features: Set[str]) -> Schema:
    """How each column is read: as the command line says, else as the schema says, else as its cells say."""
    columns = {}
    for name in names:
        if name in no_features:
            columns[name] = IGNORED
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
