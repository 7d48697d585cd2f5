"""Drift: how training's rows were spread over bins, and how far apart that and another spread are."""

from collections.abc import Sequence
from math import log
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

# What a baseline holds at most, so that whoever counts knows how much memory that takes.
MOST_FEATURES = 128
MOST_CATEGORIES = 30
MOST_BINS = MOST_CATEGORIES + 2

# What each count is raised by, so that no bin is empty (Krichevsky & Trofimov 1981).
SMOOTHING = 0.5


class _Bins(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    feature: str
    shares: tuple[Annotated[float, Field(ge=0, le=1)], ...]


class NumericBins(_Bins):
    """A number: bin i holds the values up to and with edge i, the last but one those above all, the last the missing.

    The edges are the deciles of training, each once. Where the lowest decile is the smallest value of training, an edge
    just below it tells apart what is smaller still.
    """

    kind: Literal["numeric"] = "numeric"
    edges: tuple[float, ...] = Field(max_length=MOST_CATEGORIES)

    @model_validator(mode="after")
    def _consistent(self) -> "NumericBins":
        if len(self.shares) != len(self.edges) + 2 or sorted(set(self.edges)) != list(self.edges):
            raise ValueError("bins need ascending edges, and a share for each bin")
        return self


class CategoricalBins(_Bins):
    """A text: a bin for each of the commonest categories, one for every other text, known or not, the last the missing.

    Predicted classes are spread over bins of this kind too; none of them is missing.
    """

    kind: Literal["categorical"] = "categorical"
    categories: tuple[str, ...] = Field(max_length=MOST_CATEGORIES)

    @model_validator(mode="after")
    def _consistent(self) -> "CategoricalBins":
        if len(self.shares) != len(self.categories) + 2 or len(set(self.categories)) != len(self.categories):
            raise ValueError("bins need different categories, and a share for each bin")
        return self


Bins = Annotated[NumericBins | CategoricalBins, Field(discriminator="kind")]


class DriftBaseline(BaseModel):
    """What to hold later rows against: so many of training's `rows`, and the classes that the model predicts for them.

    Of a model with very many features, those are here whose values vary most.
    """

    model_config = ConfigDict(frozen=True)

    rows: int = Field(gt=0)
    features: tuple[Bins, ...] = Field(max_length=MOST_FEATURES)
    predictions: CategoricalBins


def psi(shares: Sequence[float], rows: int, counts: Sequence[float]) -> float:
    """Population stability index of `counts` against the `shares` of so many `rows`, over the same bins.

    The sum over bins of (a - e) · ln(a / e), e being the share of a bin in training and a in what was counted: 0 where
    both are spread alike; by custom below 0.1 is stable and above 0.25 has shifted (Siddiqi 2006, Credit Risk
    Scorecards). So that an empty bin is no infinity, each count is raised by a half; a bin that is empty on both sides
    is none. Chance alone makes about (bins - 1) · (1 / rows + 1 / counted) (Yurdakul 2018).
    """
    pairs = [(share * rows, count) for share, count in zip(shares, counts, strict=True) if share or count]
    expected, actual = (_smoothed(side) for side in zip(*pairs, strict=True))
    return sum((a - e) * log(a / e) for a, e in zip(actual, expected, strict=True))


def _smoothed(counts: Sequence[float]) -> list[float]:
    total = sum(counts) + SMOOTHING * len(counts)
    return [(count + SMOOTHING) / total for count in counts]
