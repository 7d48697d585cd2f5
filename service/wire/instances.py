"""Predictions for people: one instance or several, by feature name or by position; probabilities by class name."""

from dataclasses import dataclass
from typing import Any

from service.document import JSON, decode
from service.errors import Detail, InvalidRecord
from service.prediction.predictor import Predictor
from service.prediction.protocol import Allowance, Answer, Question, WireFormat
from service.rows.reader import Rows
from service.rows.rules import BrokenRules
from service.rows.tensors import Probabilities, Tensors

SHAPE = 'must be {"instance": row} or {"instances": [row, …]}, a row being {feature: value} or [value, …], nothing else'


@dataclass(slots=True)
class Instances:
    """One instance, or several."""

    predictor: Predictor
    rows: Rows
    several: bool

    @property
    def tensors(self) -> Tensors:
        return self.rows.tensors

    def answer(self, probabilities: Probabilities) -> Answer:
        predictions = self.predictor.wording.predictions(probabilities, self.rows.warnings)
        if self.several:
            return Answer(b'{"model":%b,"predictions":[%b]}' % (self.predictor.label, b",".join(predictions)))
        return Answer(b'{"model":%b,"prediction":%b}' % (self.predictor.label, predictions[0]))


def read(predictor: Predictor, body: bytes, _: dict[str, Any], allowance: Allowance) -> Question:
    """Read a request for one instance or several.

    :raises MalformedBody: the body is not JSON.
    :raises InvalidRecord: it has another shape, or an instance breaks the card.
    """
    numbers = predictor.rows.read_numbers(body)
    if numbers is not None:
        return Instances(predictor, numbers, several=True)
    document = decode(body)
    if not isinstance(document, dict) or len(document) != 1:
        raise misshapen()
    ((key, value),) = document.items()
    if key == "instance":
        return Instances(predictor, read_rows(predictor, [value], body, several=False), several=False)
    if key == "instances" and isinstance(value, list) and value:
        return Instances(predictor, read_rows(predictor, value, body), several=True)
    raise misshapen()


def read_rows(predictor: Predictor, rows: list[Any], body: bytes, several: bool = True) -> Rows:
    """Check rows that were read from `body`.

    :raises InvalidRecord: a row breaks the card; the sentence names the instance, the feature and the rule.
    """
    # Searching the text is quicker than looking at each value, and a body without the words holds no boolean; a letter
    # that few names and numbers hold is found missing in a tenth of the time of a word.
    may_hold_booleans = (b"u" in body and b"true" in body) or (b"f" in body and b"false" in body)
    try:
        return predictor.rows.read(rows, may_hold_booleans)
    except BrokenRules as broken:
        raise refuse(broken, several) from None


def refuse(broken: BrokenRules, several: bool) -> InvalidRecord:
    """The refusal of rows that break the card; a lone instance needs no number."""
    details = broken.details if several else [_without_number(detail) for detail in broken.details]
    first = details[0]
    place = f"instance {first['instance']}" if "instance" in first else ""
    place += ", " * bool(place and "feature" in first)
    place += f"feature '{first['feature']}'" if "feature" in first else ""
    more = f"; and {broken.count - 1} more" if broken.count > 1 else ""
    return InvalidRecord(f"{place or 'the instance'} {first['message']}{more}", details)


def misshapen() -> InvalidRecord:
    """The refusal of a document that is JSON and no request."""
    return InvalidRecord(f"the request {SHAPE}", [{"rule": "shape", "message": SHAPE}])


def _without_number(detail: Detail) -> Detail:
    return {key: value for key, value in detail.items() if key != "instance"}


INSTANCES = WireFormat(frozenset({JSON}), read)
