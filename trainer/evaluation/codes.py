"""Columns of whole numbers that look like codes: they name something, and which of them is larger means nothing."""

import re

import numpy as np

from trainer.arrays import Array
from trainer.data.rows import Rows
from trainer.data.split import Indices

# What the last word of such a column's name often is.
WORDS = frozenset(
    {"id", "code", "codes", "zip", "zipcode", "postcode", "postal", "plz", "type", "category", "kind", "region"}
    | {"branch", "dept", "department", "sku", "status", "channel", "segment", "cluster", "key"}
)
FEWEST_VALUES, ROWS_A_VALUE = 3, 2
# Beyond this, 32-bit floats have gaps that swallow codes.
LARGEST = 1e9
# Without such a name: numbers of one length, in no order and with no common step, each of which comes back.
FEWEST_BARE_VALUES, BARE_ROWS_A_VALUE, FEWEST_DIGITS, DENSEST = 10, 5, 4, 0.2
DATES = (19_000_101, 21_001_231)


def code_columns(rows: Rows, train: Indices | slice = slice(None)) -> list[str]:
    """The numeric columns that look like codes in the training rows."""
    columns = zip(rows.numbers, rows.numeric.T, strict=True)
    return [one.name for one, values in columns if one.kind == "numeric" and _are_codes(one.name, values[train])]


def _are_codes(name: str, column: Array) -> bool:
    values = column[~np.isnan(column)]
    if not len(values) or (values < 0).any() or (values != np.floor(values)).any() or values.max() > LARGEST:
        return False
    different = np.unique(values).astype(np.int64)
    if len(different) < FEWEST_VALUES or len(values) < ROWS_A_VALUE * len(different):
        return False
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)
    if words and words[-1].lower() in WORDS:
        return True
    low, high = int(different[0]), int(different[-1])
    return (
        len(different) >= FEWEST_BARE_VALUES
        and len(values) >= BARE_ROWS_A_VALUE * len(different)
        and FEWEST_DIGITS <= len(str(low)) == len(str(high))
        and len(different) <= DENSEST * (high - low)
        and int(np.gcd.reduce(np.diff(different))) == 1
        and not (DATES[0] <= low and high <= DATES[1])
    )
