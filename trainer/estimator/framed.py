"""Frames that are no matrices of numbers, for an estimator: read as the trainer reads a table."""

from pathlib import Path
from typing import Any

import numpy as np

from models.cells import Reading
from trainer.data.columns import Cells, NumberCells
from trainer.data.decoded import Decoded
from trainer.data.encoder import Encoder
from trainer.data.examples import columns_of, to_rows
from trainer.data.frames import Frame, decode_frame, instead_of
from trainer.data.rows import Column, Rows
from trainer.data.schema import Schema
from trainer.data.settled import Roles, settle
from trainer.data.wording import refusal
from trainer.errors import InvalidSetting, InvalidTable

# What sentences call the rows, as scikit-learn does.
X = Path("X")
NOTHING = Reading(missing=())


def is_table(rows: Any) -> bool:
    """Whether rows are a frame with a text, category, boolean, date or missing cell; others are numbers alone.

    :raises InvalidTable: a column of the frame holds what none can be made of.
    """
    if not isinstance(rows, Frame) or not hasattr(rows, "columns") or not len(rows.columns):
        return False
    return not all(map(_is_numbers, decode_frame(rows, X).columns.values()))


def _is_numbers(cells: Cells) -> bool:
    return isinstance(cells, NumberCells) and not cells.dates and not np.isnan(cells.numbers(NOTHING)).any()


def read_new(frame: Frame) -> Rows:
    """The rows of a frame, whose columns are read as their cells say.

    :raises InvalidTable: a column holds what no feature can be made of, or all are ignored.
    """
    decoded = decode_frame(frame, X)
    # There is no column without a name: all of them are features.
    schema = settle(decoded, Schema(target="", columns={}), Roles(""), stated=False)
    return to_rows(decoded, columns_of(decoded, schema))


def check_collected(rows: Any) -> None:
    """:raises InvalidTable: rows are a frame that has none yet, of which scikit-learn says that it is a scalar."""
    if type(rows).__name__ == "LazyFrame":
        raise InvalidTable(f"X is a LazyFrame; {instead_of(rows)}")


def check_frame(rows: Any) -> None:
    """:raises InvalidSetting: rows are no frame."""
    if not isinstance(rows, Frame):
        raise InvalidSetting("X must be a frame with the columns that the classifier was fitted on")


def read_alike(frame: Frame, columns: tuple[Column, ...], encoder: Encoder) -> Rows:
    """The rows of a later frame, whose columns are read as those of the first were.

    :raises InvalidTable: it lacks a column, or a cell is not what was read there.
    """
    decoded: Decoded = decode_frame(frame, X)
    for column in columns:
        if column.name not in decoded.columns:
            facts = {"names": ", ".join(decoded.columns), "otherwise": decoded.otherwise}
            raise refusal("no_column", path=X, name=column.name, **facts)
    texts = (column.name for column in columns if column.kind == "categorical")
    return to_rows(decoded, columns, dict(zip(texts, encoder.categories, strict=True)))
