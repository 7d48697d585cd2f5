"""From raw rows to the inputs of a network: impute, scale, clip, mark what is missing, one-hot.

The encoder is a handful of constants fitted on the training rows. It is applied here in numpy while training and as
nodes of the exported graph while serving; `trainer.export.graph` writes the same arithmetic.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.features import CategoricalFeature, Feature, NumericFeature
from trainer.arrays import Array, shortest_decimal
from trainer.data.rows import RARE, Rows

# Beyond so many scales a value is the same to the smooth clip, and its square still fits into a float.
FARTHEST = 1e4
SOFTNESS = 3.0
# A column with a value that is so common, and so many different ones, is a mixture: zero or an amount, 40 hours or not.
COMMON = 0.3
FEWEST_VALUES, MOST_VALUES = 32, 256
# More than this together, and the columns are pixels or the like: inputs of their own would be most of the table.
MOST_ATOMS = 1000
FEWEST_ROWS = 10
FEW_EXAMPLES = 1400
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Encoder:
    """Fitted constants. The five arrays have shape (p,).

    A missing number becomes the column's `median`. A number is centred and scaled to s, and clipped smoothly to
    s / √(1 + (s / 3)²), which lies between -3 and 3 (Holzmüller et al. 2024). A column that is constant in training
    says nothing: its scale is 0. `gaps` lists the columns with missing cells in training; each has an input that is 1
    where the cell is missing. `atoms` lists, by column, the values that one number repeats; each has an input of its
    own. `categories` lists the known texts of each text column: others are all zeros, and a missing one is the text ""
    and has a place of its own where training had enough of it.
    """

    median: Array
    lower: Array
    upper: Array
    centre: Array
    scale: Array
    gaps: tuple[int, ...]
    atoms: tuple[tuple[int, Array], ...]
    categories: tuple[tuple[str, ...], ...]

    @property
    def width(self) -> int:
        """How many inputs the network gets."""
        atoms = sum(len(values) for _, values in self.atoms)
        return len(self.median) + len(self.gaps) + atoms + sum(map(len, self.categories))

    def encode(self, rows: Rows) -> Array:
        """Encode rows of any part, shape (n, width)."""
        missing = np.isnan(rows.numeric)
        numbers = np.where(missing, self.median, rows.numeric)
        clipped = np.clip(numbers, self.lower, self.upper)
        clipped -= self.centre
        clipped *= self.scale
        root = clipped * np.float32(1 / SOFTNESS)
        root *= root
        root += np.float32(1)
        clipped /= np.sqrt(root, out=root)
        atoms = [numbers[:, [column]] == values for column, values in self.atoms]
        one_hots = [
            _one_hot_of(vocabulary, known)[rows.codes[:, column]]
            for column, (vocabulary, known) in enumerate(zip(rows.vocabularies, self.categories, strict=True))
        ]
        parts = [clipped, missing[:, list(self.gaps)], *atoms, *one_hots]
        return np.concatenate(parts, axis=1, dtype=np.float32, casting="unsafe")


def _one_hot_of(vocabulary: Sequence[str], known: Sequence[str]) -> Array:
    """One row per text of `vocabulary`, one column per known text."""
    return np.array([[text == category for category in known] for text in vocabulary], np.float32)


def fit_encoder(rows: Rows) -> Encoder:
    """Fit the constants on training rows, in float64."""
    columns = [_fit_column(values[~np.isnan(values)].astype(np.float64)) for values in rows.numeric.T]
    median, centre, deviation = np.array(columns, np.float64).reshape(-1, 3).T
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 0)
    reach = np.minimum(FARTHEST * deviation, _LARGEST / 2)  # No difference to the centre overflows.
    edges = np.clip([centre - reach, centre + reach], -_LARGEST, _LARGEST)
    constants = (median, edges[0], edges[1], centre, np.minimum(scale, _LARGEST))
    median32, lower, upper, centre32, scale32 = (np.asarray(values, np.float32) for values in constants)
    return Encoder(
        median32,
        lower,
        upper,
        centre32,
        scale32,
        tuple(np.flatnonzero(np.isnan(rows.numeric).any(axis=0)).tolist()),
        _atoms(np.where(np.isnan(rows.numeric), median32, rows.numeric)),
        _frequent_texts(rows),
    )


def _fit_column(values: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """Median, centre and deviation of the values that are there.

    The centre is the median and the deviation the distance between the quartiles, which no outlier moves; half the
    range where the quartiles coincide. A column of two values is standardised.
    """
    if not len(values):
        return 0.0, 0.0, 0.0
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
    if len(np.unique(values)) == 2:
        return median, values.mean(), values.std()
    return median, median, high - low or (values.max() - values.min()) / 2


def _atoms(numbers: Array) -> tuple[tuple[int, Array], ...]:
    """By column, the values that get an input of their own."""
    found = []
    for column, values in enumerate(numbers.T):
        distinct, counts = np.unique(values, return_counts=True)
        many = FEWEST_VALUES <= len(distinct) <= min(MOST_VALUES, len(values) / 20)
        if many and counts.max() >= COMMON * len(values):
            found.append((column, distinct[counts >= FEWEST_ROWS]))
    return tuple(found) if sum(len(values) for _, values in found) <= MOST_ATOMS else ()


def _frequent_texts(rows: Rows) -> tuple[tuple[str, ...], ...]:
    """The texts of each column that are frequent enough to learn from; in a small table, all."""
    fewest = FEWEST_ROWS if len(rows) > FEW_EXAMPLES else 1
    known = []
    for vocabulary, codes in zip(rows.vocabularies, rows.codes.T, strict=True):
        counts = dict(zip(vocabulary, np.bincount(codes, minlength=len(vocabulary)).tolist(), strict=True))
        counts.pop(RARE, None)
        # Where every text is rare, the commonest are kept all the same: a column must not vanish.
        enough = min(fewest, max(counts.values(), default=0))
        known.append(tuple(text for text, count in counts.items() if count >= enough))
    return tuple(known)


def _known_texts(rows: Rows) -> tuple[tuple[str, ...], ...]:
    return tuple(
        tuple(vocabulary[code] for code in np.unique(rows.codes[:, column]))
        for column, vocabulary in enumerate(rows.vocabularies)
    )


def describe_features(rows: Rows) -> tuple[Feature, ...]:
    """The features as the card lists them, with the ranges and categories of the training rows, in table order."""
    numbers = iter(rows.numeric.T)
    texts = iter(_known_texts(rows))
    features: list[Feature] = []
    for column in rows.columns:
        if column.kind == "numeric":
            values = next(numbers)
            present = values[~np.isnan(values)]
            ends = (present.min(), present.max()) if len(present) else (np.float32(0), np.float32(0))
            low, high = map(shortest_decimal, ends)
            features.append(NumericFeature(name=column.name, nullable=column.nullable, minimum=low, maximum=high))
        else:
            known = tuple(text for text in next(texts) if text not in ("", RARE))
            features.append(CategoricalFeature(name=column.name, nullable=column.nullable, categories=known))
    return tuple(features)
