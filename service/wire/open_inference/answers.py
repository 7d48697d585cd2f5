"""Inference as a wire format: a request's question, and its answer in JSON, in binary, or as the likeliest classes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from service.document import JSON, encode
from service.errors import InvalidTensor
from service.prediction.predictor import Predictor
from service.prediction.protocol import Allowance, Answer, Question, WireFormat
from service.rows.tensors import Probabilities, Tensors
from service.wire.open_inference.envelope import HEADER_LENGTH, Envelope, EnvelopeReader, Wish
from service.wire.open_inference.inputs import raw_input, read_inputs

OCTETS = "application/octet-stream"
OUTPUTS = ("label", "probabilities")
# The wishes of a request without any, by whether it asks for binary outputs.
EVERYTHING = {binary: [Wish(name, binary, 0) for name in OUTPUTS] for binary in (False, True)}


@dataclass(slots=True)
class Inference:
    """An inference request whose tensors were read."""

    predictor: Predictor
    tensors: Tensors
    id: str | None
    wishes: list[Wish]

    def answer(self, probabilities: Probabilities) -> Answer:
        outputs, raw = [], []
        for wish in self.wishes:
            output, data = _output(wish, self.predictor.card.classes, probabilities)
            outputs.append(output)
            raw.append(data)
        card = self.predictor.card
        head: dict[str, Any] = {"model_name": card.name, "model_version": str(self.predictor.version)}
        if self.id is not None:
            head["id"] = self.id
        head["outputs"] = outputs
        body = encode(head)
        if not any(raw):
            return Answer(body)
        return Answer(b"".join((body, *raw)), OCTETS, ((HEADER_LENGTH, str(len(body))),))


def _output(wish: Wish, classes: tuple[str, ...], probabilities: Probabilities) -> tuple[dict[str, Any], bytes]:
    """An output and its raw bytes; one of the two holds the data."""
    values: Any
    if wish.classes:
        datatype, values = "BYTES", _likeliest(probabilities, classes, wish.classes)
        shape = [len(probabilities), len(values) // len(probabilities)]
        if wish.binary:
            values = _lengths_and_texts(values)
    elif wish.name == "label":
        texts = _of_classes(classes) if wish.binary else classes
        datatype, values = "BYTES", list(map(texts.__getitem__, probabilities.argmax(axis=1).tolist()))
        shape = [len(probabilities)]
    else:
        datatype, values, shape = "FP32", probabilities.ravel(), list(probabilities.shape)
    if not wish.binary:
        return {"name": wish.name, "datatype": datatype, "shape": shape, "data": values}, b""
    raw = values.tobytes() if datatype == "FP32" else b"".join(values)
    size = {"binary_data_size": len(raw)}
    return {"name": wish.name, "datatype": datatype, "shape": shape, "parameters": size}, raw


def _likeliest(probabilities: Probabilities, classes: tuple[str, ...], most: int) -> list[str]:
    """The classification extension: for each row the likeliest classes as "value:index:label"."""
    # A stable sort of the negatives: of equal ones the first class comes first.
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :most]
    return [
        f"{row[index]:f}:{index}:{classes[index]}"
        for row, indices in zip(probabilities, order, strict=True)
        for index in indices
    ]


def _lengths_and_texts(texts: Iterable[str]) -> list[bytes]:
    return [len(data).to_bytes(4, "little") + data for data in map(str.encode, texts)]


# As every answer with labels needs them.
_of_classes = lru_cache(64)(_lengths_and_texts)


class InferenceReader:
    """Reads inference requests."""

    def __init__(self) -> None:
        self._envelopes = EnvelopeReader()

    def __call__(self, predictor: Predictor, body: bytes, environ: Mapping[str, Any], allowance: Allowance) -> Question:
        """Read a request.

        :raises MalformedBody: what should be JSON is not.
        :raises InvalidTensor: it breaks the protocol or the model's signature.
        """
        header = environ.get("HTTP_INFERENCE_HEADER_CONTENT_LENGTH")
        length = None if header is None else _length(header)
        if length == 0:
            envelope = Envelope(None, [raw_input(body, predictor.inputs)], [], binary=True)
        else:
            envelope = self._envelopes.read(body, length)
        _check(envelope.wishes)
        tensors = read_inputs(envelope.tensors, predictor.inputs)
        return Inference(predictor, tensors, envelope.id, envelope.wishes or EVERYTHING[envelope.binary])


def _length(header: str) -> int:
    if not (header.isascii() and header.isdigit() and len(header) < 20):
        raise InvalidTensor(f"the header {HEADER_LENGTH} must be a number of bytes")
    return int(header)


def _check(wishes: list[Wish]) -> None:
    for wish in wishes:
        if wish.name not in OUTPUTS:
            raise InvalidTensor(f"there is no output '{wish.name[:64]}'; the outputs are {' and '.join(OUTPUTS)}")
        if wish.classes and wish.name != "probabilities":
            raise InvalidTensor("only the output 'probabilities' can be asked for as a classification")


INFERENCE = WireFormat(frozenset({JSON, OCTETS}), InferenceReader())
