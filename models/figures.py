"""The figures of a version: the numbers that its report is drawn from. No row of the training table is among them.

They are measured once, when the model is trained, and lie beside it as figures.json.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.errors import CorruptModel
from models.repository import ModelRepository

FIGURES, REPORT = "figures.json", "report.html"

# What figures hold at most, however large the table and the network are.
MOST_FEATURES, MOST_BINS, MOST_LEADING, MOST_SHOWN_CLASSES = 100, 24, 6, 6
MOST_EPOCHS, MOST_POINTS, MOST_CURVES, MOST_UNITS, MOST_LAYERS, MOST_MEMBERS = 150, 100, 10, 100, 8, 10

Point = tuple[float, float]
# The 15th, the 50th and the 85th percentile, as in Figure 1 of Ioffe & Szegedy 2015.
Percentiles = tuple[float, float, float]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class Importance(_Part):
    """By how many nats the log-loss of the test rows rises when the column is permuted (Breiman 2001).

    `mean` is over several permutations, and `interval` its 95 % interval over the rows.
    """

    feature: str
    mean: float
    interval: tuple[float, float]


class Course(_Part):
    """One network's training: after each of `epochs` the loss of training, and what the validation rows said.

    `log_loss` and `accuracy` are those of the validation rows. `chosen` is the epoch whose weights were kept, and
    `of` how many there were: of very many, `epochs` holds some.
    """

    epochs: tuple[int, ...] = Field(max_length=MOST_EPOCHS)
    loss: tuple[float, ...]
    log_loss: tuple[float, ...]
    accuracy: tuple[float, ...]
    chosen: int
    of: int


class Curves(_Part):
    """One class against all others on the test rows, a point a threshold, from the highest to the lowest.

    `roc` holds (false positive rate, true positive rate), `precision_recall` (recall, precision). `at` is the place on
    both, in that order, where the model decides: at its threshold, or where the class becomes the likeliest of two.
    """

    label: str
    share: float
    auc: float | None
    roc: tuple[Point, ...] = Field(max_length=MOST_POINTS)
    precision_recall: tuple[Point, ...] = Field(max_length=MOST_POINTS)
    at: tuple[Point, Point] | None = None


class Confidence(_Part):
    """The test rows whose highest probability lies in one bin: its mean, the share that is right, and their share.

    `interval` is Wilson's score interval of the accuracy at 95 %.
    """

    confidence: float
    accuracy: float
    interval: tuple[float, float]
    share: float


class Distribution(_Part):
    """One feature in the training rows, and what is done to it before a network sees it, in words.

    A number or a date: `edges` are round numbers, and `shares` those of the rows between them; rows beyond the ends
    count in the bins there. A text: `categories` are the commonest ones that several rows hold, and `shares` theirs and
    that of all others. `missing` is the share of rows without a value; the others sum to one.
    """

    feature: str
    kind: Literal["numeric", "date", "categorical"]
    missing: float
    treatment: str
    edges: tuple[float, ...] = Field((), max_length=MOST_BINS + 1)
    categories: tuple[str, ...] = Field((), max_length=MOST_BINS)
    shares: tuple[float, ...]


class Dependence(_Part):
    """The mean answer to some test rows when one feature has the same value in all of them (Friedman 2001).

    `values` are in the middle of the bins of the feature's distribution, or its categories; `probabilities` has a list
    for each of `labels`, as long as they.
    """

    feature: str
    values: tuple[float, ...] | tuple[str, ...]
    labels: tuple[str, ...] = Field(max_length=MOST_SHOWN_CLASSES)
    probabilities: tuple[tuple[float, ...], ...]


class NormalisedLayer(_Part):
    """The learned scale and shift of a batch-norm layer's units; of very many units, some."""

    units: int
    gamma: tuple[float, ...] = Field(max_length=MOST_UNITS)
    beta: tuple[float, ...] = Field(max_length=MOST_UNITS)


class UnitCourse(_Part):
    """One unit of the last batch-norm layer over training, on some validation rows with frozen statistics.

    `before` are the percentiles of what batch norm is given, `after` of what it hands on. `layer` and `unit` say which
    one it is, from 1.
    """

    layer: int
    unit: int
    epochs: tuple[int, ...] = Field(max_length=MOST_EPOCHS)
    before: tuple[Percentiles, ...]
    after: tuple[Percentiles, ...]


class Figures(_Part):
    """What a report shows beside what the card says.

    `importance` is in falling order of the mean, and measured for those of the features that a first look found to
    matter most, where there are very many. `rows` of the test part answered for it, `dependence_rows` for the
    dependence. `command` trains the model again. `courses` are those of the bag's members, and `student` that of the
    network that learned from them, whose loss is held against their answers. `layers` and `unit` are those of the
    published network, of several the first.
    """

    format: Literal[1] = 1
    command: str
    rows: int
    dependence_rows: int
    permutations: int
    importance: tuple[Importance, ...] = Field(max_length=MOST_FEATURES)
    courses: tuple[Course, ...] = Field(max_length=MOST_MEMBERS)
    student: Course | None = None
    curves: tuple[Curves, ...] = Field(max_length=MOST_CURVES)
    before: tuple[Confidence, ...]
    after: tuple[Confidence, ...]
    distributions: tuple[Distribution, ...] = Field(max_length=MOST_FEATURES)
    dependence: tuple[Dependence, ...] = Field(max_length=MOST_LEADING)
    layers: tuple[NormalisedLayer, ...] = Field(max_length=MOST_LAYERS)
    unit: UnitCourse | None = None

    def to_json(self) -> bytes:
        """The text of figures.json."""
        return self.model_dump_json().encode() + b"\n"


def figures_of(repository: ModelRepository, name: str, version: int) -> Figures | None:
    """The figures of a version; None where it was published without.

    :raises UnknownModel: there is no such version.
    :raises CorruptModel: the file is not as it was published, or cannot be read.
    """
    data = repository.file(name, version, FIGURES)
    if data is None:
        return None
    try:
        return Figures.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise CorruptModel(f"{FIGURES} of {name} version {version}: {place}: {first['msg']}") from None
