"""The envelope of an inference request: names, shapes, datatypes and wishes, and where the data lies."""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Annotated, Any, NamedTuple

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from service.document import PIECE, LongArray, LongObject, decode, drain
from service.errors import InvalidTensor
from service.wire.instances import may_hold_booleans

HEADER_LENGTH = "Inference-Header-Content-Length"
LONGEST_KEPT = 4096
# How MLServer says that elements are to be read: those that change nothing, and the one that is decoded.
PLAIN, BASE64 = frozenset({None, "", "np", "pd", "str"}), "base64"


class Tensor(NamedTuple):
    """An input as it was sent: elements from JSON, nested or flat, or raw bytes."""

    name: str
    datatype: str
    shape: Sequence[int]
    data: list[Any] | LongArray | bytes | memoryview
    may_hold_booleans: bool = True
    base64: bool = False


class Wish(NamedTuple):
    """An output that is asked for. `classes` above 0 asks for that many of the likeliest classes, as texts."""

    name: str
    binary: bool
    classes: int


class Envelope(NamedTuple):
    """A whole request; without wishes every output is sent, in binary where `binary` is true.

    `tensors` are read one after the other, once: the request is well-formed where they came to their end.
    """

    id: str | None
    tensors: Iterable[Tensor]
    wishes: list[Wish]
    binary: bool


# An input as the JSON has it; and, where it has no data, the size of what follows the JSON.
_Announced = tuple[Tensor, int | None]


class _Header(NamedTuple):
    """The JSON of a request."""

    id: str | None
    inputs: Iterable[_Announced]
    wishes: list[Wish]
    binary: bool


# An input as any, where the inputs of a request are read by themselves.
_ANY = {"name": "", "datatype": "", "shape": []}

# Unknown keys are let through everywhere: clients send some of their own.
_config = with_config(ConfigDict(strict=True))


@_config
class _InputParameters(TypedDict, total=False):
    binary_data_size: Annotated[int, Field(ge=0)]
    content_type: str | None


@_config
class _OutputParameters(TypedDict, total=False):
    binary_data: bool
    classification: Annotated[int, Field(ge=1)]


@_config
class _RequestParameters(TypedDict, total=False):
    binary_data_output: bool
    content_type: str | None


class _InputRequired(TypedDict):
    name: str
    datatype: str
    shape: list[Annotated[int, Field(ge=0)]]


@_config
class _Input(_InputRequired, total=False):
    parameters: _InputParameters | None
    data: Any


class _OutputRequired(TypedDict):
    name: str


@_config
class _Output(_OutputRequired, total=False):
    parameters: _OutputParameters | None


class _RequestRequired(TypedDict):
    inputs: Annotated[list[_Input], Field(min_length=1)]


@_config
class _Request(_RequestRequired, total=False):
    id: str | None
    parameters: _RequestParameters | None
    outputs: list[_Output] | None


class EnvelopeReader:
    """Reads envelopes."""

    def __init__(self) -> None:
        self._request, self._inputs = TypeAdapter(_Request), TypeAdapter(list[_Input])
        # A client sends the same few bytes of JSON before the raw tensors of every row.
        self._known_header = lru_cache(128)(self._header)

    def read(self, body: bytes, header_length: int | None) -> Envelope:
        """Read a request whose first `header_length` bytes are JSON and the rest raw tensors; all of it JSON if None.

        :raises MalformedBody: what should be JSON is not.
        :raises InvalidTensor: it is JSON, but no inference request; the sentence names the place.
        """
        if header_length is not None and header_length > len(body):
            raise InvalidTensor(f"the header {HEADER_LENGTH} says {header_length} bytes; the body has {len(body)}")
        split = len(body) if header_length is None else header_length
        read = self._header if header_length is None or split > LONGEST_KEPT else self._known_header
        header = read(body[:split])
        return Envelope(header.id, _tensors(header.inputs, body, split), header.wishes, header.binary)

    def _header(self, text: bytes) -> _Header:
        document = decode(text)
        inputs: Iterable[_Announced] | None = None
        if len(text) > PIECE:
            if isinstance(document, dict) and isinstance(document.get("inputs"), LongArray):
                inputs = self._long(document["inputs"])
                document["inputs"] = [_ANY]
            _drain_others(document, "inputs")
        request = _validated(self._request, document)
        if inputs is None:
            booleans = may_hold_booleans(text)
            inputs = [_announced(given, number, booleans) for number, given in enumerate(request["inputs"])]
        parameters = request.get("parameters") or {}
        if (content_type := parameters.get("content_type")) not in PLAIN:
            raise _unread(content_type, "the request")
        binary = parameters.get("binary_data_output", False)
        wishes = [_wish(asked, binary) for asked in request.get("outputs") or ()]
        return _Header(request.get("id"), inputs, wishes, binary)

    def _long(self, inputs: LongArray) -> Iterator[_Announced]:
        """The inputs of a long request, each read only when the one before it was."""
        number = 0
        for piece in inputs:
            elements = [each.whole() if isinstance(each, LongObject) else each for each in piece.elements()]
            for given in _validated(self._inputs, elements, number):
                _drain_others(given, "data")
                yield _announced(given, number)
                number += 1


def _validated(kind: TypeAdapter[Any], document: Any, start: int | None = None) -> Any:
    """What a document says. Of inputs that are read some at a time, `start` is the number of the first."""
    try:
        return kind.validate_python(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = list(first["loc"])
        if start is not None:
            place = ["inputs", start + int(place[0]), *place[1:]] if place else ["inputs"]
        rule = first["msg"].removeprefix("Input ").removeprefix("Field ")
        raise InvalidTensor(f"{'.'.join(str(part)[:64] for part in place) or 'the request'}: {rule}") from None


def _drain_others(document: Any, key: str) -> None:
    """Read to its end what is let through and never looked at."""
    if isinstance(document, dict):
        for other, value in document.items():
            if other != key:
                drain(value)


def _tensors(inputs: Iterable[_Announced], body: bytes, at: int) -> Iterator[Tensor]:
    for tensor, size in inputs:
        if size is None:
            yield tensor
        else:
            yield Tensor(
                tensor.name, tensor.datatype, tensor.shape, _raw(body, at, size, tensor.name), True, tensor.base64
            )
            at += size
    if left := len(body) - at:
        raise InvalidTensor(f"the body has {left} bytes more than its inputs")


def _raw(body: bytes, at: int, size: int, name: str) -> bytes | memoryview:
    # To copy few bytes is quicker than to point at them.
    data = body[at : at + size] if size <= LONGEST_KEPT else memoryview(body)[at : at + size]
    if len(data) < size:
        raise InvalidTensor(f"input '{name[:64]}' should have {size} bytes; the body ends after {len(data)} of them")
    return data


def _announced(given: _Input, number: int, booleans: bool = True) -> _Announced:
    name = given["name"]
    parameters = given.get("parameters")
    size, content_type = None, None
    if parameters:
        size, content_type = parameters.get("binary_data_size"), parameters.get("content_type")
    base64 = content_type == BASE64 and given["datatype"] == "BYTES"
    if not (base64 or content_type in PLAIN):
        raise _unread(content_type, f"input '{name[:64]}'")
    if (size is None) == ("data" not in given):
        raise InvalidTensor(f"input '{name[:64]}' must have either data or the parameter binary_data_size")
    data = b"" if size is not None else given["data"]
    if size is None and not isinstance(data, (list, LongArray)):
        raise InvalidTensor(f"inputs.{number}.data: should be a valid list")
    return Tensor(name, given["datatype"], given["shape"], data, booleans, base64), size


def _unread(content_type: str | None, place: str) -> InvalidTensor:
    """The refusal of elements that mean something else than they say."""
    return InvalidTensor(
        f"{place} has the content_type '{(content_type or '')[:64]}', which is not read: send numbers and texts as "
        "they are (texts also as base64), and a frame as an input for each of its columns, or to /invocations"
    )


def _wish(asked: _Output, binary: bool) -> Wish:
    parameters = asked.get("parameters") or {}
    return Wish(asked["name"], parameters.get("binary_data", binary), parameters.get("classification", 0))
