"""Rows as the bins that they fall in: the bins of training, which a model's card has kept."""

from collections.abc import Iterable, Sequence
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from models.card import ModelCard
from models.drift import DriftBaseline
from models.features import Feature, usual_range
from service.rows.tensors import Probabilities, Tensors

LARGEST = float(np.finfo(np.float32).max)


class RowBins:
    """The bins of one model, numbered through its features in the order of the baseline, its predictions last.

    `parts` has the bins of each feature, and then those of the predictions. Behind them, `odd` has one number for each
    feature: how many of its values training has not seen the like of. Such a text is a category that is none of the
    card's, such a number lies far outside the range of training, as the warnings of an answer say.
    """

    def __init__(self, card: ModelCard, baseline: DriftBaseline) -> None:
        self.numbers, self.classes = len(card.numeric), len(card.classes)
        ends = list(accumulate(len(one.shares) for one in (*baseline.features, baseline.predictions)))
        self.parts = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
        kinds: tuple[Sequence[Feature], ...] = (card.numeric, card.categorical)
        place = {feature.name: place for kind in kinds for place, feature in enumerate(kind)}
        self.odd = slice(ends[-1], ends[-1] + len(baseline.features))
        starts = (part.start for part in self.parts)
        watched = list(zip(baseline.features, starts, range(self.odd.start, self.odd.stop), strict=False))

        numeric = [(one, start, odd) for one, start, odd in watched if one.kind == "numeric"]
        self._columns = np.array([place[one.feature] for one, _, _ in numeric], np.intp)
        self._first = np.array([start for _, start, _ in numeric], np.int16)
        self._missing = np.array([start + len(one.edges) + 1 for one, start, _ in numeric], np.int16)
        self._odd_numbers = np.array([odd for _, _, odd in numeric], np.intp)
        usual = np.array([usual_range(feature) for feature in card.numeric]).reshape(-1, 2)[self._columns]
        self._low, self._high = np.clip(usual, -LARGEST, LARGEST).astype(np.float32).T
        # Row i has edge i of each column; nothing is above the infinity that stands where a column has no more of them.
        self._edges = np.full(
            (max((len(one.edges) for one, _, _ in numeric), default=0), len(numeric)), np.inf, np.float32
        )
        for column, (one, _, _) in enumerate(numeric):
            self._edges[: len(one.edges), column] = one.edges

        # Of each text column its place, the bin of each known text, and the odd one of any other.
        texts = [(one, start, odd) for one, start, odd in watched if one.kind == "categorical"]
        self._texts = [
            (
                place[one.feature],
                _bins_of(card.categorical[place[one.feature]].categories, one.categories, start),
                odd,
            )
            for one, start, odd in texts
        ]
        # An odd text is one of the others too.
        self._odd_texts = np.array([odd for _, _, odd in texts], np.intp)
        self._others = np.array([start + len(one.categories) for one, start, _ in texts], np.intp)
        start, common = self.parts[-1].start, baseline.predictions.categories
        classes = _numbered(common, start)
        self._classes = np.array([classes.get(label, start + len(common)) for label in card.classes])

    def of_texts(self, tensors: Tensors) -> list[int]:
        """The bins of all texts, one after the other: what a client has sent need not be kept."""
        if not self._texts:
            return []
        rows = tensors["categorical"].tolist()
        return [bins.get(row[place], odd) for row in rows for place, bins, odd in self._texts]

    def count(
        self, numbers: npt.NDArray[np.float32] | None, texts: Sequence[int], answers: Probabilities
    ) -> npt.NDArray[np.int64]:
        """How many rows fell in each bin, and how many are odd in each feature; `numbers` is their numeric tensor,
        `texts` what `of_texts` made of their texts.
        """
        found = [self._classes[answers.argmax(axis=1)], np.array(texts, np.int64)]
        odd: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        if numbers is not None and len(self._columns):
            values = numbers[:, self._columns]
            found.append(self._of_numbers(values).ravel())
            beyond = (values < self._low) | (values > self._high)
            if beyond.any():
                odd = np.count_nonzero(beyond, axis=0)
        counts: npt.NDArray[np.int64] = np.bincount(np.concatenate(found), minlength=self.odd.stop)
        counts[self._others] += counts[self._odd_texts]
        if len(odd):
            counts[self._odd_numbers] = odd
        return counts

    def _of_numbers(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
        above = np.zeros(values.shape, np.int8)
        for edges in self._edges:
            above += (values > edges).view(np.int8)
        return np.where(np.isnan(values), self._missing, self._first + above)


def _bins_of(known: Iterable[str], common: Sequence[str], start: int) -> dict[str | None, int]:
    """The bin of each text that training knows, and of a missing one."""
    others: dict[str | None, int] = dict.fromkeys(known, start + len(common))
    return others | _numbered((*common, None, ""), start)


def _numbered(texts: Iterable[str | None], start: int) -> dict[str | None, int]:
    return {text: number for number, text in enumerate(texts, start)}
