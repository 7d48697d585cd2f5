"""What looks wrong in a table that can be read: columns that say nothing, say it twice, or say too much."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from models.cells import shortest_date
from trainer.arrays import Labels, shortest_decimal
from trainer.data.rows import RARE, Examples
from trainer.data.schema import ColumnSchema, Found, Schema
from trainer.data.wording import note

# What is suspected in so many rows is then held against all of them.
SAMPLE = 5000
FEWEST_ROWS = 50
NEARLY_ALL = 0.999
SUSPICIOUS = 0.99
# A class follows from a column where guessing by it makes so few of the errors of always guessing the commonest class.
GIVEAWAY = 0.01
# Categories up to so many are listed.
FEW = 20

Values = npt.NDArray[np.float32] | npt.NDArray[np.int32]


@dataclass(frozen=True)
class Feature:
    """The values of one feature: numbers, NaN where missing, or codes into a vocabulary, whose "" is missing."""

    name: str
    values: Values
    vocabulary: tuple[str, ...] | None
    dates: bool = False

    def take(self, rows: npt.NDArray[np.int64]) -> "Feature":
        return replace(self, values=self.values[rows])

    def spelled(self, value: np.generic) -> str:
        if self.vocabulary:
            return repr(self.vocabulary[int(value)][:40])
        return shortest_date(float(value)) if self.dates and not np.isnan(value) else f"{value:.7g}"

    def same_as(self, other: "Feature") -> bool:
        if self.vocabulary != other.vocabulary:
            return False
        return np.array_equal(self.values, other.values, equal_nan=self.vocabulary is None)


def with_warnings(schema: Schema, examples: Examples) -> Schema:
    """Add to the notes of each column what looks wrong with it."""
    rows = np.arange(len(examples))
    if len(rows) > SAMPLE:
        rows = np.sort(np.random.default_rng(0).choice(rows, SAMPLE, replace=False))
    labels = examples.labels[rows]
    columns = dict(schema.columns)
    seen: dict[bytes, list[Feature]] = {}
    for feature in _features(examples):
        sample = feature.take(rows)
        notes = [note for note in (_warning(feature, sample, labels), _duplicate(feature, sample, seen)) if note]
        columns[feature.name] = _noted(columns[feature.name], notes)
    return schema.model_copy(update={"columns": columns})


def with_findings(schema: Schema, examples: Examples) -> Schema:
    """Add to each column how many values it has, and which."""
    columns = dict(schema.columns)
    for feature in _features(examples):
        columns[feature.name] = columns[feature.name].model_copy(update={"found": _found(feature)})
    return schema.model_copy(update={"columns": columns})


def _features(examples: Examples) -> Iterator[Feature]:
    rows = examples.rows
    numbers, codes, vocabularies = iter(rows.numeric.T), iter(rows.codes.T), iter(rows.vocabularies)
    for column in rows.columns:
        if column.kind == "categorical":
            yield Feature(column.name, next(codes), next(vocabularies))
        else:
            yield Feature(column.name, next(numbers), None, column.kind == "date")


def _noted(column: ColumnSchema, notes: list[str]) -> ColumnSchema:
    return column.model_copy(update={"notes": (*column.notes, *notes)}) if notes else column


def _found(feature: Feature) -> Found:
    if feature.vocabulary is None:
        different = np.unique(feature.values[~np.isnan(feature.values)])
        missing = int(np.isnan(feature.values).sum())
        if not len(different):
            return Found(different=0, missing=missing)
        if feature.dates:
            earliest, latest = map(shortest_date, different[[0, -1]].tolist())
            return Found(different=len(different), missing=missing, earliest=earliest, latest=latest)
        low, high = map(shortest_decimal, different[[0, -1]])
        return Found(different=len(different), missing=missing, minimum=low, maximum=high)
    counts = np.bincount(feature.values, minlength=len(feature.vocabulary))
    by_text = dict(zip(feature.vocabulary, counts.tolist(), strict=True))
    missing = by_text.pop("", 0)
    texts = tuple(text for text, count in by_text.items() if count)
    categories = texts if len(texts) <= FEW and RARE not in texts else None
    return Found(different=len(texts) - (RARE in texts), missing=missing, categories=categories)


def _warning(feature: Feature, sample: Feature, labels: Labels) -> str | None:
    commonest = _commonest(sample.values)
    rows = len(feature.values)
    count = 0
    if np.count_nonzero(sample.values == commonest) >= SUSPICIOUS * len(sample.values):
        count = int(np.count_nonzero(feature.values == commonest))
    if count == rows:
        return note("constant", f"always {feature.spelled(commonest)}")
    if rows < FEWEST_ROWS:
        return None
    if _gives_away(sample, labels):
        return note("giveaway", "the class follows from this column alone")
    if count >= NEARLY_ALL * rows:
        return note("nearly", f"{feature.spelled(commonest)} in all but {rows - count} of {rows} rows")
    if feature.vocabulary is None and not feature.dates and all(map(_names_rows, (sample.values, feature.values))):
        return note("identifier")
    return None


def _commonest(values: Values) -> np.generic:
    different, counts = np.unique(values, return_counts=True)
    commonest: np.generic = different[np.argmax(counts)]
    return commonest


def _names_rows(values: Values) -> bool:
    present = values[~np.isnan(values)]
    whole = bool((present >= 0).all() and (present == np.floor(present)).all())
    return whole and len(np.unique(present)) >= NEARLY_ALL * len(values)


def _duplicate(feature: Feature, sample: Feature, seen: dict[bytes, list[Feature]]) -> str | None:
    """A note if an earlier column holds the same cells; two constants are no news."""
    if (sample.values == sample.values[0]).all():
        return None
    alike = seen.setdefault(sample.values.tobytes(), [])
    for earlier in alike:
        if earlier.same_as(feature):
            return note("twin", earlier.name)
    alike.append(feature)
    return None


def _gives_away(sample: Feature, labels: Labels) -> bool:
    guessing = len(labels) - np.bincount(labels).max()
    return bool(guessing) and _errors(sample, labels) <= GIVEAWAY * guessing


def _errors(sample: Feature, labels: Labels) -> int:
    """How many rows are put into another class than theirs by the other rows with the same value.

    A number that no other row has is judged by the next smaller one: so a threshold is found like a code.
    """
    ordered = np.nan_to_num(sample.values, nan=np.inf) if sample.vocabulary is None else sample.values
    _, groups, sizes = np.unique(ordered, return_inverse=True, return_counts=True)
    classes = int(labels.max()) + 1
    counts = np.bincount(groups * classes + labels, minlength=len(sizes) * classes).reshape(-1, classes)
    winner = counts.argmax(axis=1)
    most = counts.max(axis=1)
    second = np.partition(counts, -2, axis=1)[:, -2]
    # Without the row itself, its class must still be ahead.
    right = np.where(most - 1 > second, most, 0)
    if sample.vocabulary is None:
        single = sizes == 1
        neighbour = np.append(winner[:1], winner[:-1])
        right[single] = winner[single] == neighbour[single]
    return len(labels) - int(right.sum())
