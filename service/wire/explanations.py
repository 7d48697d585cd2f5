"""Explanations on a route of their own: one instance or several, and what they are held against."""

from typing import Any

from service.document import JSON, PIECE, LongArray, LongObject, decode
from service.errors import BodyTooLarge, InvalidRecord
from service.prediction.explain import Reference
from service.prediction.predictor import Predictor
from service.prediction.protocol import Allowance, Question, WireFormat
from service.rows.rules import BrokenRules
from service.wire.extras import reader_of
from service.wire.instances import read_document
from service.wire.reasons import BACKGROUND, GIVEN, TYPICAL, Explained, FewRows, reference_of
from service.wire.refusals import refuse, shapeless

SHAPE = 'the "reference" must be "typical", "background", or a row: {feature: value} or [value, …]'


def read(predictor: Predictor, body: bytes, environ: dict[str, Any], allowance: Allowance) -> Question:
    """Read a request for explanations.

    :raises MalformedBody: the body is not JSON.
    :raises InvalidRecord: it has another shape, more rows than are explained at once, or a reference that the model has
        not; or a row or the reference breaks the card.
    :raises TooManyRows: its answer would have more bytes than it may, or take more work.
    :raises BodyTooLarge: a row or a text in it is too long, or it takes more memory than a request may.
    """
    document = decode(body)
    reference = document.pop("reference", TYPICAL) if isinstance(document, dict) else TYPICAL
    reader = reader_of(predictor, environ, allowance)
    rows, several = read_document(predictor, document, body, allowance, FewRows, reader)
    against = _reference(predictor, reference)
    return Explained(predictor, rows, against, allowance, several=several, alone=True)


def _reference(predictor: Predictor, asked: Any) -> Reference:
    if asked in (TYPICAL, BACKGROUND):
        return reference_of(predictor, asked)
    if isinstance(asked, LongArray | LongObject):
        raise BodyTooLarge(f"the reference is too long: it may have {PIECE} bytes")
    if not isinstance(asked, list | dict):
        raise shapeless(SHAPE)
    try:
        return Reference(GIVEN, predictor.rows.read([asked]).tensors)
    except BrokenRules as broken:
        refused = refuse(broken, several=False)
        raise InvalidRecord(f"in the reference, {refused}", refused.details) from None


EXPLANATIONS = WireFormat(frozenset({JSON}), read, explains=True)
