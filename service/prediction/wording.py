"""Predictions as JSON: a template for each model, filled in with the numbers.

Building the same from dictionaries takes twice the time, and the answer to a thousand rows is mostly this.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from service.document import encode
from service.errors import Detail
from service.prediction.decision import Decide, most_probable
from service.prediction.sets import Members
from service.rows.tensors import Probabilities

# A 32-bit float in the fewest digits that tell it from every other has no more characters, and a comma.
LONGEST_NUMBER = 16
# So many numbers are worded at once, so that their texts do not all take memory at the same time.
MOST_NUMBERS = 1 << 15
# Of so many sets the words are kept.
MOST_SETS = 1024


class Wording:
    """The predictions of a model with so many `classes`, labelled as `decide` says: of at most `longest` bytes each,
    warnings left out, of which a label takes `longest_label`. Where there are `with_sets`, each says which classes
    belong to it, and whether that is one alone.
    """

    def __init__(self, classes: Sequence[str], decide: Decide = most_probable, *, with_sets: bool = False) -> None:
        self._decide = decide
        labels = [encode(label) for label in classes]
        by_class = b",".join(label.replace(b"%", b"%%") + b":%b" for label in labels)
        self._beginnings = [b'{"label":%b,"probability":' % label for label in labels]
        self._end = b',"probabilities":{' + by_class + b"}}"
        self._whole = [beginning.replace(b"%", b"%%") + b"%b" + self._end for beginning in self._beginnings]
        self.classes = len(labels)
        self.longest_label = max(map(len, labels))
        self.longest = max(map(len, self._beginnings)) + len(self._end) + LONGEST_NUMBER * (len(labels) + 1)
        self._labels = labels
        self._sets: dict[bytes, bytes] = {}
        if with_sets:
            self.longest += len(self._set(np.ones(len(labels), np.bool_)))

    def predictions(
        self,
        probabilities: Probabilities,
        warnings: Mapping[int, Sequence[Detail]],
        members: Members | None = None,
    ) -> list[bytes]:
        """Each row's label, that label's probability and every class's, its set, and warnings where there are any.

        `probabilities` (n, classes) come out in the fewest digits that read back as the same 32-bit floats.
        """
        beginnings, end = self._beginnings, self._end
        numbers = iter(encode(probabilities.ravel())[1:-1].split(b","))
        rows = zip(*[numbers] * len(beginnings), strict=True)
        words = [beginnings[index] + (row := next(rows))[index] + end % row for index in self._decide(probabilities)]
        if members is not None:
            words = [word[:-1] + self._set(row) for word, row in zip(words, members, strict=True)]
        for index, concerns in warnings.items():
            words[index] = words[index][:-1] + b',"warnings":' + encode(concerns) + b"}"
        return words

    def joined(
        self,
        probabilities: Probabilities,
        warnings: Mapping[int, Sequence[Detail]],
        members: Members | None = None,
    ) -> Iterator[bytes]:
        """The same with commas between, in a few parts."""
        step = max(1, MOST_NUMBERS // len(self._beginnings))
        for start in range(0, len(probabilities), step):
            part = probabilities[start : start + step]
            concerns = {index - start: told for index, told in warnings.items() if start <= index < start + step}
            if concerns or members is not None:
                some = None if members is None else members[start : start + step]
                yield b",".join(self.predictions(part, concerns, some))
            else:
                yield self._at_once(part)

    def _set(self, row: Members) -> bytes:
        """The end of a prediction with this set; few of all that are possible occur."""
        key = row.tobytes()
        if (worded := self._sets.get(key)) is None:
            inside = [label for label, is_in in zip(self._labels, row.tolist(), strict=True) if is_in]
            certain = b"true" if len(inside) == 1 else b"false"
            worded = b',"set":[' + b",".join(inside) + b'],"certain":' + certain + b"}"
            if len(self._sets) < MOST_SETS:
                self._sets[key] = worded
        return worded

    def _at_once(self, probabilities: Probabilities) -> bytes:
        """The same of rows without warnings: one template is filled in, of them all."""
        chosen = self._decide(probabilities)
        numbers = np.empty((len(probabilities), self.classes + 1), np.float32)
        numbers[:, 0] = probabilities[np.arange(len(probabilities)), chosen]
        numbers[:, 1:] = probabilities
        return b",".join([self._whole[index] for index in chosen]) % tuple(encode(numbers.ravel())[1:-1].split(b","))
