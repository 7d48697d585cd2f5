"""Rows that were there before: cell by cell alike, found by a hash of each row.

Of the rows that a model learned from its card keeps the lowest hashes, as if rows had been drawn of all that there are
(Broder 1997): of rows with hashes as low, those among them are the share that was learned.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterator
from functools import reduce
from hashlib import blake2b
from math import sqrt

import numpy as np
import numpy.typing as npt

from models.card import LearnedRows
from trainer.data.hashing import Hashes, mixed
from trainer.data.rows import RARE, Rows
from trainer.data.split import Indices

# Of a table that is mapped from a file, only so many rows are in memory at a time.
ROWS_AT_ONCE = 1 << 14
# So many hashes are in a card.
MOST_KEPT = 512
# Rows were learned where so many more of them than by chance are known again, and this by so many standard errors.
BEYOND_CHANCE, ERRORS = 0.1, 3


def repeated(rows: Rows, train: Indices, test: Indices) -> int:
    """How many of the test rows have the very features of some training row.

    Two rows with a text that is too rare to have a place of its own are never taken for alike.
    """
    hashes = np.sort(_hashes_of(rows, test))
    found = np.zeros(len(hashes), np.bool_)
    for some in _by_parts(rows, train):
        found |= np.isin(hashes, some)
    return int(found.sum())


def learned_rows(rows: Rows, learning: Indices, test: Indices) -> LearnedRows:
    """By what the rows that networks learn from are known again, and how many of the test rows are alike by chance."""

    def lowest(kept: Hashes, some: Hashes) -> Hashes:
        # One more than is kept tells whether these are all.
        return np.unique(np.concatenate([kept, some]))[: MOST_KEPT + 1]

    kept = reduce(lowest, _by_parts(rows, learning), np.empty(0, np.uint64))
    text = b64encode(kept[:MOST_KEPT].astype("<u8").tobytes()).decode()
    return LearnedRows(
        hashes=text, all=len(kept) <= MOST_KEPT, tested=len(test), repeated=repeated(rows, learning, test)
    )


def share_learned(learned: LearnedRows, rows: Rows) -> float:
    """About which share of rows, read as the model's card says, its networks learned from; 0 where it may be chance."""
    kept = np.frombuffer(b64decode(learned.hashes), "<u8")
    hashes = np.unique(_hashes_of(rows, np.arange(len(rows))))
    hashes = hashes if learned.all or not len(kept) else hashes[hashes <= kept[-1]]
    if not len(hashes):
        return 0.0
    share = float(np.isin(hashes, kept).mean())
    chance = (learned.repeated + 1) / (learned.tested + 2)
    beyond = BEYOND_CHANCE + ERRORS * sqrt(chance * (1 - chance) / len(hashes))
    return share if share > chance + beyond else 0.0


def _by_parts(rows: Rows, indices: Indices) -> Iterator[Hashes]:
    for start in range(0, len(indices), ROWS_AT_ONCE):
        yield _hashes_of(rows, indices[start : start + ROWS_AT_ONCE])


def _hashes_of(rows: Rows, indices: Indices) -> Hashes:
    """The hashes of some rows, without those that hold a rare text."""
    some = rows.take(indices)
    return hash_rows(some)[~_holds_rare_texts(some)]


def hash_rows(rows: Rows) -> Hashes:
    """A number (n,) for each row, by all its cells; different rows have the same one with a chance of 2⁻⁶⁴.

    It is the same in every table that holds the row, whatever else there is.
    """
    hashes = np.zeros(len(rows), np.uint64)
    for column in rows.numeric.T:
        # One zero, and one missing number.
        plain = np.where(np.isnan(column), np.float32(np.nan), column + np.float32(0))
        hashes = mixed(hashes, plain.astype(np.float32).view(np.uint32))
    for vocabulary, codes in zip(rows.vocabularies, rows.codes.T, strict=True):
        hashes = mixed(hashes, np.array([*map(_hash, vocabulary)], np.uint64)[codes])
    return hashes


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def _holds_rare_texts(rows: Rows) -> npt.NDArray[np.bool_]:
    found = np.zeros(len(rows), np.bool_)
    for vocabulary, codes in zip(rows.vocabularies, rows.codes.T, strict=True):
        if RARE in vocabulary:
            found |= codes == vocabulary.index(RARE)
    return found
