"""Tables that are larger than memory: read twice in blocks, and written to files that are mapped.

The first reading settles how each column is read, by a sample of the rows; the second reads every row by that, and
refuses one that breaks it. Beside the classes, a few bytes a row, nothing that grows with the table stays in memory.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from trainer.arrays import Array
from trainer.data.columns import NumberCells, TextCells
from trainer.data.decoded import Decoded
from trainer.data.division import By, Division, read_division
from trainer.data.examples import NOTHING, columns_of, fill_numbers, read_labels, weights_of
from trainer.data.hashing import drawn
from trainer.data.inspection import with_warnings
from trainer.data.parsing import release
from trainer.data.rows import Column, Examples, Rows
from trainer.data.sample import decode_sample
from trainer.data.schema import FileSchema, Schema
from trainer.data.settled import Roles
from trainer.data.stream import Stream
from trainer.data.table import Table, given_schema, settled_schema
from trainer.data.texts import FIRST, MOST_TEXTS, Texts
from trainer.data.wording import note, refusal
from trainer.errors import InvalidSetting
from trainer.mapped import Growing, check_room, moved

CELL = 4
# What a row takes in memory for a moment, whatever its columns: its class, read and numbered, and its place in a part.
BYTES_A_ROW = 24
# So many rows, or of a wide table so many cells, tell what looks wrong in it.
LOOKED_AT, CELLS_LOOKED_AT = 200_000, 4_000_000
ROWS_AT_ONCE = 1 << 16


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
    with Written(columns, roles, settled) as written:
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


@dataclass(eq=False)
class Written:
    """The rows of a table as they are read, block by block and by a settled schema; their cells are in files."""

    columns: tuple[Column, ...]
    roles: Roles
    schema: Schema
    without_target: int = 0
    classes: Texts = field(default_factory=Texts)
    _labels: list[npt.NDArray[np.int32]] = field(default_factory=list)
    _weights: list[Array] = field(default_factory=list)
    _divided: list[npt.NDArray[np.int64]] = field(default_factory=list)

    def __post_init__(self) -> None:
        texts = sum(column.kind == "categorical" for column in self.columns)
        self._texts = [Texts() for _ in range(texts)]
        self._numeric, self._codes = Growing(len(self.columns) - texts, np.float32), Growing(texts, np.int32)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._numeric.close()
        self._codes.close()

    def __len__(self) -> int:
        return len(self._numeric)

    def read(self, stream: Stream, test_of: Path | None = None) -> None:
        """Read all rows, behind those that were read before; those of a table for the test are divided by nothing.

        :raises InvalidTable: a row breaks the schema; the sentence names the file and the line.
        :raises TableChanged: the table is not what it was.
        """
        for part in stream.parts():
            decoded = part.decoded()
            if test_of:
                self._check_columns(decoded, test_of)
            self._add(decoded, None if test_of else self.roles.divide)
        if self.roles.weight and not len(self):
            raise refusal("no_weight", path=stream.path, name=self.roles.weight)

    def _check_columns(self, decoded: Decoded, table: Path) -> None:
        for name in filter(None, (self.roles.target, self.roles.weight, *(column.name for column in self.columns))):
            if name not in decoded.columns:
                raise refusal("test_column", path=decoded.path, name=name, table=table)

    def _add(self, decoded: Decoded, divide: tuple[By, str] | None) -> None:
        missing = self.schema.missing
        labels = np.empty(decoded.rows, np.int32)
        self.classes.read(_as_texts(decoded, self.roles.target), missing, str, labels)
        if len(self.classes.numbers) == MOST_TEXTS:
            facts = {"name": self.roles.target, "classes": f"{MOST_TEXTS} or more", "rows": len(self)}
            raise refusal("no_class", path=decoded.path, **facts)
        kept = labels >= FIRST
        self.without_target += int((~kept).sum())
        weights = None
        if self.roles.weight:
            weights = weights_of(decoded, self.roles.weight, missing, kept)
            kept &= weights > 0
        division = read_division(decoded, *divide, missing, lasting=True) if divide else None
        numeric = np.empty((decoded.rows, len(self.columns) - len(self._texts)), np.float32)
        codes = np.empty((decoded.rows, len(self._texts)), np.int32)
        into_numbers, into_codes, texts = iter(numeric.T), iter(codes.T), iter(self._texts)
        for column in self.columns:
            if column.kind == "categorical":
                _fill_codes(next(into_codes), decoded, column, next(texts))
            else:
                fill_numbers(next(into_numbers), decoded, column)
        # Last, so that a block is there whole or not at all.
        self._numeric.append(numeric[kept])
        self._codes.append(codes[kept])
        self._labels.append(labels[kept])
        if weights is not None:
            self._weights.append(weights[kept])
        if division is not None:
            self._divided.append(division.values[kept])

    @property
    def division(self) -> Division | None:
        """What divides the rows of the table itself."""
        return Division(*self.roles.divide, np.concatenate(self._divided)) if self.roles.divide else None

    def examples(self, head: Decoded, known: Mapping[str, Collection[str]]) -> tuple[Examples, str | None]:
        """All rows that were read, mapped from their files, and a note about how their classes are spelled.

        :param head: the table without its columns.
        :param known: by column, the texts that its vocabulary keeps however rare they are.
        :raises InvalidTable: there are no two classes, or as many as there are rows.
        """
        names = [column.name for column in self.columns if column.kind == "categorical"]
        found = [texts.vocabulary(known.get(name, ())) for name, texts in zip(names, self._texts, strict=True)]
        codes = self._codes.mapped("r+")
        for start in range(0, len(codes), ROWS_AT_ONCE):
            part = codes[start : start + ROWS_AT_ONCE]
            for column, (_, meaning) in enumerate(found):
                part[:, column] = meaning[part[:, column]]
        rows = Rows(self.columns, self._numeric.mapped(), self._codes.mapped(), tuple(words for words, _ in found))
        labels = np.concatenate([np.empty(0, np.int32), *self._labels]) - np.int32(FIRST)
        self._labels.clear()
        cells = TextCells.numbered(self.classes.found, labels.view(np.uint32))
        whole = replace(head, columns={self.roles.target: cells}, rows=len(self))
        numbers, classes, remark = read_labels(whole, self.roles.target, self.schema)
        weights = moved(np.concatenate(self._weights)) if self._weights else None
        return Examples(rows, moved(numbers), classes, weights, long=True), remark


def _fill_codes(into: npt.NDArray[np.int32], decoded: Decoded, column: Column, texts: Texts) -> None:
    cells, reading = _as_texts(decoded, column.name), column.reading
    texts.read(cells, reading.missing, reading.category, into)
    if reading.boolean is None:
        return
    for text in texts.found:
        if text not in reading.boolean:
            row = int(np.argmax(into == texts.numbers[text]))
            raise refusal("third_text", place=decoded.place(row), name=column.name, text=text)


def _as_texts(decoded: Decoded, name: str) -> TextCells:
    cells = decoded.cells(name)
    return cells.as_texts() if isinstance(cells, NumberCells) else cells


def _check_classes(examples: Examples, learning: int, test: Path, table: Path) -> None:
    """Refuse a class that only rows of the test table have."""
    learned, tested = (np.unique(labels) for labels in np.split(examples.labels, [learning]))
    for label in np.setdiff1d(tested, learned):
        raise refusal("test_class", path=test, name=examples.classes[label], table=table)
