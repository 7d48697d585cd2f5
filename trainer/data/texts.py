"""The different texts of a column that is read in blocks: numbered as they are found, and counted."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from trainer.data.columns import TextCells
from trainer.data.rows import LARGEST_VOCABULARY, RARE

Meaning = npt.NDArray[np.int32]

# Numbers of rows in which nothing stands, and of those with a text that came when there were MOST_TEXTS already.
MISSING, BEYOND, FIRST = 0, 1, 2
MOST_TEXTS = 100_000


@dataclass(eq=False)
class Texts:
    """The texts of a column, numbered from `FIRST` on as they are found, and the `counts` (numbers,) of their rows."""

    numbers: dict[str, int] = field(default_factory=dict)
    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(FIRST, np.int64))

    def read(self, cells: TextCells, missing: Sequence[str], spell: Callable[[str], str], into: Meaning) -> None:
        """Write into each of n rows the number of its text, as it is spelled."""
        meaning = np.full(len(cells), MISSING, np.int32)
        present = np.flatnonzero(~cells.missing(missing))
        meaning[present] = [self._number(spell(text)) for text in cells.spelled(present)]
        cells.spread(meaning, np.int32(MISSING), into)
        counts = np.bincount(into, minlength=FIRST + len(self.numbers))
        counts[: len(self.counts)] += self.counts
        self.counts = counts

    def _number(self, text: str) -> int:
        if text not in self.numbers and len(self.numbers) < MOST_TEXTS:
            self.numbers[text] = FIRST + len(self.numbers)
        return self.numbers.get(text, BEYOND)

    @property
    def found(self) -> list[str]:
        """The texts, in the order of their numbers."""
        return list(self.numbers)

    def vocabulary(self, known: Collection[str]) -> tuple[tuple[str, ...], Meaning]:
        """The vocabulary of the column, and the code in it that each number means.

        :param known: texts that the vocabulary keeps however rare they are; of others the commonest.
        """
        kept, beyond = self.found, bool(self.counts[BEYOND])
        if len(kept) > LARGEST_VOCABULARY:
            # In doubt, the text that stands first in the table.
            kept = sorted(kept, key=lambda text: (text not in known, -self.counts[self.numbers[text]]))
            kept = kept[: max(LARGEST_VOCABULARY, sum(text in known for text in kept))]
        rare = beyond or len(kept) < len(self.numbers)
        vocabulary = sorted({*kept, *([""] if self.counts[MISSING] else []), *([RARE] if rare else [])})
        position = {text: code for code, text in enumerate(vocabulary)}
        meaning = np.full(len(self.counts), position.get(RARE, -1), np.int32)
        meaning[MISSING] = position.get("", -1)
        meaning[[self.numbers[text] for text in kept]] = [position[text] for text in kept]
        return tuple(vocabulary), meaning
