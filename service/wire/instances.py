"""Predictions for people: one instance or several, by feature name or by position; probabilities by class name."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from service.document import JSON, PIECE, LongArray, decode, drain
from service.errors import InvalidRecord
from service.prediction.predictor import Predictor
from service.prediction.protocol import Allowance, Answer, Question, WireFormat
from service.prediction.sets import Members
from service.rows.reader import Chunk, Rows
from service.rows.rules import BrokenRules, echo
from service.rows.tensors import Probabilities, Tensors, row_count
from service.wire.capacity import Capacity
from service.wire.extras import REFUSE, Reader, reader_of
from service.wire.reasons import TYPICAL, Explained, FewRows, reference_of
from service.wire.refusals import refuse, shapeless
from service.wire.sieve import Sieve, Sifted

# Of "true" and "false".
U, F = b"uf"

SHAPE = 'must be {"instance": row} or {"instances": [row, …]}, a row being {feature: value} or [value, …], nothing else'
ASKED = ("instance", "instances")
# What clients of TensorFlow Serving and of Vertex AI send besides: here they change nothing.
LET_THROUGH = ("parameters", "signature_name")
EXPLAIN = '"explain" must be true or false'
NULL = "null"
ON_ERROR = '"on_error" must be "refuse" or, beside "instances" and without "explain", "null"'


@dataclass(slots=True)
class Instances:
    """One instance, or several."""

    predictor: Predictor
    rows: Rows
    several: bool
    work: ClassVar[float] = 0.0
    places: ClassVar[None] = None

    @property
    def tensors(self) -> Tensors:
        return self.rows.tensors

    def answer(self, probabilities: Probabilities, members: Members | None = None) -> Answer:
        wording, warnings = self.predictor.wording, self.rows.warnings
        if not self.several:
            (prediction,) = wording.predictions(probabilities, warnings, members)
            return Answer(b'{"model":%b,"prediction":%b}' % (self.predictor.label, prediction))
        parts = list(wording.joined(probabilities, warnings, members))
        parts[0] = b'{"model":%b,"predictions":[%b' % (self.predictor.label, parts[0])
        parts[-1] += b"]}"
        return Answer(parts[0] if len(parts) == 1 else b",".join(parts))


def read(predictor: Predictor, body: bytes, environ: dict[str, Any], allowance: Allowance) -> Question:
    """Read a request for one instance or several; where it says "explain": true, for explanations besides; and where it
    says "on_error": "null", for an answer to each row that does not break the card.

    :raises MalformedBody: the body is not JSON.
    :raises InvalidRecord: it has another shape, or an instance breaks the card.
    :raises TooManyRows: it has more rows, or its answer would have more bytes, than it may.
    :raises BodyTooLarge: a row or a text in it is too long, or it takes more memory than a request may.
    """
    numbers = None if len(body) > PIECE else predictor.rows.read_numbers(body)
    if numbers is not None:
        capacity_for(predictor, body, allowance).grow(row_count(numbers.tensors))
        return Instances(predictor, numbers, several=True)
    document = decode(body)
    explain, on_error = False, REFUSE
    if isinstance(document, dict) and len(document) > 1:
        explain, on_error = document.pop("explain", False), document.pop("on_error", REFUSE)
    if not isinstance(explain, bool):
        raise shapeless(EXPLAIN)
    if on_error != REFUSE:
        return _sift(predictor, document, body, environ, allowance, on_error, explain)
    reader = reader_of(predictor, environ, allowance)
    if explain:
        rows, several = read_document(predictor, document, body, allowance, FewRows, reader)
        reference = reference_of(predictor, TYPICAL)
        return Explained(predictor, rows, reference, allowance, several=several, alone=False)
    return Instances(predictor, *read_document(predictor, document, body, allowance, capacity_for, reader))


def _sift(
    predictor: Predictor,
    document: Any,
    body: bytes,
    environ: dict[str, Any],
    allowance: Allowance,
    on_error: object,
    explain: bool,
) -> Question:
    """Read a request of which each row is answered, or its error is."""
    if on_error != NULL or explain or "instances" not in document:
        raise shapeless(ON_ERROR)
    sieve = Sieve(predictor)
    reader = reader_of(predictor, environ, allowance, sieve)
    rows, _ = read_document(predictor, document, body, allowance, capacity_for, reader)
    return Sifted(predictor, rows, sieve)


def capacity_for(predictor: Predictor, body: bytes, allowance: Allowance) -> Capacity:
    """What a request for predictions may come to."""
    wording = predictor.wording
    return Capacity(allowance, body, wording.classes, wording.longest)


def read_document(
    predictor: Predictor,
    document: Any,
    body: bytes,
    allowance: Allowance,
    capacity_of: Callable[[Predictor, bytes, Allowance], Capacity],
    reader: Reader,
) -> tuple[Rows, bool]:
    """Check the one instance or the several of a document that holds nothing else; and whether it is several.

    :raises InvalidRecord: it has another shape, or an instance breaks the card.
    """
    if isinstance(document, dict) and len(document) > 1:
        for key in LET_THROUGH:
            drain(document.pop(key, None))
    if not isinstance(document, dict) or len(document) != 1:
        raise misshapen(document)
    ((key, value),) = document.items()
    if key == "instance":
        # Of one prediction nothing else can be too much, and it is to be quick.
        if capacity_of is not capacity_for or predictor.wording.longest > allowance.answer_bytes:
            capacity_of(predictor, body, allowance).grow(1)
        try:
            return reader.read([value], may_hold_booleans(body)), False
        except BrokenRules as broken:
            raise refuse(broken, several=False) from None
    if key == "instances" and isinstance(value, list | LongArray) and value:
        return read_rows(reader, value, body, capacity_of(predictor, body, allowance)), True
    raise misshapen(document)


def read_rows(reader: Reader, rows: list[Any] | LongArray, body: bytes, capacity: Capacity) -> Rows:
    """Check several rows that were read from `body`.

    :raises InvalidRecord: a row breaks the card; the sentence names the instance, the feature and the rule.
    """
    if isinstance(rows, LongArray):
        return read_chunks(reader, long_rows(rows), capacity)
    capacity.grow(len(rows))
    try:
        return reader.read(rows, may_hold_booleans(body))
    except BrokenRules as broken:
        raise refuse(broken, several=True) from None


def read_chunks(reader: Reader, chunks: Iterable[Chunk], capacity: Capacity) -> Rows:
    """Check many rows, some at a time; there must be one.

    :raises InvalidRecord: a row breaks the card; the sentence names the instance, the feature and the rule.
    """
    try:
        rows = reader.read_chunks(chunks, capacity.grow)
    except BrokenRules as broken:
        raise refuse(broken, several=True) from None
    if rows is None:
        raise shapeless("the table must have at least one row")
    return rows


def long_rows(rows: LongArray) -> Iterator[Chunk]:
    """The rows of a long array, a piece at a time."""
    for piece in rows:
        yield Chunk(piece.elements, may_hold_booleans(piece.text), piece.text)


def may_hold_booleans(text: bytes) -> bool:
    """Whether JSON may hold a boolean; what is no text may.

    Searching the text is quicker than looking at each value, and one without the words holds no boolean; a letter that
    few names and numbers hold is found missing in a tenth of the time of a word.
    """
    return not text or (U in text and text.find(b"true") >= 0) or (F in text and text.find(b"false") >= 0)


def misshapen(document: Any) -> InvalidRecord:
    """The refusal of a document that asks for no predictions; it names what it should not hold."""
    others = [key for key in document if key not in ASKED] if isinstance(document, dict) else []
    named = f"has {echo(others[0])}, which is not known; it " if others else ""
    return InvalidRecord(f"the request {named}{SHAPE}", [{"rule": "shape", "message": SHAPE}])


INSTANCES = WireFormat(frozenset({JSON}), read)
