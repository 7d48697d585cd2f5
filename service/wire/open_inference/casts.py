"""Tensors of every datatype, cast to what a model takes: without loss, or refused with input, row and column.

A 64-bit float is rounded to the nearest 32-bit one, as numbers in JSON are; an integer must be one that a 32-bit float
holds exactly. `null` is NaN is a missing number; `null` and the empty text are a missing text.
"""

import struct
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, islice
from math import prod
from sys import getsizeof
from typing import Any

import numpy as np
import numpy.typing as npt

from models.features import FLOAT32_MAX, Feature
from service.document import LongArray, LongObject
from service.errors import InvalidTensor
from service.rows.tensors import drop, join
from service.wire.capacity import Capacity
from service.wire.open_inference.envelope import Tensor

DType = np.dtype[Any]
FLOAT32 = np.dtype("<f4")
FLOATS: dict[str, DType] = {"FP16": np.dtype("<f2"), "FP32": FLOAT32, "FP64": np.dtype("<f8")}
INTEGERS: dict[str, DType] = {
    **{f"INT{8 * size}": np.dtype(f"<i{size}") for size in (1, 2, 4, 8)},
    **{f"UINT{8 * size}": np.dtype(f"<u{size}") for size in (1, 2, 4, 8)},
}
NUMBERS: dict[str, DType] = FLOATS | INTEGERS | {"BOOL": np.dtype("?")}
TEXT = "BYTES"
FIT = "must fit in a 32-bit float"
# So many elements are cast at once.
MOST_ELEMENTS = 1 << 17


class _BadElement(Exception):
    """The element at a position breaks a rule."""

    def __init__(self, position: int, rule: str) -> None:
        super().__init__(rule)
        self.position = position
        self.rule = rule


def numeric(tensor: Tensor, features: Sequence[Feature], capacity: Capacity) -> npt.NDArray[np.float32]:
    """The float32 (n, features) of a tensor with a column for each feature.

    :raises InvalidTensor: its datatype, shape, length or an element is not what the features may have.
    """
    if tensor.datatype not in NUMBERS:
        raise InvalidTensor(f"input '{tensor.name}' must have one of the datatypes {', '.join(NUMBERS)}")
    width, data = len(features), tensor.data
    rows = _rows(tensor, width, capacity)
    try:
        if isinstance(data, list):
            values = _flat(tensor, data)
            _check_length(tensor, len(values), rows * width)
            numbers = _from_json(values, tensor.datatype, tensor.may_hold_booleans)
        elif isinstance(data, LongArray):
            numbers = _joined(tensor, rows * width, capacity)
        else:
            numbers = _from_bytes(tensor, data, rows * width, capacity)
        array = numbers.reshape(rows, width)
        # In bytes this takes a quarter of the time of `.all()`, which for a row alone counts.
        if 0 in np.isfinite(array).tobytes():
            _check_gaps(array, features)
    except _BadElement as bad:
        raise _refusal(tensor, features, bad) from None
    return array


def texts(tensor: Tensor, features: Sequence[Feature], capacity: Capacity) -> npt.NDArray[np.object_]:
    """The texts (n, features) of a tensor with a column for each feature.

    :raises InvalidTensor: its datatype, shape, length or an element is not what the features may have.
    """
    if tensor.datatype != TEXT:
        raise InvalidTensor(f"input '{tensor.name}' must have datatype {TEXT}")
    width = len(features)
    rows = _rows(tensor, width, capacity)
    try:
        if capacity.long:
            array = _shared(tensor, features, capacity)
        else:
            values = [value for some in _elements(tensor) for value in some]
            _check_texts(values, features, 0)
            array = np.array([value or "" for value in values], object)
    except _BadElement as bad:
        raise _refusal(tensor, features, bad) from None
    _check_length(tensor, len(array), rows * width)
    return array.reshape(rows, width)


def _rows(tensor: Tensor, width: int, capacity: Capacity) -> int:
    shape, data = tensor.shape, tensor.data
    if width == 1 and len(shape) == 1:
        shape = [*shape, 1]
    if len(shape) != 2 or shape[0] < 1 or shape[1] != width:
        raise InvalidTensor(f"input '{tensor.name}' must have shape [N, {width}] with N at least 1")
    rows = shape[0]
    if isinstance(data, list) and rows > len(data):
        # There are not so many, which is worth more words than that there may not be.
        _check_length(tensor, len(_flat(tensor, data)), rows * width)
    capacity.grow(rows)
    return rows


def _flat(tensor: Tensor, values: list[Any]) -> list[Any]:
    """Elements in row-major order, from a flat or a nested list."""
    return _flattened(tensor, values)[0] if values and isinstance(values[0], list) else values


def _flattened(tensor: Tensor, values: list[Any]) -> tuple[list[Any], list[int]]:
    """The same, and how long the lists are at each level below the first."""
    inner: list[int] = []
    while values and isinstance(values[0], list):
        lengths = {len(part) if isinstance(part, list) else -1 for part in values}
        if len(lengths) > 1:
            raise InvalidTensor(f"input '{tensor.name}' is ragged: its lists differ in length")
        inner += lengths
        values = list(chain.from_iterable(values))
    return values, inner


def _pieces(tensor: Tensor, data: LongArray) -> Iterator[list[Any]]:
    """The elements of a long array, some at a time."""
    count, before = 0, None
    for piece in data:
        values, inner = _flattened(tensor, piece.elements())
        if any(isinstance(value, (LongArray, LongObject)) for value in values[:1]):
            raise InvalidTensor(f"input '{tensor.name}' holds a list that is too long for a row")
        if inner != (inner if before is None else before):
            raise InvalidTensor(f"input '{tensor.name}' is ragged: its lists differ in length")
        count, before = count + len(values), inner
        if 0 in inner:
            _check_length(tensor, count, prod(tensor.shape))
        if count > prod(tensor.shape):
            raise InvalidTensor(f"input '{tensor.name}' has more elements than its shape says: {prod(tensor.shape)}")
        yield values


def _joined(tensor: Tensor, size: int, capacity: Capacity) -> npt.NDArray[np.float32]:
    """The numbers of a long array, `size` of them."""
    assert isinstance(tensor.data, LongArray)
    parts: list[npt.NDArray[np.float32]] = []
    count = 0
    for values in _pieces(tensor, tensor.data):
        try:
            parts.append(_from_json(values, tensor.datatype))
        except _BadElement as bad:
            raise _BadElement(count + bad.position, bad.rule) from None
        count += len(values)
        # Once more for the whole that they are joined to.
        capacity.grow(1, 2 * parts[-1].nbytes)
    _check_length(tensor, count, size)
    return join(parts)


def _shared(tensor: Tensor, features: Sequence[Feature], capacity: Capacity) -> npt.NDArray[np.object_]:
    """The texts of a long request; those that training knows take no memory for each element."""
    known: dict[Any, str] = {None: ""}
    for feature in features:
        if feature.kind == "categorical":
            known |= {text: text for text in feature.categories}
    parts: list[npt.NDArray[np.object_]] = []
    count = 0
    try:
        for values in _elements(tensor):
            _check_texts(values, features, count)
            parts.append(np.array(list(map(known.get, values, values)), object))
            count += len(values)
            unshared = sum(getsizeof(value) for value in values if value not in known)
            # Once more for the whole that they are joined to.
            capacity.grow(1, 2 * parts[-1].nbytes + unshared)
        return join(parts) if parts else np.empty(0, object)
    finally:
        drop(parts)


def _check_texts(values: Sequence[Any], features: Sequence[Feature], start: int) -> None:
    width = len(features)
    for position, value in enumerate(values, start):
        if value is None and not features[position % width].nullable:
            raise _BadElement(position, "must not be null")
        if value is not None and not isinstance(value, str):
            raise _BadElement(position, "must be a text")


def _check_length(tensor: Tensor, count: int, size: int) -> None:
    if count != size:
        raise InvalidTensor(f"input '{tensor.name}' has {count} elements; its shape says {size}")


def _from_json(values: list[Any], datatype: str, may_hold_booleans: bool = True) -> npt.NDArray[np.float32]:
    if datatype not in FLOATS:
        return _as_float32(_integers(values, datatype))
    if not may_hold_booleans or bool not in map(type, values):
        try:
            return _halves(np.frombuffer(_packing(len(values))(*values), np.float32), datatype)
        except (struct.error, OverflowError):
            pass  # A null, or something that must be named.
    for position, value in enumerate(values):
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _BadElement(position, "must be a number")
        if not -FLOAT32_MAX <= value <= FLOAT32_MAX:
            raise _BadElement(position, FIT)
    return _halves(np.array([np.nan if value is None else value for value in values], np.float32), datatype)


def _halves(numbers: npt.NDArray[np.float32], datatype: str) -> npt.NDArray[np.float32]:
    """Numbers as they are, where their datatype holds them: JSON can say more than a 16-bit float."""
    if datatype == "FP16":
        with np.errstate(over="ignore"):
            beyond = np.isinf(numbers.astype(np.float16))
        if beyond.any():
            raise _BadElement(int(beyond.argmax()), "must fit in a 16-bit float")
    return numbers


@lru_cache(64)
def _packing(count: int) -> Callable[..., bytes]:
    """What makes so many numbers 32-bit floats."""
    return struct.Struct(f"={count}f").pack


def _integers(values: list[Any], datatype: str) -> npt.NDArray[Any]:
    dtype = NUMBERS[datatype]
    kind, word = (bool, "true or false") if datatype == "BOOL" else (int, f"an integer that {datatype} holds")
    low, high = (0, 1) if datatype == "BOOL" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    for position, value in enumerate(values):
        if type(value) is not kind or not low <= value <= high:
            raise _BadElement(position, f"must be {word}")
    return np.array(values, dtype)


def _from_bytes(tensor: Tensor, data: bytes | memoryview, size: int, capacity: Capacity) -> npt.NDArray[np.float32]:
    """The numbers of raw data, `size` of them."""
    dtype = NUMBERS[tensor.datatype]
    if len(data) != (expected := size * dtype.itemsize):
        raise InvalidTensor(f"input '{tensor.name}' has {len(data)} bytes; its shape and datatype say {expected}")
    numbers = np.frombuffer(data, dtype)
    if dtype is FLOAT32:
        return numbers
    if len(numbers) <= MOST_ELEMENTS:
        return _as_float32(numbers)
    capacity.grow(1, 4 * len(numbers))
    cast = np.empty(len(numbers), np.float32)
    for start in range(0, len(numbers), MOST_ELEMENTS):
        some = slice(start, start + MOST_ELEMENTS)
        try:
            cast[some] = _as_float32(numbers[some])
        except _BadElement as bad:
            raise _BadElement(start + bad.position, bad.rule) from None
    return cast


def _as_float32(array: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore"):
        cast = array.astype(np.float32)
    if array.dtype.kind in "iu" and array.itemsize > 2:
        # The first float beyond the integers of this type is a power of two, so it is exact.
        beyond = cast >= np.float32(2.0) ** (8 * array.itemsize - (array.dtype.kind == "i"))
        lossy = beyond | (np.where(beyond, np.float32(0), cast).astype(array.dtype) != array)
        if lossy.any():
            raise _BadElement(int(lossy.argmax()), "must be an integer that a 32-bit float holds exactly")
    return cast


def _check_gaps(array: npt.NDArray[np.float32], features: Sequence[Feature]) -> None:
    never_missing = np.array([not feature.nullable for feature in features])
    bad = np.isinf(array) | (np.isnan(array) & never_missing)
    if bad.any():
        position = int(bad.argmax())
        raise _BadElement(position, FIT if np.isinf(array.flat[position]) else "must not be null")


def _elements(tensor: Tensor) -> Iterator[Sequence[Any]]:
    """The elements of a tensor of texts, some at a time."""
    return _from_base64(_sent(tensor)) if tensor.base64 else _sent(tensor)


def _from_base64(parts: Iterator[Sequence[Any]]) -> Iterator[Sequence[Any]]:
    """The texts whose UTF-8 was sent in base64; what is no text is left to be refused as that."""
    start = 0
    for some in parts:
        texts = list(some)
        for place, text in enumerate(texts):
            try:
                texts[place] = str(b64decode(text, validate=True), "utf-8") if isinstance(text, str) else text
            except ValueError:
                raise _BadElement(start + place, "must be UTF-8 in base64, as its content_type says") from None
        yield texts
        start += len(texts)


def _sent(tensor: Tensor) -> Iterator[Sequence[Any]]:
    """The elements as they were sent, some at a time."""
    data = tensor.data
    if isinstance(data, LongArray):
        yield from _pieces(tensor, data)
    elif isinstance(data, list):
        yield _flat(tensor, data)
    else:
        values = _decoded(data)
        while some := list(islice(values, MOST_ELEMENTS)):
            yield some


def _decoded(data: bytes | memoryview) -> Iterator[str]:
    """BYTES: each element is its length in four bytes and then itself, in UTF-8."""
    at = count = 0
    while at < len(data):
        start = at + 4
        at = start + int.from_bytes(data[at:start], "little")
        if at > len(data):
            raise _BadElement(count, "ends after its tensor")
        try:
            yield str(data[start:at], "utf-8")
        except UnicodeDecodeError:
            raise _BadElement(count, "must be UTF-8") from None
        count += 1


def _refusal(tensor: Tensor, features: Sequence[Feature], bad: _BadElement) -> InvalidTensor:
    row, column = divmod(bad.position, len(features))
    feature = features[column].name
    detail: dict[str, str | int] = {
        "input": tensor.name,
        "row": row,
        "column": column,
        "feature": feature,
        "message": bad.rule,
    }
    return InvalidTensor(f"input '{tensor.name}', row {row}, column {column} ({feature}) {bad.rule}", [detail])
