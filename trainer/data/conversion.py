"""From the cells of a file to rows, as a schema says. A cell that its column's kind does not allow is refused."""

from typing import Literal

import numpy as np

from models.features import FLOAT32_MAX
from trainer.arrays import Array, Codes
from trainer.data.columns import File, NumberCells
from trainer.data.rows import LARGEST_VOCABULARY, RARE, Column, Rows
from trainer.data.schema import ColumnSchema, Schema
from trainer.errors import InvalidTable


def to_rows(file: File, schema: Schema) -> Rows:
    """Turn every column that is not ignored into a feature; the file forgets it.

    :raises InvalidTable: a cell is of another kind than its column, or does not fit in 32 bits.
    """
    kinds = {name: _kind(file, name, schema) for name, column in schema.columns.items() if column.kind != "ignored"}
    count = list(kinds.values()).count
    numeric = np.empty((len(file), count("numeric")), np.float32)
    codes = np.empty((len(file), count("categorical")), np.int32)
    numbers, texts = iter(numeric.T), iter(codes.T)
    columns: list[Column] = []
    vocabularies: list[tuple[str, ...]] = []
    for name, kind in kinds.items():
        if kind == "numeric":
            gaps = fill_numbers(next(numbers), file, name, schema.columns[name], schema.markers(name))
            columns.append(Column(name, kind, gaps))
        else:
            vocabularies.append(_fill_codes(next(texts), file, name, schema.markers(name)))
            columns.append(Column(name, kind, "" in vocabularies[-1]))
    file.release()
    return Rows(tuple(columns), numeric, codes, tuple(vocabularies))


def _kind(file: File, name: str, schema: Schema) -> Literal["numeric", "categorical"]:
    """What a column is to the network: a boolean of 0 and 1 is a number, any other boolean a category.

    :raises InvalidTable: a boolean column holds more than two texts, or numbers that are not 0 and 1.
    """
    match schema.columns[name].kind:
        case "numeric":
            return "numeric"
        case "categorical":
            return "categorical"
    cells = file.look(name)
    if isinstance(cells, NumberCells):
        values = cells.numbers()
        other = ~np.isnan(values) & (values != 0) & (values != 1)
        if other.any():
            place = file.place(int(np.argmax(other)))
            raise InvalidTable(f"{place}, column '{name}': {values[other][0]:g} is neither 0 nor 1, as a boolean is")
        return "numeric"
    present = np.flatnonzero(~cells.are(schema.markers(name)))
    if len(present) > 2:
        third = cells.spelled(present[2:3])[0]
        place = file.place(cells.first_row(int(present[2])))
        raise InvalidTable(f"{place}, column '{name}': '{third}' is a third text in a boolean column, which holds two")
    return "numeric" if set(cells.spelled(present)) <= {"0", "1"} else "categorical"


def fill_numbers(into: Array, file: File, name: str, column: ColumnSchema, missing: tuple[str, ...]) -> bool:
    """Write the numbers of a column into an array of shape (n,), NaN where missing, and tell whether any is.

    :raises InvalidTable: a cell is no number, or too large for 32 bits.
    """
    cells = file.take(name)
    if isinstance(cells, NumberCells):
        numbers = cells.numbers()
    else:
        present = ~cells.are(missing)
        numbers = cells.numbers(present, column.decimal, column.thousands)
        unspelled = np.flatnonzero(present & np.isnan(numbers))
        if len(unspelled):
            text, place = cells.spelled(unspelled[:1])[0], file.place(cells.first_row(int(unspelled[0])))
            raise InvalidTable(f"{place}, column '{name}': '{text}' is no number; the schema can list it as missing")
    too_large = np.flatnonzero(np.abs(numbers) > FLOAT32_MAX)
    if len(too_large):
        place = file.place(cells.first_row(int(too_large[0])))
        raise InvalidTable(
            f"{place}, column '{name}': {numbers[too_large[0]]:g} does not fit in a 32-bit float; "
            "the schema can list it as missing"
        )
    cells.spread(numbers.astype(np.float32), np.float32(np.nan), into)
    return bool(np.isnan(numbers).any()) or cells.has_nothing()


def _fill_codes(into: Codes, file: File, name: str, missing: tuple[str, ...]) -> tuple[str, ...]:
    """Write the codes of a column into an array of shape (n,), and return its vocabulary."""
    cells = file.take(name)
    if isinstance(cells, NumberCells):
        cells = cells.as_texts()
    present = np.flatnonzero(~cells.are(missing))
    kept = present
    if len(present) > LARGEST_VOCABULARY:
        # In doubt, the text that stands first in the file.
        kept = present[np.argsort(-cells.counts()[present], kind="stable")[:LARGEST_VOCABULARY]]
    spelled = cells.spelled(kept)
    gaps = len(present) < len(cells) or cells.has_nothing()
    vocabulary = sorted({*spelled, *([""] if gaps else []), *([RARE] if len(kept) < len(present) else [])})
    position = {text: code for code, text in enumerate(vocabulary)}
    meaning = np.full(len(cells), position.get("", -1), np.int32)
    meaning[present] = position.get(RARE, -1)
    meaning[kept] = [position[text] for text in spelled]
    cells.spread(meaning, np.int32(position.get("", -1)), into)
    return tuple(vocabulary)
