"""How good a model is: what was measured on rows that it has not learned from, beside answers that need no network."""

from math import sqrt
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from models.sets import TestedSets

# What an evaluation holds at most, however many classes there are.
MOST_CLASSES, MOST_CONFUSED = 100, 20
# The standard normal distribution has 95 % within so many deviations.
Z95 = 1.959964
DIGITS = 6

Count = int | float


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class ClassScore(_Part):
    """One class: `rows` are of it, counted by their weights; `predicted` were taken for it.

    `precision` is the share of the rows taken for it that are of it, None where none was; `recall` the share of its
    rows that were found, None where it has none; `f1` their harmonic mean, None where it has neither.
    """

    label: str
    rows: Count
    predicted: Count
    precision: float | None
    recall: float | None
    f1: float | None


class Confusion(_Part):
    """How often rows of one class (a list each) were taken for another (a place in the list).

    `labels` are the classes, of many those that are mistaken most. The `others`, so many, share the last row and the
    last column.
    """

    labels: tuple[str, ...] = Field(max_length=MOST_CONFUSED)
    others: int = 0
    counts: tuple[tuple[Count, ...], ...]


class Baseline(_Part):
    """What can be reached without a deep network, measured on the same rows.

    `gain` is by how many nats the model's log-loss is lower, and `gain_interval` its 95 % interval over the rows. Where
    the settings let every class count alike, the gain does so too.
    """

    kind: Literal["commonest class", "softmax regression"]
    answer: str | None = None
    log_loss: float
    accuracy: float
    gain: float
    gain_interval: tuple[float, float]


class AtThreshold(_Part):
    """The rows under the threshold that was chosen: how many are called positive, and how well."""

    predicted: Count
    precision: float | None
    recall: float | None
    f1: float | None


class Evaluation(_Part):
    """What a model reached on `rows` that no part of it has seen; rows count by their weights.

    `log_loss` is the mean of -log p(true class), in nats. `accuracy_interval` is Wilson's score interval at 95 %.
    `auc` is the area under the ROC curve; of more than two classes, the mean of each against all others. `macro_f1` is
    the mean over the classes that occur among the rows or the answers. Of more than 100 classes `classes` holds those
    with the most rows. `class_shares` are those of the training rows, in the order of the card's classes. `sets` are
    measured on later rows; what the test rows say of them stands in the card's own `sets`.
    """

    rows: int
    log_loss: float
    accuracy: float
    accuracy_interval: tuple[float, float]
    interval: Literal["Wilson, 95 %"] = "Wilson, 95 %"
    auc: float | None
    macro_f1: float
    classes: tuple[ClassScore, ...] = Field(max_length=MOST_CLASSES)
    confusion: Confusion
    baselines: tuple[Baseline, ...] = ()
    class_shares: tuple[float, ...] = ()
    at_threshold: AtThreshold | None = None
    sets: TestedSets | None = Field(None, exclude_if=lambda value: value is None)


def wilson(share: float, rows: float) -> tuple[float, float]:
    """The 95 % score interval of a share that was found among so many rows (Wilson 1927)."""
    spread = Z95**2 / rows
    centre = (share + spread / 2) / (1 + spread)
    half = Z95 / (1 + spread) * sqrt(share * (1 - share) / rows + spread / (4 * rows))
    return round(max(centre - half, 0.0), DIGITS), round(min(centre + half, 1.0), DIGITS)
