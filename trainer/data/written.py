"""The rows of a table that is read in blocks: cells in files that are mapped, and what else there is of each row."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from trainer.arrays import Array
from trainer.data.columns import NumberCells, TextCells
from trainer.data.decoded import Decoded
from trainer.data.division import By, Division, read_division
from trainer.data.examples import check_weighed, fill_numbers, read_labels, weights_of
from trainer.data.rows import Column, Examples, Rows
from trainer.data.schema import Schema
from trainer.data.settled import Roles
from trainer.data.stream import Stream
from trainer.data.texts import BEYOND, FIRST, MOST_TEXTS, Texts
from trainer.data.wording import refusal
from trainer.errors import InvalidTable
from trainer.mapped import Growing, moved

ROWS_AT_ONCE = 1 << 16


@dataclass(eq=False)
class Written:
    """The rows of a table as they are read, block by block and by a settled schema; their cells are in files.

    `no_booleans` are columns that the sample took for booleans, unless a schema has `stated` it, and that are none.
    """

    columns: tuple[Column, ...]
    roles: Roles
    schema: Schema
    stated: bool
    without_target: int = 0
    no_booleans: set[str] = field(default_factory=set)
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
        with stream.unchanged():
            for part in stream.parts():
                decoded = part.decoded()
                if test_of:
                    self._check_columns(decoded, test_of)
                self._add(decoded, None if test_of else self.roles.divide, strict=self.stated or test_of is not None)
        if self.roles.weight and not len(self):
            raise refusal("no_weight", path=stream.path, name=self.roles.weight)

    def _check_columns(self, decoded: Decoded, table: Path) -> None:
        for name in filter(None, (self.roles.target, self.roles.weight, *(column.name for column in self.columns))):
            if name not in decoded.columns:
                raise refusal("test_column", path=decoded.path, name=name, table=table)

    def _add(self, decoded: Decoded, divide: tuple[By, str] | None, *, strict: bool) -> None:
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
        numeric, codes = self._cells(decoded, strict=strict)
        # Last, so that a block is there whole or not at all.
        self._numeric.append(numeric[kept])
        self._codes.append(codes[kept])
        self._labels.append(labels[kept])
        if weights is not None:
            self._weights.append(weights[kept])
        if division is not None:
            self._divided.append(division.values[kept])

    def _cells(self, decoded: Decoded, *, strict: bool) -> tuple[Array, npt.NDArray[np.int32]]:
        numeric = np.empty((decoded.rows, len(self.columns) - len(self._texts)), np.float32)
        codes = np.empty((decoded.rows, len(self._texts)), np.int32)
        into_numbers, into_codes, texts = iter(numeric.T), iter(codes.T), iter(self._texts)
        for column in self.columns:
            if column.kind == "categorical":
                third = _fill_codes(next(into_codes), decoded, column, next(texts))
            else:
                third = _fill_numbers(next(into_numbers), decoded, column)
            if third and strict:
                raise third
            if third:
                self.no_booleans.add(column.name)
        return numeric, codes

    @property
    def division(self) -> Division | None:
        """What divides the rows of the table itself."""
        return Division(*self.roles.divide, np.concatenate(self._divided)) if self.roles.divide else None

    def examples(self, head: Decoded, known: Mapping[str, Collection[str]]) -> tuple[Examples, str | None]:
        """All rows that were read, mapped from their files, and a note about how their classes are spelled.

        :param head: the table without its columns.
        :param known: by column, the texts that its vocabulary keeps however rare they are.
        :raises InvalidTable: there are no two classes of rows that count, or as many as there are rows.
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
        if self.roles.weight:
            check_weighed(head.path, self.roles.weight, numbers, classes)
        weights = moved(np.concatenate(self._weights)) if self._weights else None
        return Examples(rows, moved(numbers), classes, weights, long=True), remark


def _fill_codes(into: npt.NDArray[np.int32], decoded: Decoded, column: Column, texts: Texts) -> InvalidTable | None:
    """Write the numbers of the texts of a column; a refusal of a third text where it is a boolean."""
    cells, reading = _as_texts(decoded, column.name), column.reading
    texts.read(cells, reading.missing, reading.category, into)
    for text in texts.found if reading.boolean else ():
        if text not in (reading.boolean or ()) and (here := into == texts.numbers.get(text, BEYOND)).any():
            place = decoded.place(int(np.argmax(here)))
            return refusal("third_text", place=place, name=column.name, text=text)
    return None


def _fill_numbers(into: Array, decoded: Decoded, column: Column) -> InvalidTable | None:
    """Write the numbers of a column; a refusal of one that is neither 0 nor 1 where it is a boolean."""
    fill_numbers(into, decoded, column)
    other = ~np.isnan(into) & (into != 0) & (into != 1)
    if column.reading.boolean is None or not other.any():
        return None
    row = int(np.argmax(other))
    return refusal("no_boolean", place=decoded.place(row), name=column.name, number=into[row])


def _as_texts(decoded: Decoded, name: str) -> TextCells:
    cells = decoded.cells(name)
    return cells.as_texts() if isinstance(cells, NumberCells) else cells
