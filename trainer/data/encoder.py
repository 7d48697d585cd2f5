"""From raw rows to the inputs of a network: impute, clip, standardise, one-hot.

The encoder is a handful of constants fitted on the training rows. It is applied here in numpy while training and as
nodes of the exported graph while serving; `trainer.export.graph` writes the same arithmetic.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.features import CategoricalFeature, Feature, NumericFeature
from trainer.arrays import Array, shortest_decimal
from trainer.data.rows import Rows

CLIP = 10.0
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Encoder:
    """Fitted constants. The four arrays have shape (p,); `categories` lists the known texts of each text column.

    A missing number becomes the column's `median`. Values beyond ten standard deviations count as ten, which keeps the
    graph finite on any float. A column that is constant in training says nothing: both its limits are its mean. A text
    outside `categories` is all zeros; a missing one is the text "" and has a place of its own where training had some.
    """

    median: Array
    lower: Array
    upper: Array
    mean: Array
    scale: Array
    categories: tuple[tuple[str, ...], ...]

    @property
    def width(self) -> int:
        """How many inputs the network gets."""
        return len(self.mean) + sum(map(len, self.categories))

    def encode(self, rows: Rows) -> Array:
        """Encode rows of any part, shape (n, width)."""
        numbers = np.where(np.isnan(rows.numeric), self.median, rows.numeric)
        standardised = (np.clip(numbers, self.lower, self.upper) - self.mean) * self.scale
        one_hots = [
            _one_hot_of(vocabulary, known)[rows.codes[:, column]]
            for column, (vocabulary, known) in enumerate(zip(rows.vocabularies, self.categories, strict=True))
        ]
        return np.concatenate([standardised, *one_hots], axis=1, dtype=np.float32)


def _one_hot_of(vocabulary: Sequence[str], known: Sequence[str]) -> Array:
    """One row per text of `vocabulary`, one column per known text."""
    return np.array([[text == category for category in known] for text in vocabulary], np.float32)


def fit_encoder(rows: Rows) -> Encoder:
    """Fit the constants on training rows, in float64."""
    present = ~np.isnan(rows.numeric)
    count = np.maximum(present.sum(axis=0), 1)
    numbers = rows.numeric.astype(np.float64)
    median = np.array(
        [np.median(column[has]) if has.any() else 0.0 for column, has in zip(numbers.T, present.T, strict=True)]
    )
    mean = np.where(present, numbers, 0.0).sum(axis=0) / count
    deviation = np.sqrt((np.where(present, numbers - mean, 0.0) ** 2).sum(axis=0) / count)
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 0)
    edges = np.clip([mean - CLIP * deviation, mean + CLIP * deviation], -_LARGEST, _LARGEST)
    constants = (median, edges[0], edges[1], mean, np.minimum(scale, _LARGEST))
    median32, lower, upper, mean32, scale32 = (np.asarray(values, np.float32) for values in constants)
    return Encoder(median32, lower, upper, mean32, scale32, _known_texts(rows))


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
            known = tuple(text for text in next(texts) if text)
            features.append(CategoricalFeature(name=column.name, nullable=column.nullable, categories=known))
    return tuple(features)
