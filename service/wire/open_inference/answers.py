"""Inference as a wire format: a request's question, and its answer in JSON, in binary, or as the likeliest classes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from service.document import JSON, encode
from service.errors import InvalidTensor
from service.prediction.predictor import Predictor
from service.prediction.protocol import Allowance, Answer, Question, WireFormat
from service.prediction.sets import Members
from service.prediction.wording import MOST_NUMBERS
from service.rows.tensors import Probabilities, Tensors
from service.wire.capacity import Capacity
from service.wire.open_inference.envelope import HEADER_LENGTH, Envelope, EnvelopeReader, Wish
from service.wire.open_inference.inputs import raw_input, read_inputs
from service.wire.open_inference.outputs import OUTPUTS, SET, longest_row, output, outputs_of, slices

OCTETS = "application/octet-stream"
# The wishes of a request without any, by whether it asks for binary outputs.
EVERYTHING: dict[tuple[tuple[str, ...], bool], list[Wish]] = {
    (names, binary): [Wish(name, binary, 0) for name in names]
    for names in (OUTPUTS, (*OUTPUTS, SET))
    for binary in (False, True)
}


@dataclass(slots=True)
class Inference:
    """An inference request whose tensors were read."""

    predictor: Predictor
    tensors: Tensors
    id: str | None
    wishes: list[Wish]
    work: ClassVar[float] = 0.0
    places: ClassVar[None] = None

    def answer(self, probabilities: Probabilities, members: Members | None = None) -> Answer:
        card = self.predictor.card
        head: dict[str, Any] = {"model_name": card.name, "model_version": str(self.predictor.version)}
        if self.id is not None:
            head["id"] = self.id
        if probabilities.size <= MOST_NUMBERS:
            texts, raw = _at_once(head, self.wishes, self.predictor, probabilities, members)
        else:
            texts, raw = _in_parts(head, self.wishes, self.predictor, slices(probabilities, members))
        if not raw:
            return Answer(texts[0] if len(texts) == 1 else b"".join(texts))
        return Answer(b"".join((*texts, *raw)), OCTETS, ((HEADER_LENGTH, str(sum(map(len, texts)))),))


def _at_once(
    head: dict[str, Any],
    wishes: list[Wish],
    predictor: Predictor,
    probabilities: Probabilities,
    members: Members | None,
) -> tuple[list[bytes], list[bytes]]:
    """The JSON of a short answer, and the raw bytes behind it."""
    outputs, raw = [], []
    for wish in wishes:
        described, values = output(wish, predictor, probabilities, members)
        if wish.binary:
            described["parameters"] = {"binary_data_size": len(values)}
            raw.append(values)
        else:
            described["data"] = values
        outputs.append(described)
    head["outputs"] = outputs
    return [encode(head)], raw


def _in_parts(
    head: dict[str, Any],
    wishes: list[Wish],
    predictor: Predictor,
    parts: list[tuple[Probabilities, Members | None]],
) -> tuple[list[bytes], list[bytes]]:
    """The same of a long answer, whose data is worded a few rows at a time: not all that it is made of takes memory at
    once.
    """
    texts, raw, before = [encode(head)[:-1]], [], b',"outputs":['
    for wish in wishes:
        described, values = output(wish, predictor, *parts[0])
        described["shape"][0] = sum(len(part) for part, _ in parts)
        others = (output(wish, predictor, *part)[1] for part in parts[1:])
        if wish.binary:
            data = [values, *others]
            described["parameters"] = {"binary_data_size": sum(map(len, data))}
            raw += data
            texts.append(before + encode(described)[:-1])
        else:
            texts += before, encode(described)[:-1], b',"data":[', encode(values)[1:-1]
            for values in others:
                texts += b",", encode(values)[1:-1]
            texts.append(b"]")
        before = b"},"
    return [*texts, b"}]}"], raw


class InferenceReader:
    """Reads inference requests."""

    def __init__(self) -> None:
        self._envelopes = EnvelopeReader()

    def __call__(self, predictor: Predictor, body: bytes, environ: Mapping[str, Any], allowance: Allowance) -> Question:
        """Read a request.

        :raises MalformedBody: what should be JSON is not.
        :raises InvalidTensor: it breaks the protocol or the model's signature.
        :raises TooManyRows: it has more rows, or its answer would have more bytes, than it may.
        :raises BodyTooLarge: a text in it is too long, or it takes more memory than a request may.
        """
        header = environ.get("HTTP_INFERENCE_HEADER_CONTENT_LENGTH")
        length = None if header is None else _length(header)
        if length == 0:
            envelope = Envelope(None, [raw_input(body, predictor.inputs)], [], binary=True)
        else:
            envelope = self._envelopes.read(body, length)
        wishes, wording = envelope.wishes, predictor.wording
        if wishes:
            _check(wishes, outputs_of(predictor))
        else:
            wishes = EVERYTHING[outputs_of(predictor), envelope.binary]
        longest = longest_row(wishes, wording.classes, wording.longest_label)
        capacity = Capacity(allowance, body, wording.classes, longest)
        tensors = read_inputs(envelope.tensors, predictor.inputs, capacity)
        return Inference(predictor, tensors, envelope.id, wishes)


def _length(header: str) -> int:
    if not (header.isascii() and header.isdigit() and len(header) < 20):
        raise InvalidTensor(f"the header {HEADER_LENGTH} must be a number of bytes")
    return int(header)


def _check(wishes: list[Wish], outputs: tuple[str, ...]) -> None:
    for wish in wishes:
        if wish.name not in outputs:
            raise InvalidTensor(f"there is no output '{wish.name[:64]}'; the outputs are {' and '.join(outputs)}")
        if wish.classes and wish.name != "probabilities":
            raise InvalidTensor("only the output 'probabilities' can be asked for as a classification")


INFERENCE = WireFormat(frozenset({JSON, OCTETS}), InferenceReader())
