"""Predictions as JSON: a template for each model, filled in with the numbers.

Building the same from dictionaries takes twice the time, and the answer to a thousand rows is mostly this.
"""

from collections.abc import Mapping, Sequence

from service.document import encode
from service.errors import Detail
from service.rows.tensors import Probabilities


class Wording:
    """The predictions of a model with these classes."""

    def __init__(self, classes: Sequence[str]) -> None:
        labels = [encode(label) for label in classes]
        by_class = b",".join(label.replace(b"%", b"%%") + b":%b" for label in labels)
        self._beginnings = [b'{"label":%b,"probability":' % label for label in labels]
        self._end = b',"probabilities":{' + by_class + b"}}"

    def predictions(self, probabilities: Probabilities, warnings: Mapping[int, Sequence[Detail]]) -> list[bytes]:
        """Each row's label, that label's probability and every class's, and warnings where there are any.

        `probabilities` (n, classes) come out in the fewest digits that read back as the same 32-bit floats.
        """
        beginnings, end = self._beginnings, self._end
        numbers = iter(encode(probabilities.ravel())[1:-1].split(b","))
        rows = zip(*[numbers] * len(beginnings), strict=True)
        best = probabilities.argmax(axis=1).tolist()
        words = [beginnings[index] + (row := next(rows))[index] + end % row for index in best]
        for index, concerns in warnings.items():
            words[index] = words[index][:-1] + b',"warnings":' + encode(concerns) + b"}"
        return words
