"""A hash that spreads every bit of a number over all 64: splitmix64 (Steele, Lea & Flood 2014)."""

from typing import Any

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]

STEP = np.uint64(0x9E3779B97F4A7C15)
MIXERS = ((np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)), (np.uint64(27), np.uint64(0x94D049BB133111EB)))
LAST = np.uint64(31)


def drawn(rows: int, most: int) -> npt.NDArray[np.int64]:
    """The places of about so many of `rows` rows, each as likely as any other, in order; always the same ones.

    All places where there are no more. No array has a place for each of the rows.
    """
    return np.arange(rows) if rows <= most else np.unique(np.random.default_rng(0).integers(0, rows, most))


def mixed(hashes: Hashes, numbers: npt.NDArray[np.unsignedinteger[Any]]) -> Hashes:
    """The hashes (n,) with a number (n,) each mixed in."""
    with np.errstate(over="ignore"):
        spread: Hashes = (hashes ^ numbers) + STEP
        for shift, factor in MIXERS:
            spread = (spread ^ (spread >> shift)) * factor
        return spread ^ (spread >> LAST)
