"""The rows of a block of a table as a model takes them; with what is wrong with some, and unusual about others.

What the trainer reads, and what the service would answer to the same cells, is the same to the last bit.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evenkeel.tables.labelled import column_of
from models.card import ModelCard
from models.features import FLOAT32_MAX, Feature, cell_reader, codes_of, usual_range
from models.terminal import printable
from trainer.data.blocks import Block
from trainer.data.columns import NumberCells, TextCells
from trainer.data.rows import Column
from trainer.data.schema import Schema

# By the model's input: `numeric` float32 (n, p), NaN meaning missing; `categorical` object (n, q), "" meaning missing.
Tensors = dict[str, npt.NDArray[np.generic]]
Flags = npt.NDArray[np.bool_]

LARGEST = float(np.finfo(np.float32).max)
LONGEST_CELL = 64


@dataclass(frozen=True, eq=False)
class Rows:
    """`tensors` of n rows. `reasons` says of a row why it has no answer, by feature where one is at fault.

    `unusual` says by feature and code, as the service's warnings have it, which rows (n,) it holds for.
    """

    tensors: Tensors
    reasons: dict[int, tuple[str, str]]
    unusual: Mapping[tuple[str, str], Flags]

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))

    def remarks(self, left_out: Flags) -> tuple[list[str], Counter[str]]:
        """The remark on each row, "" on most, and how many rows have each; none on those left out."""
        flags = {f"{name}: {code}": found & ~left_out for (name, code), found in self.unusual.items()}
        flags = {remark: found for remark, found in flags.items() if found.any()}
        if not flags:
            return [""] * len(self), Counter()
        # Few of the combinations occur: each is put into words once.
        packed = np.packbits(np.array(list(flags.values())), axis=0)
        kinds, which = np.unique(packed, axis=1, return_inverse=True)
        bits = np.unpackbits(kinds, axis=0, count=len(flags)).T
        texts = ["; ".join(remark for remark, bit in zip(flags, one, strict=True) if bit) for one in bits]
        counts = Counter({remark: int(found.sum()) for remark, found in flags.items()})
        return [texts[kind] for kind in which.ravel().tolist()], counts


class RowReader:
    """Reads the cells of a block as the card says that training read its table."""

    def __init__(self, card: ModelCard, given: Schema) -> None:
        self._features = [(feature, column_of(feature, given)) for feature in card.features]

    def read(self, block: Block) -> Rows:
        """The rows of a block that has a column for each feature.

        :raises InvalidTable: a column holds neither numbers nor texts.
        """
        reasons: dict[int, tuple[str, str]] = {}
        unusual: dict[tuple[str, str], Flags] = {}
        numeric, texts = [], []
        for feature, column in self._features:
            cells = block.cells(feature.name)
            if feature.kind == "categorical":
                spelled, missing, odd = _texts(cells, feature.categories, column)
                texts.append(spelled)
                unusual[feature.name, "unseen_category"] = odd
            else:
                values, bad, why = _numbers(cells, feature, column)
                numeric.append(values)
                _blame(reasons, feature, bad, why)
                missing = np.isnan(values) & ~bad
                if codes := codes_of(feature):
                    unseen = ~np.isin(values, np.array(codes, np.float32)) & ~np.isnan(values)
                    unusual[feature.name, "unseen_category"] = unseen
                else:
                    low, high = np.clip(usual_range(feature), -LARGEST, LARGEST).astype(np.float32)
                    unusual[feature.name, "far_outside_range"] = (values < low) | (values > high)
            if not feature.nullable:
                _blame(reasons, feature, missing, lambda _: "must not be missing")
            elif not feature.seen_missing:
                unusual[feature.name, "unseen_missing"] = missing
        reasons |= {row: ("", why) for row, why in block.broken.items()}
        inputs: dict[str, list[Any]] = {"numeric": numeric, "categorical": texts}
        return Rows({name: np.column_stack(some) for name, some in inputs.items() if some}, reasons, unusual)


def _blame(reasons: dict[int, tuple[str, str]], feature: Feature, rows: Flags, why: Callable[[int], str]) -> None:
    """Note why some rows have no answer, unless a feature before this one is at fault."""
    for row in np.flatnonzero(rows).tolist():
        if row not in reasons:
            reasons[row] = feature.name, why(row)


def _numbers(
    cells: TextCells | NumberCells, feature: Feature, column: Column
) -> tuple[npt.NDArray[np.float32], Flags, Callable[[int], str]]:
    """The numbers, or days, of rows; those that are none; and what is wrong with a row of these."""
    if isinstance(cells, NumberCells) and column.kind == "date" and not cells.dates:
        cells = cells.as_texts()
    if isinstance(cells, NumberCells):
        found = cells.numbers(column.reading)
        bad = np.abs(found) > FLOAT32_MAX
        return (
            np.where(bad, np.nan, found).astype(np.float32),
            bad,
            lambda row: _why(f"{found[row]:g}", feature, column),
        )
    present = ~cells.missing(column.reading.missing)
    read = cells.days if column.kind == "date" else cells.numbers
    found = read(present, column.reading)
    wrong = present & ~(np.abs(found) <= FLOAT32_MAX)
    numbers = np.empty(len(cells.codes), np.float32)
    bad = np.empty(len(cells.codes), np.bool_)
    cells.spread(np.where(wrong, np.nan, found).astype(np.float32), np.float32(np.nan), numbers)
    cells.spread(wrong, np.bool_(False), bad)
    return numbers, bad, lambda row: _why(cells.spelled(cells.codes[row : row + 1])[0], feature, column)


def _why(text: str, feature: Feature, column: Column) -> str:
    """What the contract says of a cell."""
    rule = "is not one of its values"
    try:
        cell_reader(feature.model_copy(update={"reading": column.reading}))(text)
    except ValueError as error:
        rule = str(error)
    return f"'{printable(text, LONGEST_CELL)}' {rule}"


def _texts(
    cells: TextCells | NumberCells, categories: tuple[str, ...], column: Column
) -> tuple[npt.NDArray[np.object_], Flags, Flags]:
    """The texts of rows, "" where missing; which are missing; and which training has not seen."""
    if isinstance(cells, NumberCells):
        cells = cells.as_texts()
    nothing = cells.missing(column.reading.missing)
    spelled = cells.spelled(np.arange(len(cells)))
    if column.reading.boolean:
        spelled = [column.reading.category(text) for text in spelled]
    known = frozenset(categories)
    meaning = np.array(["" if gap else text for text, gap in zip(spelled, nothing, strict=True)] + [""], object)
    missing = np.append(nothing, True)
    odd = np.array([text not in known for text in meaning.tolist()]) & ~missing
    return meaning[cells.codes], missing[cells.codes], odd[cells.codes]
