"""What a trained classifier owes to each feature, and how its answers depend on one: both by asking it again."""

from collections.abc import Iterator, Sequence

import numpy as np

from models.figures import MOST_FEATURES, MOST_SHOWN_CLASSES, Dependence, Distribution, Importance
from trainer.arrays import Array, Codes
from trainer.data.rows import Examples, Rows
from trainer.figures.distributions import middles
from trainer.fitting.trained_classifier import TrainedClassifier
from trainer.measures.scores import Vector, gain_over, losses_of

PERMUTATIONS = 5
# So many multiplications are a second or so on one core; the rows are as many as they allow.
MULTIPLICATIONS = 2e10
FEWEST_ROWS, MOST_ROWS, DEPENDENCE_ROWS = 100, 2000, 200
# Of more features, a first look at few rows finds those that matter most.
MOST_WEIGHED, LOOK_ROWS = 40, 100
DIGITS = 6


class Asked:
    """A classifier, and some examples in which one column at a time is replaced."""

    def __init__(self, classifier: TrainedClassifier, examples: Examples) -> None:
        self.classifier, self.labels = classifier, examples.labels
        rows = examples.rows
        self.rows = Rows(rows.columns, rows.numeric.copy(), rows.codes.copy(), rows.vocabularies)
        weights = examples.weights
        self.counts: Vector = np.ones(len(examples)) if weights is None else weights.astype(np.float64)
        self.losses = losses_of(classifier.predict(rows), self.labels)
        self._places = {column.name: (self.rows.numeric, place) for place, column in enumerate(rows.numbers)} | {
            column.name: (self.rows.codes, place) for place, column in enumerate(rows.texts_of)
        }

    def column(self, feature: str) -> Array | Codes:
        cells, place = self._places[feature]
        return cells[:, place]

    def with_column(self, feature: str, values: Array | Codes | float) -> Array:
        """The probabilities (n, classes) with other values in one column."""
        column = self.column(feature)
        before = column.copy()
        column[:] = values
        answers = self.classifier.predict(self.rows)
        column[:] = before
        return answers

    def permuted(self, feature: str, times: int, rng: np.random.Generator) -> Vector:
        """The loss of each row (n,), in nats, the mean over permutations of a column."""
        column = self.column(feature)
        if (column == column[0]).all():
            return self.losses
        losses = [losses_of(self.with_column(feature, rng.permutation(column)), self.labels) for _ in range(times)]
        return np.asarray(np.mean(losses, axis=0), np.float64)

    def rise(self, feature: str, times: int, rng: np.random.Generator) -> Importance:
        mean, interval = gain_over(self.losses, self.permuted(feature, times, rng), self.counts)
        return Importance(feature=feature, mean=mean, interval=interval)


def importances(
    classifier: TrainedClassifier, test: Examples, rng: np.random.Generator
) -> tuple[tuple[Importance, ...], int]:
    """The features that matter most, the first of them most, and how many test rows said so."""
    names = [column.name for column in test.rows.columns]
    if len(names) > MOST_WEIGHED:
        look = Asked(classifier, some(test, LOOK_ROWS))
        seen = sorted((look.rise(name, 1, rng) for name in names), key=lambda one: -one.mean)
        names = [one.feature for one in seen[:MOST_WEIGHED]]
    costs = sum(network.values.size for network in classifier.networks) * len(names) * PERMUTATIONS
    rows = int(np.clip(MULTIPLICATIONS / costs, FEWEST_ROWS, MOST_ROWS))
    asked = Asked(classifier, some(test, rows))
    weighed = sorted((asked.rise(name, PERMUTATIONS, rng) for name in names), key=lambda one: -one.mean)
    return tuple(weighed[:MOST_FEATURES]), len(asked.labels)


def dependences(
    classifier: TrainedClassifier, test: Examples, leading: Sequence[Distribution]
) -> tuple[tuple[Dependence, ...], int]:
    """How the mean answer depends on each of these features, and how many test rows said so."""
    asked = Asked(classifier, some(test, DEPENDENCE_ROWS))
    return tuple(_dependence(asked, one) for one in leading if one.shares and len(_values(one))), len(asked.labels)


def some(examples: Examples, most: int) -> Examples:
    """The examples, or some from everywhere among them."""
    if len(examples) <= most:
        return examples
    return examples.take(np.linspace(0, len(examples) - 1, most, dtype=np.int64))


def _dependence(asked: Asked, one: Distribution) -> Dependence:
    values = _values(one)
    answers = np.array([_mean_answer(asked, one.feature, cell) for cell in _cells(asked, one.feature, values)])
    labels = _shown(answers)
    return Dependence(
        feature=one.feature,
        values=values,
        labels=tuple(asked.classifier.classes[label] for label in labels),
        probabilities=tuple(tuple(np.round(answers[:, label], DIGITS).tolist()) for label in labels),
    )


def _values(one: Distribution) -> tuple[float, ...] | tuple[str, ...]:
    """What the feature is set to: nothing where all its categories are too rare to be named."""
    return one.categories if one.kind == "categorical" else middles(one.edges)


def _cells(asked: Asked, feature: str, values: Sequence[float] | Sequence[str]) -> Iterator[float]:
    """What stands in the column for each value."""
    texts = [column.name for column in asked.rows.texts_of]
    if feature not in texts:
        yield from map(float, values)
        return
    vocabulary = asked.rows.vocabularies[texts.index(feature)]
    yield from (vocabulary.index(str(text)) for text in values)


def _mean_answer(asked: Asked, feature: str, cell: float) -> Vector:
    return np.asarray(np.average(asked.with_column(feature, cell), axis=0, weights=asked.counts), np.float64)


def _shown(answers: Array) -> list[int]:
    """The last of two classes; of more, those whose mean answers (values, classes) move most, in the card's order."""
    classes = answers.shape[1]
    if classes == 2:
        return [1]
    moves = np.ptp(answers, axis=0) if len(answers) else np.zeros(classes)
    return sorted(np.argsort(-moves, kind="stable")[:MOST_SHOWN_CLASSES].tolist())
