"""Test rows that also stand among the training rows: cell by cell alike, found by a hash of each row."""

import numpy as np
import numpy.typing as npt

from trainer.data.rows import RARE, Rows
from trainer.data.split import Indices

Hashes = npt.NDArray[np.uint64]

# The constants of splitmix64 (Steele, Lea & Flood 2014), which spreads every bit over all 64.
STEP = np.uint64(0x9E3779B97F4A7C15)
MIXERS = ((np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)), (np.uint64(27), np.uint64(0x94D049BB133111EB)))
LAST = np.uint64(31)


def repeated(rows: Rows, train: Indices, test: Indices) -> int:
    """How many of the test rows have the very features of some training row.

    Two rows with a text that is too rare to have a place of its own are never taken for alike.
    """
    hashes = hash_rows(rows)
    comparable = test[~_holds_rare_texts(rows)[test]]
    return int(np.isin(hashes[comparable], hashes[train]).sum())


def hash_rows(rows: Rows) -> Hashes:
    """A number (n,) for each row, by all its cells; different rows have the same one with a chance of 2⁻⁶⁴."""
    hashes = np.zeros(len(rows), np.uint64)
    with np.errstate(over="ignore"):
        for column in rows.numeric.T:
            # One zero, and one missing number.
            plain = np.where(np.isnan(column), np.float32(np.nan), column + np.float32(0))
            hashes = _mixed(hashes, plain.astype(np.float32).view(np.uint32))
        for codes in rows.codes.T:
            hashes = _mixed(hashes, codes.astype(np.uint32))
    return hashes


def _mixed(hashes: Hashes, cells: npt.NDArray[np.uint32]) -> Hashes:
    mixed: Hashes = (hashes ^ cells) + STEP
    for shift, factor in MIXERS:
        mixed = (mixed ^ (mixed >> shift)) * factor
    return mixed ^ (mixed >> LAST)


def _holds_rare_texts(rows: Rows) -> npt.NDArray[np.bool_]:
    found = np.zeros(len(rows), np.bool_)
    for vocabulary, codes in zip(rows.vocabularies, rows.codes.T, strict=True):
        if RARE in vocabulary:
            found |= codes == vocabulary.index(RARE)
    return found
