"""The drift baseline of a trained classifier: how its training rows, and its answers to them, spread over bins."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from models.drift import MOST_CATEGORIES, MOST_FEATURES, Bins, CategoricalBins, DriftBaseline, NumericBins
from trainer.arrays import Array, shortest_decimal
from trainer.data.rows import RARE, Examples, Rows
from trainer.data.split import Indices
from trainer.fitting.trained_classifier import TrainedClassifier

# Of more training rows, so many from everywhere in the table: no share moves by more than a few thousandths.
MOST_ROWS = 20_000
LOWEST = np.finfo(np.float32).min

Weights = npt.NDArray[np.float64]


def drift_baseline(classifier: TrainedClassifier, examples: Examples, inputs: Array, train: Indices) -> DriftBaseline:
    """Spread the training rows over bins; a row counts as often as its weight says.

    `inputs` (n, width) are the encoded examples.
    """
    if len(train) > MOST_ROWS:
        train = train[np.linspace(0, len(train) - 1, MOST_ROWS, dtype=np.int64)]
    part = examples.take(train)
    weights = np.ones(len(part)) if part.weights is None else part.weights.astype(np.float64)
    predicted = classifier.predict_encoded(inputs[train]).argmax(axis=1)
    return DriftBaseline(
        rows=len(part),
        features=feature_bins(part.rows, weights),
        predictions=_categorical("prediction", classifier.classes, predicted, weights),
    )


def feature_bins(rows: Rows, weights: Weights) -> tuple[Bins, ...]:
    """The bins of each feature; of very many, those whose rows spread most evenly over most bins, by entropy."""
    numbers = iter(rows.numeric.T)
    texts = iter(zip(rows.vocabularies, rows.codes.T, strict=True))
    bins: list[Bins] = [
        _categorical(column.name, *next(texts), weights)
        if column.kind == "categorical"
        else _numeric(column.name, next(numbers), weights)
        for column in rows.columns
    ]
    varied = sorted(range(len(bins)), key=lambda column: -_entropy(bins[column].shares))[:MOST_FEATURES]
    return tuple(bins[column] for column in sorted(varied))


def _numeric(name: str, values: Array, weights: Weights) -> NumericBins:
    missing = np.isnan(values)
    edges = _edges(values[~missing], weights[~missing])
    bins = np.searchsorted(edges, values, side="left")
    bins[missing] = len(edges) + 1
    shares = _shares(np.bincount(bins, weights, minlength=len(edges) + 2))
    return NumericBins(feature=name, edges=tuple(map(shortest_decimal, edges)), shares=shares)


def _edges(values: Array, weights: Weights) -> Array:
    """The least value up to which lie a tenth of the rows, two tenths and so on, each once."""
    if not len(values):
        return values
    order = np.argsort(values)
    upto = np.cumsum(weights[order])
    edges = np.unique(values[order[np.searchsorted(10 * upto, upto[-1] * np.arange(1, 10))]])
    if not LOWEST < edges[0] == values.min():
        return edges
    return np.concatenate([np.nextafter(edges[:1], LOWEST), edges])


def _categorical(name: str, texts: Sequence[str], codes: npt.NDArray[np.integer], weights: Weights) -> CategoricalBins:
    """The bins of texts that are numbered by `codes`."""
    counts = dict(zip(texts, np.bincount(codes, weights, minlength=len(texts)).tolist(), strict=True))
    total, missing = sum(counts.values()), counts.pop("", 0.0)
    counts.pop(RARE, None)
    known = sorted((text for text in counts if counts[text]), key=lambda text: -counts[text])[:MOST_CATEGORIES]
    common = [counts[text] for text in known]
    shares = _shares(np.array([*common, total - missing - sum(common), missing]))
    return CategoricalBins(feature=name, categories=tuple(known), shares=shares)


def _shares(counts: npt.NDArray[Any]) -> tuple[float, ...]:
    return tuple(np.round(counts / counts.sum(), 6).tolist())


def _entropy(shares: Sequence[float]) -> float:
    held = np.array([share for share in shares if share > 0])
    return float(-(held * np.log(held)).sum())
