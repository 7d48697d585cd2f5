"""Tables: bytes, then cells, then a settled schema, then features and target. Each stage has a file of its name."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from trainer.data.decoded import Decoded, decode
from trainer.data.division import By, Division, read_division
from trainer.data.examples import NOTHING, check_weighed, columns_of, read_labels, read_weights, to_rows
from trainer.data.frames import NO_FRAMES, Frames
from trainer.data.inspection import with_warnings
from trainer.data.rows import Examples, joined
from trainer.data.sample import decode_all
from trainer.data.schema import FileSchema, Schema, check_schema, read_schema
from trainer.data.settled import Roles, as_the_table, settle
from trainer.data.split import Split, split
from trainer.data.stream import Stream
from trainer.data.wording import refusal


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

    def split(
        self, validation: float, test: float, rng: np.random.Generator, members: int = 1, sets: float = 0.0
    ) -> Split:
        """Split the table; a test table is the test part.

        :raises InvalidTable: there are too few rows for the parts.
        """
        own = self.examples.first(self.learning)
        if self.test_sha256 is None:
            return split(own, validation, test, rng, members, self.division, sets)
        chosen = split(own, validation, 0.0, rng, members, self.division, sets)
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
    file: FileSchema = FileSchema(),  # noqa: B008
    merge_spellings: bool = False,
    known: Mapping[str, Collection[str]] = NOTHING,
    frames: Frames = NO_FRAMES,
    memory: int | None = None,
) -> Table:
    """Read a table whose column `target` holds the class and `weight`, if there is one, how much a row counts.

    The file is CSV, Parquet or a workbook, plain or compressed; its first bytes tell which, whatever its name. A folder
    of such files with the same columns is one table, in the order of their names. `schema` says how each column is
    read; without it, `trainer.data.kinds` decides. A row whose target is missing, or whose weight is 0, is left out.

    :param divide: a column that divides the table, and how; it is no feature, unless it is one of those to `keep`.
    :param test: a second table with the same columns, read in the same way.
    :param file: how the bytes of the file are read, where it does not say so itself; overrules the schema.
    :param merge_spellings: take classes that differ by case or blanks only for one.
    :param known: by column, the texts that its vocabulary keeps however rare they are.
    :param frames: the tables that are in memory and in no file.
    :param memory: how many bytes of memory a file may take; half of what there is, where nobody says.
    :raises Unreadable: a table or the schema is not there or cannot be read.
    :raises TableChanged: a table was written to while it was read.
    :raises InvalidSchema: the schema breaks a rule or was written for another table.
    :raises LargerThanMemory: a file takes more memory.
    :raises InvalidTable: a file is no table that can be trained on; the sentence names the line or the column.
    """
    roles = Roles(target, weight, divide, tuple(drop), tuple(keep))
    decoded = frames.get(path)
    if decoded is not None and decoded.schema is not None:
        roles.check(decoded)
        settled = settle(decoded, decoded.schema, roles, stated=True)
    else:
        given = given_schema(schema, target, file, merge_spellings=merge_spellings)
        decoded = decoded or _decode(path, given.file, memory)
        settled = settled_schema(decoded, given, roles, schema)
    table = _read(decoded, settled, roles, known)
    if test is None:
        return table
    return _with_test(table, path, frames.get(test) or _decode(test, settled.file, memory), roles, known)


def given_schema(path: Path | None, target: str, file: FileSchema, *, merge_spellings: bool) -> Schema:
    """What a schema file, if there is one, and the command line say of a table.

    :raises Unreadable: the file is not there or cannot be read.
    :raises InvalidSchema: it breaks a rule.
    """
    given = read_schema(path) if path else Schema(target=target, columns={})
    merged = merge_spellings or given.merge_spellings
    return given.model_copy(update={"file": given.file.overruled(file), "merge_spellings": merged})


def settled_schema(decoded: Decoded, given: Schema, roles: Roles, stated: Path | None) -> Schema:
    """How a table is read, with what is `given`, by a schema file if there is one.

    :raises InvalidSchema: the file was written for another table.
    :raises InvalidTable: the roles name no column, or no feature is left.
    """
    roles.check(decoded)
    if stated:
        names = [name for name in decoded.columns if name not in decoded.index]
        check_schema(given, stated, decoded.path, names, roles.target)
    return settle(decoded, given, roles, stated=stated is not None)


def _decode(path: Path, file: FileSchema, memory: int | None) -> Decoded:
    """The file, or all files of the folder."""
    return decode_all(Stream.of(path, file), memory) if path.is_dir() else decode(path, file, memory)


def _with_test(table: Table, path: Path, decoded: Decoded, roles: Roles, known: Mapping[str, Collection[str]]) -> Table:
    """The table at `path` with the rows of a test table, whose columns are those of the table and read in the same way.

    :raises InvalidTable: it lacks a column, or has rows of another class.
    """
    kinds = {column.name: column.kind for column in table.examples.rows.columns}
    for name in (roles.target, *kinds):
        if name not in decoded.columns:
            raise refusal("test_column", path=decoded.path, name=name, table=path)
    learned = table.examples.rows
    kept = {
        column.name: {*texts, *known.get(column.name, ())}
        for column, texts in zip(learned.texts_of, learned.vocabularies, strict=True)
    }
    tested = _read(decoded, as_the_table(table.schema, kinds), replace(roles, divide=None), kept)
    for name in tested.examples.classes:
        if name not in table.examples.classes:
            raise refusal("test_class", path=decoded.path, name=name, table=path)
    return replace(table, examples=joined(table.examples, tested.examples), test_sha256=decoded.sha256)


def _read(decoded: Decoded, schema: Schema, roles: Roles, known: Mapping[str, Collection[str]]) -> Table:
    """The examples of a decoded table by a settled schema, with the `known` texts in its vocabularies."""
    labels, classes, remark = read_labels(decoded, roles.target, schema)
    kept = labels >= 0
    without_target = int((~kept).sum())
    weights = None
    if roles.weight:
        weights = read_weights(decoded, roles.weight, schema.missing, kept)
        kept &= weights > 0
        check_weighed(decoded.path, roles.weight, labels[kept], classes)
    division = read_division(decoded, *roles.divide, schema.missing) if roles.divide else None
    examples = Examples(to_rows(decoded, columns_of(decoded, schema), known), labels, classes, weights)
    if not kept.all():
        rows = np.flatnonzero(kept)
        examples, division = examples.take(rows), division and division.take(rows)
    schema = schema.model_copy(update={"notes": (*schema.notes, *filter(None, [remark]))})
    return Table(examples, without_target, with_warnings(schema, examples), decoded.sha256, division, len(examples))
