"""Test rows that also stand among the training rows: cell by cell alike, found by a hash of each row."""

import numpy as np
import numpy.typing as npt

from trainer.data.hashing import Hashes, mixed
from trainer.data.rows import RARE, Rows
from trainer.data.split import Indices

# Of a table that is mapped from a file, only so many rows are in memory at a time.
ROWS_AT_ONCE = 1 << 14


def repeated(rows: Rows, train: Indices, test: Indices) -> int:
    """How many of the test rows have the very features of some training row.

    Two rows with a text that is too rare to have a place of its own are never taken for alike.
    """
    tested = rows.take(test)
    hashes = np.sort(hash_rows(tested)[~_holds_rare_texts(tested)])
    found = np.zeros(len(hashes), np.bool_)
    for start in range(0, len(train), ROWS_AT_ONCE):
        found |= np.isin(hashes, hash_rows(rows.take(train[start : start + ROWS_AT_ONCE])))
    return int(found.sum())


def hash_rows(rows: Rows) -> Hashes:
    """A number (n,) for each row, by all its cells; different rows have the same one with a chance of 2⁻⁶⁴."""
    hashes = np.zeros(len(rows), np.uint64)
    for column in rows.numeric.T:
        # One zero, and one missing number.
        plain = np.where(np.isnan(column), np.float32(np.nan), column + np.float32(0))
        hashes = mixed(hashes, plain.astype(np.float32).view(np.uint32))
    for codes in rows.codes.T:
        hashes = mixed(hashes, codes.astype(np.uint32))
    return hashes


def _holds_rare_texts(rows: Rows) -> npt.NDArray[np.bool_]:
    found = np.zeros(len(rows), np.bool_)
    for vocabulary, codes in zip(rows.vocabularies, rows.codes.T, strict=True):
        if RARE in vocabulary:
            found |= codes == vocabulary.index(RARE)
    return found
