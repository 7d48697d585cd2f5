"""The rows that a model's answers can be explained against: a typical one, and some that training has seen."""

import numpy as np

from models.features import Record
from trainer.arrays import Array, Codes
from trainer.data.rows import RARE, Examples, Rows
from trainer.data.split import Indices


def typical_row(examples: Examples, train: Indices) -> Record:
    """A record of the middle of each number and date, of two the lower, and the commonest of each column of texts.

    A value is None where most of the rows `train` have none. Rows count as often as their weights say.
    """
    rows, weights = examples.rows, _weights(examples, train)
    numeric = np.array([[_middle(column[train], weights) for column in rows.numeric.T]], np.float32)
    columns = zip(rows.codes.T, rows.vocabularies, strict=True)
    codes = np.array([[_commonest(column[train], known, weights) for column, known in columns]], np.int32)
    return Rows(rows.columns, numeric, codes, rows.vocabularies).records()[0]


def background_rows(examples: Examples, train: Indices, count: int, rng: np.random.Generator) -> tuple[Record, ...]:
    """So many of the rows `train`, or all where there are fewer, each drawn once and as likely as its weight says."""
    if not count:
        return ()
    weights = _weights(examples, train)
    count = min(count, int(np.count_nonzero(weights)))
    drawn = rng.choice(train, count, replace=False, p=weights / weights.sum())
    return tuple(examples.rows.take(np.sort(drawn)).records())


def _weights(examples: Examples, train: Indices) -> Array:
    return np.ones(len(train)) if examples.weights is None else examples.weights[train].astype(np.float64)


def _middle(column: Array, weights: Array) -> float:
    known = ~np.isnan(column)
    if 2 * weights[known].sum() < weights.sum():
        return float("nan")
    return float(np.quantile(column[known], 0.5, method="inverted_cdf", weights=weights[known]))


def _commonest(codes: Codes, vocabulary: tuple[str, ...], weights: Array) -> int:
    counts = np.bincount(codes, weights, len(vocabulary))
    if "" in vocabulary and 2 * counts[missing := vocabulary.index("")] > counts.sum():
        return missing
    # Texts that are too rare to be kept are no text together.
    counts[[place for place, text in enumerate(vocabulary) if text in ("", RARE)]] = -1
    return int(counts.argmax())
