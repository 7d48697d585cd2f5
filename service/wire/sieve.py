"""Batches in which a row may break the card: all others are answered, and in its place stands what it breaks."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from service.document import encode
from service.errors import Detail, InvalidRecord
from service.prediction.predictor import Predictor
from service.prediction.protocol import Answer
from service.prediction.sets import Members
from service.prediction.wording import MOST_NUMBERS
from service.rows.reader import Chunk, Grow, Rows
from service.rows.rules import BrokenRules
from service.rows.tensors import Probabilities, Tensors
from service.rows.warnings import Warnings
from service.wire.refusals import refuse

# Of a request. To say what a row breaks takes longer than to answer it.
MOST_BROKEN = 1000


class Sieve:
    """Reads the rows of one request. Those that break the card are in `broken`, by their places, with the words for it;
    the places of the others are `sound`, and the warnings of what is read are by place.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor, self._reader = predictor, predictor.rows
        self.broken: dict[int, bytes] = {}
        self.sound: list[int] = []
        self._count = 0

    def read(self, rows: Sequence[Any], may_hold_booleans: bool = True) -> Rows:
        """Check rows, at least one.

        :raises BrokenRules: more of them break the card than may.
        """
        read = self.read_chunks([Chunk(lambda: rows, may_hold_booleans)], lambda *_: None)
        assert read is not None
        return read

    def read_chunks(self, chunks: Iterable[Chunk], grow: Grow) -> Rows | None:
        """Check many rows, some at a time; None where there are none.

        :raises BrokenRules: more of them break the card than may.
        """
        # The others have their part of the answer too.
        sifted = (self._sifted(chunk) for chunk in chunks)
        rows = self._reader.read_chunks(sifted, lambda _, more: grow(self._count, more))
        if not self._count:
            return None
        if rows is None:
            return Rows(self._nothing(), Warnings())
        warnings = Warnings()
        for index, some in rows.warnings.items():
            for warning in some:
                warnings.add(self.sound[index], warning)
        return Rows(rows.tensors, warnings)

    def _sifted(self, chunk: Chunk) -> Chunk:
        """What is sound of some rows. They are looked at one by one only where they do not pass together."""
        rows, start = chunk.rows(), self._count
        self._count += len(rows)
        kept = rows
        try:
            if rows:
                self._reader.read(rows, chunk.may_hold_booleans)
            self.sound += range(start, self._count)
        except BrokenRules:
            kept = [row for place, row in enumerate(rows, start) if self._is_sound(row, place, chunk.may_hold_booleans)]
        return Chunk(lambda: kept, chunk.may_hold_booleans)

    def _is_sound(self, row: Any, place: int, may_hold_booleans: bool) -> bool:
        try:
            self._reader.without_hints.read([row], may_hold_booleans)
        except BrokenRules as broken:
            if len(self.broken) == MOST_BROKEN:
                details: list[Detail] = [{**detail, "instance": place} for detail in broken.details]
                details[0]["message"] = f"{details[0]['message']}; more than {MOST_BROKEN} rows break the card"
                raise BrokenRules(details, broken.count, more=True) from None
            self.broken[place] = _words(refuse(broken, several=False))
            return False
        self.sound.append(place)
        return True

    def _nothing(self) -> Tensors:
        kinds = {"numeric": np.float32, "categorical": object}
        return {name: np.empty((0, len(part)), kinds[name]) for name, part in self._predictor.inputs.items()}


@dataclass(slots=True)
class Sifted:
    """Several instances, of which some may be broken."""

    predictor: Predictor
    rows: Rows
    sieve: Sieve
    work: ClassVar[float] = 0.0

    @property
    def tensors(self) -> Tensors:
        return self.rows.tensors

    @property
    def places(self) -> list[int]:
        return self.sieve.sound

    def answer(self, probabilities: Probabilities, members: Members | None = None) -> Answer:
        words = self.sieve.broken | dict(zip(self.sieve.sound, self._worded(probabilities, members), strict=True))
        joined = b",".join([words[place] for place in range(len(words))])
        return Answer(b'{"model":%b,"predictions":[%b]}' % (self.predictor.label, joined))

    def _worded(self, probabilities: Probabilities, members: Members | None) -> Iterator[bytes]:
        wording, sound, warnings = self.predictor.wording, self.sieve.sound, self.rows.warnings
        step = max(1, MOST_NUMBERS // wording.classes)
        for start in range(0, len(probabilities), step):
            part = probabilities[start : start + step]
            places = enumerate(sound[start : start + step])
            concerns = {index: warnings[place] for index, place in places if place in warnings}
            some = None if members is None else members[start : start + step]
            yield from wording.predictions(part, concerns, some)


def _words(refusal: InvalidRecord) -> bytes:
    """What stands in the place of a prediction: it has no label, and says why."""
    nothing = {"label": None, "probability": None, "probabilities": None}
    return encode({**nothing, "error": str(refusal), "details": refusal.details})
