"""Explanations as JSON, and what is asked of them: what rows are held against, and how many of them there may be."""

from typing import Any, ClassVar

import numpy as np

from service.document import encode
from service.errors import InvalidRecord
from service.prediction.explain import Explainer, Explanation, Reference
from service.prediction.predictor import Predictor
from service.prediction.protocol import Allowance, Answer
from service.prediction.sets import Members
from service.rows.reader import Rows
from service.rows.tensors import Probabilities, Tensors
from service.wire.capacity import Capacity

TYPICAL, BACKGROUND, GIVEN = "typical", "background", "given"
# What a model lacks, and where it could come from.
ABSENT = {
    TYPICAL: "the card of this model has no typical row, as those of earlier versions have none; give a record as "
    '"reference", or train the model again',
    BACKGROUND: "the card of this model has no background rows; train it with --background and a number, or leave "
    '"reference" out',
}
# Of one request: each row takes up to thousands of answers of the model.
MOST_ROWS = 64
# A 64-bit float in the fewest digits that tell it from every other has no more characters, and a comma.
LONGEST_NUMBER = 26
# What an explanation has beside its label, its features and their numbers.
FRAME = 256


class FewRows(Capacity):
    """What a request for explanations may come to, on top of what its predictions may."""

    __slots__ = ()

    def __init__(self, predictor: Predictor, body: bytes, allowance: Allowance) -> None:
        wording = predictor.wording
        longest = wording.longest + wording.longest_label + FRAME
        longest += 2 * sum(len(encode(feature.name)) + LONGEST_NUMBER for feature in predictor.card.features)
        super().__init__(allowance, body, wording.classes, longest)

    def grow(self, rows: int, more: int = 0) -> None:
        """There are so many rows by now, and so many bytes more of tensors.

        :raises InvalidRecord: there are more rows than are explained at once; also what `Capacity.grow` raises.
        """
        if rows > MOST_ROWS:
            sentence = f"at most {MOST_ROWS} rows are explained at once; send them in several requests"
            raise InvalidRecord(sentence, [{"rule": "rows", "message": sentence}])
        super().grow(rows, more)


class Explained:
    """One row or several to be explained: each explanation is a part of the row's prediction, or stands alone and has
    the warnings.
    """

    def __init__(
        self,
        predictor: Predictor,
        rows: Rows,
        reference: Reference,
        allowance: Allowance,
        *,
        several: bool,
        alone: bool,
    ) -> None:
        """It raises what `Explainer` raises."""
        self._predictor, self._rows, self._seconds = predictor, rows, allowance.seconds
        self._several, self._alone = several, alone
        self._explainer = Explainer(predictor, rows.tensors, reference, allowance.work)

    places: ClassVar[None] = None

    @property
    def tensors(self) -> Tensors:
        return self._rows.tensors

    @property
    def work(self) -> float:
        return self._explainer.work

    def answer(self, probabilities: Probabilities, members: Members | None = None) -> Answer:
        """It raises what `Explainer.explain` raises."""
        warnings = self._rows.warnings
        documents = [self._document(one) for one in self._explainer.explain(probabilities, self._seconds)]
        if self._alone:
            for row, concerns in warnings.items():
                documents[row]["warnings"] = concerns
            words, kind = [encode(document) for document in documents], b"explanation"
        else:
            predictions = self._predictor.wording.predictions(probabilities, warnings, members)
            pairs = zip(predictions, documents, strict=True)
            words = [word[:-1] + b',"explanation":' + encode(document) + b"}" for word, document in pairs]
            kind = b"prediction"
        answer = (kind + b's":[' + b",".join(words) + b"]") if self._several else kind + b'":' + words[0]
        return Answer(b'{"model":%b,"%b}' % (self._predictor.label, answer))

    def _document(self, one: Explanation) -> dict[str, Any]:
        names = [feature.name for feature in self._predictor.card.features]
        document: dict[str, Any] = {
            "label": one.label,
            "probability": np.float32(one.probability),
            "reference": one.reference,
            "reference_probability": np.float32(one.reference_probability),
            "method": "exact" if one.errors is None else "permutations",
            "values": dict(zip(names, one.values.tolist(), strict=True)),
        }
        if one.errors is not None:
            document["standard_errors"] = dict(zip(names, one.errors.tolist(), strict=True))
        return document


def reference_of(predictor: Predictor, name: str) -> Reference:
    """A reference that the card has.

    :raises InvalidRecord: it has none of this name.
    """
    if name not in predictor.references:
        sentence = ABSENT[name]
        raise InvalidRecord(sentence, [{"rule": "reference", "message": sentence}])
    return Reference(name, predictor.references[name])
