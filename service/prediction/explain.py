"""Explanations: what each feature of a row has part in the answer, against a reference, as Shapley values.

The players are the features whose values differ from the reference's. The outcome of a coalition is the probability
that the model gives the row's class where these features have the row's values, and all others the reference's. Against
a reference of several rows the values are the means of those against each: the Shapley values of the mean outcome.

The rows of coalitions are made, and the model is asked for them, a few at a time, so that neither memory nor the time
for which the interpreter is held grows with the features.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any

import numpy as np
import numpy.typing as npt

from service.errors import RunTimeout, TooManyRows
from service.prediction.predictor import RUN_SECONDS, Predictor
from service.prediction.shapley import Coalitions, Ends, Floats, Sampling, coalitions, shapley
from service.rows.tensors import Probabilities, Tensors, row_count

# Pairs of orders that are drawn, over all rows of the reference together: at first, and at most, as far as the work
# allows; at least so many for each, for there is no standard error of one. And the error that is small enough.
FIRST_PAIRS, MOST_PAIRS, FEWEST_PAIRS, ENOUGH_ERROR = 16, 2048, 2, 0.0045
# What one request may take, coalitions times features and classes, which count for so much at least: of a bag of five
# networks some three seconds.
MOST_WORK, LEAST_WIDTH = 1 << 24, 64
# The model is asked for so many coalitions at once, which takes a fifth less time than for thousands; and for fewer
# where they hold so many numbers or texts.
MOST_ROWS, MOST_NUMBERS, MOST_TEXTS = 512, 1 << 18, 1 << 14


@dataclass(frozen=True, eq=False)
class Reference:
    """What rows are held against: its name on the wire, and one row or several."""

    name: str
    tensors: Tensors


@dataclass(frozen=True, eq=False)
class Explanation:
    """What each feature, in the card's order, adds to the probability of a row's class, beginning at the reference's.

    `values` sum to `probability` less `reference_probability`. `errors` are their standard errors, where values were
    sampled.
    """

    label: str
    probability: float
    reference: str
    reference_probability: float
    values: Floats
    errors: Floats | None


class Explainer:
    """Explains rows of one model against one reference. `work` is what that may take, known before any is done."""

    def __init__(
        self, predictor: Predictor, tensors: Tensors, reference: Reference, most_work: float = MOST_WORK
    ) -> None:
        """`tensors` hold the rows. Where sampling would take more than `most_work`, less is sampled.

        :raises TooManyRows: the rows take more than `most_work` all the same.
        """
        self._predictor, self._tensors, self._reference = predictor, tensors, reference
        rows, several = row_count(tensors), row_count(reference.tensors)
        players = np.array([_differ(_row(tensors, row), reference.tensors) for row in range(rows)])
        most = max(FEWEST_PAIRS, -(-MOST_PAIRS // several))
        width = max(LEAST_WIDTH, predictor.width)
        while (work := width * coalitions(players, most)) > most_work and most > FEWEST_PAIRS:
            most = max(FEWEST_PAIRS, most // 2)
        if work > most_work:
            raise _too_much(rows, work / most_work)
        self.work = work
        first = min(most, max(FEWEST_PAIRS, -(-FIRST_PAIRS // several)))
        self._sampling = Sampling(first, most, ENOUGH_ERROR * several**0.5)
        features = list(enumerate(predictor.card.features))
        places = {
            "numeric": [place for place, feature in features if feature.kind != "categorical"],
            "categorical": [place for place, feature in features if feature.kind == "categorical"],
        }
        self._places = {name: np.array(places[name]) for name in tensors}

    def explain(self, probabilities: Probabilities, seconds: float = RUN_SECONDS) -> Iterator[Explanation]:
        """The explanation of each row, `probabilities` (n, classes) being the model's answers to them.

        :raises RunTimeout: together they take longer than so many seconds.
        :raises InvalidAnswer: the model answers coalitions with no probabilities.
        """
        model = _Timed(self._predictor, seconds)
        at_reference = model.answer(self._reference.tensors).astype(np.float64)
        for row, place in enumerate(self._predictor.decide(probabilities)):
            yield self._explanation(model, row, place, float(probabilities[row, place]), at_reference[:, place])

    def _explanation(
        self, model: "_Timed", row: int, place: int, probability: float, at_reference: Floats
    ) -> Explanation:
        """The mean over the rows of the reference. What was sampled for each is independent of the others."""
        values, variances = np.zeros((2, len(self._predictor.card.features)))
        sampled, several = False, len(at_reference)
        for number, empty in enumerate(at_reference.tolist()):
            pair = _Pair(_row(self._tensors, row), _row(self._reference.tensors, number))
            players = np.concatenate([self._places[name][columns] for name, columns in pair.columns.items()])
            game = partial(model.outcomes, pair, place)
            found, errors = shapley(game, len(players), Ends(empty, probability), self._sampling, seed=number)
            values[players] += found / several
            if errors is not None:
                sampled = True
                variances[players] += (errors / several) ** 2
        return Explanation(
            self._predictor.card.classes[place],
            probability,
            self._reference.name,
            float(at_reference.mean()),
            values,
            np.sqrt(variances) if sampled else None,
        )


class _Pair:
    """A row and a row of the reference: `columns` are those of each tensor in which they differ, the players."""

    def __init__(self, row: Tensors, reference: Tensors) -> None:
        self._row, self._reference = row, reference
        self.columns = {name: np.flatnonzero(_different(row[name], reference[name])) for name in row}

    def rows(self, asked: Coalitions) -> Tensors:
        """The rows of coalitions (n, players)."""
        made: Tensors = {}
        start = 0
        for name, columns in self.columns.items():
            end = start + len(columns)
            made[name] = np.repeat(self._reference[name], len(asked), axis=0)
            made[name][:, columns] = np.where(
                asked[:, start:end], self._row[name][:, columns], self._reference[name][:, columns]
            )
            start = end
        return made


class _Timed:
    """A model that is asked until a moment."""

    def __init__(self, predictor: Predictor, seconds: float) -> None:
        self._predictor, self._seconds, self._due = predictor, seconds, monotonic() + seconds
        texts = len(predictor.card.categorical)
        self._most = max(1, min(MOST_ROWS, MOST_NUMBERS // predictor.width, MOST_TEXTS // max(1, texts)))

    def outcomes(self, pair: _Pair, place: int, asked: Coalitions) -> Floats:
        """The probabilities (n,) of the class at `place` where coalitions (n, players) have the row's values."""
        found = np.empty(len(asked))
        for start in range(0, len(asked), self._most):
            part = asked[start : start + self._most]
            found[start : start + self._most] = self.answer(pair.rows(part))[:, place]
        return found

    def answer(self, tensors: Tensors) -> Probabilities:
        # The predictor does not time a run that is known to be short, and there may be any number of them.
        left = self._due - monotonic()
        try:
            if left > 0:
                return self._predictor.predict(tensors, left)
        except RunTimeout:
            pass
        way = "send fewer rows at once, or raise EVENKEEL_RUN_SECONDS"
        raise RunTimeout(f"to explain this took longer than {self._seconds:g} seconds; {way}")


def _too_much(rows: int, times: float) -> TooManyRows:
    few = int(rows / times)
    way = (
        f"send at most {few} at once" if few else "hold it against one row instead of several, or against a closer one"
    )
    return TooManyRows(
        f"to explain this takes {times:.1f} times the work that one request may; {way}, or explain it with the command "
        "evenkeel explain, which takes its time"
    )


def _row(tensors: Tensors, row: int) -> Tensors:
    return {name: tensor[row : row + 1] for name, tensor in tensors.items()}


def _differ(row: Tensors, references: Tensors) -> npt.NDArray[np.intp]:
    """In how many columns a row differs from each row of the reference."""
    differ: npt.NDArray[np.intp] = sum(_different(row[name], references[name]).sum(axis=1) for name in row)
    return differ


def _different(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Where values differ; of two that are missing, NaN or an empty text, neither does."""
    different: npt.NDArray[np.bool_] = (one != other).astype(np.bool_)
    return different if one.dtype == object else different & ~(np.isnan(one) & np.isnan(other))
