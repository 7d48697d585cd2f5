"""Rows: the cells of a table, typed and still raw."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from models.cells import Reading, iso_date
from models.features import Record, Value
from trainer.arrays import Array, Codes, Labels, shortest_decimal

# A column's vocabulary holds its commonest texts, so many; the others share the entry RARE, which is no real text: it
# begins with a character that Unicode keeps out of every text. The network treats it as a text it has never seen.
LARGEST_VOCABULARY = 1000
RARE = "\ufdd0rare"

PLAIN = Reading()


@dataclass(frozen=True)
class Column:
    """What is settled about one feature: its kind, whether it may be missing, how it is read; never a statistic."""

    name: str
    kind: Literal["numeric", "categorical", "date"]
    nullable: bool = True
    reading: Reading = PLAIN


@dataclass(frozen=True)
class Rows:
    """Raw rows: `numeric` (n, p) with NaN where missing, and `codes` (n, q) into `vocabularies`.

    A date is a number too, days since 1970-01-01. In a vocabulary "" means missing, and RARE any text that is not
    among the commonest.
    """

    columns: tuple[Column, ...]
    numeric: Array
    codes: Codes
    vocabularies: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.numeric)

    @property
    def numbers(self) -> tuple[Column, ...]:
        """The columns of `numeric`, in order."""
        return tuple(column for column in self.columns if column.kind != "categorical")

    @property
    def texts_of(self) -> tuple[Column, ...]:
        """The columns of `codes`, in order."""
        return tuple(column for column in self.columns if column.kind == "categorical")

    def take(self, indices: npt.NDArray[np.int64]) -> "Rows":
        return Rows(self.columns, self.numeric[indices], self.codes[indices], self.vocabularies)

    def first(self, count: int) -> "Rows":
        """The first rows, without a copy."""
        return Rows(self.columns, self.numeric[:count], self.codes[:count], self.vocabularies)

    def with_gaps(self) -> "Rows":
        """The same rows with everything missing that may be missing."""
        numeric = np.where([column.nullable for column in self.numbers], np.float32(np.nan), self.numeric)
        vocabularies = tuple(known if "" in known else (*known, "") for known in self.vocabularies)
        missing = np.array([vocabulary.index("") for vocabulary in vocabularies], np.int32)
        codes = np.where([column.nullable for column in self.texts_of], missing, self.codes)
        return Rows(self.columns, numeric, codes, vocabularies)

    def texts(self) -> npt.NDArray[np.object_]:
        """The categorical cells as text, shape (n, q)."""
        texts = np.empty(self.codes.shape, dtype=object)
        for column, vocabulary in enumerate(self.vocabularies):
            texts[:, column] = np.array(vocabulary, dtype=object)[self.codes[:, column]]
        return texts

    def records(self) -> list[Record]:
        """The rows as a client would send them: a value a feature, None where missing."""
        numbers = iter(self.numeric.T)
        texts = iter(self.texts().T)
        columns = [
            [text or None for text in next(texts)]
            if column.kind == "categorical"
            else [_spelled(value, column.kind) for value in next(numbers)]
            for column in self.columns
        ]
        names = [column.name for column in self.columns]
        return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


@dataclass(frozen=True)
class Examples:
    """Rows with their classes: `labels` (n,) indexes `classes`; `weights` (n,) say how much each row counts.

    Those of a `long` table are mapped from files: a copy of all of them would not fit in memory.
    """

    rows: Rows
    labels: Labels
    classes: tuple[str, ...]
    weights: Array | None = None
    long: bool = False

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int) -> "Examples":
        """The first examples, without a copy."""
        weights = None if self.weights is None else self.weights[:count]
        return Examples(self.rows.first(count), self.labels[:count], self.classes, weights, self.long)

    def take(self, indices: npt.NDArray[np.int64]) -> "Examples":
        weights = None if self.weights is None else self.weights[indices]
        return Examples(self.rows.take(indices), self.labels[indices], self.classes, weights)


def joined(first: Examples, second: Examples) -> Examples:
    """The examples of two tables that were read alike, as those of one; the classes are those of the first."""
    columns = tuple(
        one if one.reading.boolean else other
        for one, other in zip(first.rows.columns, second.rows.columns, strict=True)
    )
    vocabularies = tuple(
        tuple(sorted({*one, *other}))
        for one, other in zip(first.rows.vocabularies, second.rows.vocabularies, strict=True)
    )
    codes = np.concatenate([first.rows.codes, second.rows.codes])
    for rows, part in ((first.rows, codes[: len(first)]), (second.rows, codes[len(first) :])):
        for column, (own, common) in enumerate(zip(rows.vocabularies, vocabularies, strict=True)):
            position = {text: code for code, text in enumerate(common)}
            part[:, column] = np.array([position[text] for text in own], np.int32)[part[:, column]]
    numeric = np.concatenate([first.rows.numeric, second.rows.numeric])
    labels = np.array([first.classes.index(name) for name in second.classes])[second.labels]
    weights = None
    if first.weights is not None and second.weights is not None:
        weights = np.concatenate([first.weights, second.weights])
    labels = np.concatenate([first.labels, labels])
    return Examples(Rows(columns, numeric, codes, vocabularies), labels, first.classes, weights)


def _spelled(value: np.float32, kind: str) -> Value:
    if np.isnan(value):
        return None
    return iso_date(float(value)) if kind == "date" else shortest_decimal(value)
