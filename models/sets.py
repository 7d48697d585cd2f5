"""Prediction sets: what the card says of the classes that belong to an answer, and what that promises.

A class is in the set of a row where the classes that are likelier than it have, together, no more probability than a
threshold. So the likeliest class is always in it, and a row that the model is less sure of has more classes. The
threshold was chosen by split-conformal prediction (Vovk et al. 2005; the score is that of Romano et al. 2020 without
its random part) on rows that the model has seen in no other way.
"""

from math import ceil

from pydantic import BaseModel, ConfigDict, Field, model_validator

# Probabilities are counted in such parts, whole ones: their sums are exact, in whatever order and on whatever machine.
PARTS = 1 << 24
# `ceil` of what should be a whole number, and is one but for its last binary digit.
ROUNDING = 1e-9


# What these two say stands in the description of every service: it is short.
class TestedSets(BaseModel):
    """How many sets of so many rows hold the true class, as a share, and their mean number of classes."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    rows: int
    coverage: float
    mean_size: float


class PredictionSets(BaseModel):
    """The level asked for, the rows that chose the threshold, and the coverage that follows: mean, 95 % interval."""

    # The threshold is a probability, a whole number of 2⁻²⁴. The mean coverage is that over all choices of such rows,
    # and 95 % of them have theirs in the interval, as long as rows that are asked come from where those came from.
    # Where they have weights, the interval is that of as many rows as would tell as much without.
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    level: float = Field(gt=0, lt=1)
    rows: int = Field(ge=1)
    threshold: float = Field(ge=0, le=1)
    coverage: float = Field(ge=0, le=1)
    interval: tuple[float, float]
    test: TestedSets | None = None

    @model_validator(mode="after")
    def _whole(self) -> "PredictionSets":
        if not (self.threshold * PARTS).is_integer():
            raise ValueError("the threshold of the sets is no whole number of 2⁻²⁴")
        return self

    @property
    def parts(self) -> int:
        """The threshold in the parts that probabilities are counted in."""
        return int(self.threshold * PARTS)


def fewest_rows(level: float) -> int:
    """How many rows it takes to choose a threshold for a level; fewer would put every class into every set."""
    return max(1, ceil(level / (1 - level) - ROUNDING))
