"""Rows as the bins that they fall in: the bins of training, which a model's card has kept."""

from collections.abc import Iterable, Sequence
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from models.card import ModelCard
from models.drift import DriftBaseline
from models.features import Feature
from service.rows.tensors import Probabilities, Tensors


class RowBins:
    """The bins of one model, numbered through its features in the order of the baseline, its predictions last.

    `parts` has the bins of each feature, and then those of the predictions.
    """

    def __init__(self, card: ModelCard, baseline: DriftBaseline) -> None:
        ends = list(accumulate(len(one.shares) for one in (*baseline.features, baseline.predictions)))
        self.parts = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
        kinds: tuple[Sequence[Feature], ...] = (card.numeric, card.categorical)
        place = {feature.name: place for kind in kinds for place, feature in enumerate(kind)}
        watched = list(zip(baseline.features, (part.start for part in self.parts), strict=False))

        numeric = [(one, start) for one, start in watched if one.kind == "numeric"]
        self._columns = np.array([place[one.feature] for one, _ in numeric], np.intp)
        self._first = np.array([start for _, start in numeric], np.int16)
        self._missing = np.array([start + len(one.edges) + 1 for one, start in numeric], np.int16)
        # Row i has edge i of each column; nothing is above the infinity that stands where a column has no more of them.
        self._edges = np.full(
            (max((len(one.edges) for one, _ in numeric), default=0), len(numeric)), np.inf, np.float32
        )
        for column, (one, _) in enumerate(numeric):
            self._edges[: len(one.edges), column] = one.edges

        # Of each text column its place, the bin of each known text, and that of any other.
        self._texts = [
            (place[one.feature], _numbered((*one.categories, None, ""), start), start + len(one.categories))
            for one, start in watched
            if one.kind == "categorical"
        ]
        start, common = self.parts[-1].start, baseline.predictions.categories
        classes = _numbered(common, start)
        self._classes = np.array([classes.get(label, start + len(common)) for label in card.classes])

    def of_texts(self, tensors: Tensors) -> list[int]:
        """The bins of all texts, one after the other: what a client has sent need not be kept."""
        if not self._texts:
            return []
        rows = tensors["categorical"].tolist()
        return [bins.get(row[place], other) for row in rows for place, bins, other in self._texts]

    def count(
        self, numbers: Sequence[npt.NDArray[np.float32]], texts: Iterable[int], answers: Sequence[Probabilities]
    ) -> npt.NDArray[np.int64]:
        """How many rows fell in each bin; `numbers` are their numeric tensors, `answers` the probabilities."""
        found = [self._classes[np.concatenate(answers).argmax(axis=1)], np.fromiter(texts, np.int64)]
        if len(self._columns):
            found.append(self._of_numbers(np.concatenate(numbers)[:, self._columns]).ravel())
        return np.bincount(np.concatenate(found), minlength=self.parts[-1].stop)

    def _of_numbers(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
        above = np.zeros(values.shape, np.int8)
        for edges in self._edges:
            above += (values > edges).view(np.int8)
        return np.where(np.isnan(values), self._missing, self._first + above)


def _numbered(texts: Iterable[str | None], start: int) -> dict[str | None, int]:
    return {text: number for number, text in enumerate(texts, start)}
