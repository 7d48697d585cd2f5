"""Rows as the bins that they fall in: the bins of training, which a model's card has kept."""

from collections.abc import Iterable, Sequence
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from models.card import ModelCard
from models.drift import DriftBaseline
from models.features import Feature, usual_range
from service.rows.codes import Codes
from service.rows.tensors import Probabilities, Tensors

LARGEST = float(np.finfo(np.float32).max)
# Bits.
WORD = 64


class RowBins:
    """The bins of one model, numbered through its features in the order of the baseline, its predictions last.

    `parts` has the bins of each feature, and then those of the predictions. Behind them, `odd` has one number for each
    feature: how many of its values training has not seen the like of. Such a text or code is none of the card's, any
    other such number lies far outside the range of training, as the warnings of an answer say.
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
        self._missing = np.array([start + len(one.edges) + 1 for one, start, _ in numeric], np.intp)
        self._odd_numbers = np.array([odd for _, _, odd in numeric], np.intp)
        self._codes = Codes([card.numeric[column] for column in self._columns])
        usual = np.array([usual_range(feature) for feature in card.numeric]).reshape(-1, 2)[self._columns]
        low, high = np.clip(usual, -LARGEST, LARGEST).astype(np.float32).T
        # Edge i of each column; nothing is above the infinity that stands where a column has no more of them. The last
        # two are the ends of the usual range, of which the lower one belongs to it.
        most = max((len(one.edges) for one, _, _ in numeric), default=0)
        self._edges = np.full((most + 2, len(numeric), 1), np.inf, np.float32)
        with np.errstate(over="ignore"):
            self._edges[most:, :, 0] = high, np.nextafter(low, -np.inf, dtype=np.float32)
        # Of bin i of each column the number, and where there is such a bin.
        self._between = np.zeros((most + 1, len(numeric)), np.intp)
        self._is_bin = np.zeros((most + 1, len(numeric)), np.bool_)
        for column, (one, start, _) in enumerate(numeric):
            bins = len(one.edges) + 1
            self._edges[: bins - 1, column, 0] = one.edges
            self._between[:bins, column], self._is_bin[:bins, column] = range(start, start + bins), True
        self._between = self._between[self._is_bin]

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
        found = np.concatenate([self._classes[answers.argmax(axis=1)], np.array(texts, np.int64)])
        counts: npt.NDArray[np.int64] = np.bincount(found, minlength=self.odd.stop)
        counts[self._others] += counts[self._odd_texts]
        if numbers is not None and len(self._columns):
            self._count_numbers(numbers, counts)
        return counts

    def _count_numbers(self, numbers: npt.NDArray[np.float32], counts: npt.NDArray[np.int64]) -> None:
        """Add those of the numeric columns.

        How many values of a column lie above each edge is counted in bits: that takes a third of the time of finding
        the bin of each value.
        """
        rows, most = len(numbers), len(self._edges) - 2
        # By column, as whole words of bits.
        values = np.ascontiguousarray(numbers.T)[self._columns]
        told = np.empty((most + 3, len(values), -(-rows // WORD) * WORD), np.bool_)
        told[:, :, rows:] = False
        np.greater(values, self._edges, out=told[:-1, :, :rows])
        # NumPy 2.4's `isnan` leaves some of an output alone that has gaps.
        np.not_equal(values, values, out=told[-1, :, :rows])
        words = np.packbits(told.reshape(-1)).view(np.uint64).reshape(*told.shape[:2], -1)
        above = np.bitwise_count(words).sum(axis=-1, dtype=np.int64)
        high, in_range, missing = above[most:]
        counts[self._missing] = missing
        counts[self._odd_numbers] = high + (rows - missing - in_range)
        if (unseen := self._codes.unseen(values.T)) is not None:
            counts[self._odd_numbers[self._codes.columns]] = unseen.sum(axis=0)
        between = np.empty((most + 1, len(values)), np.int64)
        between[0], between[1:] = rows - missing, above[:most]
        between[:most] -= above[:most]
        counts[self._between] = between[self._is_bin]


def _bins_of(known: Iterable[str], common: Sequence[str], start: int) -> dict[str | None, int]:
    """The bin of each text that training knows, and of a missing one."""
    others: dict[str | None, int] = dict.fromkeys(known, start + len(common))
    return others | _numbered((*common, None, ""), start)


def _numbered(texts: Iterable[str | None], start: int) -> dict[str | None, int]:
    return {text: number for number, text in enumerate(texts, start)}
