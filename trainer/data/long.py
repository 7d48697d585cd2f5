"""Tables that are larger than memory: read twice in blocks, and written to files that are mapped.

The first reading settles how each column is read, by a sample of the rows; the second reads every row by that, and
refuses one that breaks it. Beside the classes, a few bytes a row, nothing that grows with the table stays in memory.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from trainer.data.contents import PARQUET, packed
from trainer.data.division import By
from trainer.data.examples import NOTHING, columns_of
from trainer.data.hashing import drawn
from trainer.data.inspection import with_warnings
from trainer.data.parsing import ParquetBlocks, Unparsed, release
from trainer.data.rows import Column, Examples
from trainer.data.sample import decode_sample
from trainer.data.schema import FileSchema, Schema
from trainer.data.settled import Roles
from trainer.data.size import BYTES_OF_CELL, TIMES_OF_TEXT, TIMES_UNPACKED
from trainer.data.stream import Stream, files_of
from trainer.data.table import Table, given_schema, settled_schema
from trainer.data.wording import note, refusal
from trainer.data.written import Written
from trainer.errors import InvalidSetting, TrainerError
from trainer.mapped import check_room

CELL = 4
# What a row takes in memory for a moment, whatever its columns: its class, read and numbered, and its place in a part.
BYTES_A_ROW = 24
# So many rows, or of a wide table so many cells, tell what looks wrong in it.
LOOKED_AT, CELLS_LOOKED_AT = 200_000, 4_000_000


def read_long_table(
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
    memory: int | None = None,
) -> Table:
    """Read a table as `read_table` does, in blocks; its rows are mapped from files without a name.

    :param memory: how many bytes of memory there are for it.
    :raises TrainerError: as there.
    :raises NoRoom: the disk has none for the rows.
    :raises InvalidSetting: there are too many rows for the memory, or they are to be divided by time, for which all of
        them are needed at once.
    """
    if divide and divide[0] == "time":
        raise InvalidSetting(
            f"{path} does not fit in --memory, and --time orders all rows at once; say --split-by with a column that "
            "names each row's part, or a larger --memory"
        )
    given = given_schema(schema, target, file, merge_spellings=merge_spellings)
    roles = Roles(target, weight, divide, tuple(drop), tuple(keep))
    stream = Stream.of(path, given.file)
    sample, rows = decode_sample(stream)
    if memory is not None and rows * BYTES_A_ROW > memory:
        raise InvalidSetting(
            f"{path} has {rows} rows, for which training itself takes {BYTES_A_ROW} bytes each; say --memory "
            f"{-(-rows * BYTES_A_ROW >> 20)}m or more, or train on fewer of them"
        )
    settled = settled_schema(sample, given, roles, schema)
    settled = settled.model_copy(
        update={"notes": (*settled.notes, note("sampled", f"{sample.rows} of {rows}, in blocks"))}
    )
    columns, head = columns_of(sample, settled), replace(sample, columns={})
    del sample
    release()
    # As they are, and encoded, of which nobody knows yet how many inputs that makes: one for each column at least.
    check_room(2 * rows * len(columns) * CELL, f"the {rows} rows of {path}")
    stated = schema is not None
    with ExitStack() as files:
        written = files.enter_context(Written(columns, roles, settled, stated=stated))
        written.read(stream)
        if written.no_booleans:
            settled, columns = _without_booleans(settled, columns, written.no_booleans)
            files.close()
            written = files.enter_context(Written(columns, roles, settled, stated=stated))
            written.read(stream)
        learning, without, test_digest = len(written), written.without_target, None
        if test is not None:
            tested = Stream.of(test, given.file)
            test_digest = tested.digest()
            written.read(tested, test_of=path)
        examples, remark = written.examples(head, known)
    if test is not None:
        _check_classes(examples, learning, test, path)
    settled = settled.model_copy(update={"notes": (*settled.notes, *filter(None, [remark]))})
    settled = with_warnings(settled, examples.take(drawn(learning, min(LOOKED_AT, CELLS_LOOKED_AT // len(columns)))))
    return Table(examples, without, settled, head.sha256, written.division, learning, test_digest)


def needed_memory(path: Path) -> int:
    """About how many bytes of memory it takes to train on a table that is read whole; 0 of what can be read once only.

    What cannot be read counts for nothing: whoever reads it says so.
    """
    try:
        return sum(map(_needed, files_of(path)))
    except (OSError, TrainerError):
        return 0


def _needed(path: Path) -> int:
    if not path.is_file():
        return 0
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(0)
        if head.startswith(PARQUET):
            try:
                parquet = ParquetBlocks(file)
            except Unparsed:
                return 0
            return parquet.rows * len(parquet.names) * BYTES_OF_CELL
    return size * TIMES_OF_TEXT * (TIMES_UNPACKED if packed(head) else 1)


def _without_booleans(
    settled: Schema, columns: tuple[Column, ...], names: Collection[str]
) -> tuple[Schema, tuple[Column, ...]]:
    """The same, with these columns as the numbers or texts that they turned out to be."""
    others = [
        replace(column, reading=column.reading.model_copy(update={"boolean": None})) if column.name in names else column
        for column in columns
    ]
    kinds = {column.name: {"kind": column.kind} for column in others if column.name in names}
    schemas = {name: one.model_copy(update=kinds.get(name, {})) for name, one in settled.columns.items()}
    return settled.model_copy(update={"columns": schemas}), tuple(others)


def _check_classes(examples: Examples, learning: int, test: Path, table: Path) -> None:
    """Refuse a class that only rows of the test table have."""
    learned, tested = (np.unique(labels) for labels in np.split(examples.labels, [learning]))
    for label in np.setdiff1d(tested, learned):
        raise refusal("test_class", path=test, name=examples.classes[label], table=table)
