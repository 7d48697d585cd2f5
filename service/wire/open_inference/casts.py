"""Tensors of every datatype, cast to what a model takes: without loss, or refused with input, row and column.

A 64-bit float is rounded to the nearest 32-bit one, as numbers in JSON are; an integer must be one that a 32-bit float
holds exactly. `null` is NaN is a missing number; `null` and the empty text are a missing text.
"""

import struct
from collections.abc import Sequence
from itertools import chain
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from models.features import FLOAT32_MAX, Feature
from service.errors import InvalidTensor
from service.wire.open_inference.envelope import Tensor

DType = np.dtype[Any]
FLOATS: dict[str, DType] = {"FP16": np.dtype("<f2"), "FP32": np.dtype("<f4"), "FP64": np.dtype("<f8")}
INTEGERS: dict[str, DType] = {
    **{f"INT{8 * size}": np.dtype(f"<i{size}") for size in (1, 2, 4, 8)},
    **{f"UINT{8 * size}": np.dtype(f"<u{size}") for size in (1, 2, 4, 8)},
}
NUMBERS: dict[str, DType] = FLOATS | INTEGERS | {"BOOL": np.dtype("?")}
TEXT = "BYTES"
FIT = "must fit in a 32-bit float"


class _BadElement(Exception):
    """The element at a position breaks a rule."""

    def __init__(self, position: int, rule: str) -> None:
        super().__init__(rule)
        self.position = position
        self.rule = rule


def numeric(tensor: Tensor, features: Sequence[Feature]) -> npt.NDArray[np.float32]:
    """The float32 (n, features) of a tensor with a column for each feature.

    :raises InvalidTensor: its datatype, shape, length or an element is not what the features may have.
    """
    if tensor.datatype not in NUMBERS:
        raise InvalidTensor(f"input '{tensor.name}' must have one of the datatypes {', '.join(NUMBERS)}")
    rows = _rows(tensor, len(features))
    try:
        if isinstance(tensor.data, bytes):
            numbers = _as_float32(_from_bytes(tensor, NUMBERS[tensor.datatype]))
        else:
            numbers = _from_json(_flat(tensor), tensor.datatype)
        array = numbers.reshape(rows, len(features))
        # In bytes this takes a third of the time of `.all()`, which for a row alone counts.
        if b"\0" in np.isfinite(array).tobytes():
            _check_gaps(array, features)
    except _BadElement as bad:
        raise _refusal(tensor, features, bad) from None
    return array


def texts(tensor: Tensor, features: Sequence[Feature]) -> npt.NDArray[np.object_]:
    """The texts (n, features) of a tensor with a column for each feature.

    :raises InvalidTensor: its datatype, shape, length or an element is not what the features may have.
    """
    if tensor.datatype != TEXT:
        raise InvalidTensor(f"input '{tensor.name}' must have datatype {TEXT}")
    rows = _rows(tensor, len(features))
    try:
        values = _split_texts(tensor) if isinstance(tensor.data, bytes) else _flat(tensor)
        for position, value in enumerate(values):
            if value is None and not features[position % len(features)].nullable:
                raise _BadElement(position, "must not be null")
            if not isinstance(value, str | None):
                raise _BadElement(position, "must be a text")
    except _BadElement as bad:
        raise _refusal(tensor, features, bad) from None
    return np.array([value or "" for value in values], object).reshape(rows, len(features))


def _rows(tensor: Tensor, width: int) -> int:
    shape = list(tensor.shape)
    if width == 1 and len(shape) == 1:
        shape.append(1)
    if len(shape) != 2 or shape[0] < 1 or shape[1] != width:
        raise InvalidTensor(f"input '{tensor.name}' must have shape [N, {width}] with N at least 1")
    return shape[0]


def _flat(tensor: Tensor) -> list[Any]:
    """Elements in row-major order, from a flat or a nested list."""
    values = tensor.data
    assert isinstance(values, list)
    while values and isinstance(values[0], list):
        lengths = {len(part) if isinstance(part, list) else -1 for part in values}
        if len(lengths) > 1:
            raise InvalidTensor(f"input '{tensor.name}' is ragged: its lists differ in length")
        values = list(chain.from_iterable(values))
    if len(values) != prod(tensor.shape):
        raise InvalidTensor(f"input '{tensor.name}' has {len(values)} elements; its shape says {prod(tensor.shape)}")
    return values


def _from_json(values: list[Any], datatype: str) -> npt.NDArray[np.float32]:
    if datatype not in FLOATS:
        return _as_float32(_integers(values, datatype))
    if bool not in map(type, values):
        try:
            return np.ndarray(len(values), np.float32, struct.pack(f"={len(values)}f", *values))
        except (struct.error, OverflowError):
            pass  # A null, or something that must be named.
    for position, value in enumerate(values):
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _BadElement(position, "must be a number")
        if not -FLOAT32_MAX <= value <= FLOAT32_MAX:
            raise _BadElement(position, FIT)
    return np.array([np.nan if value is None else value for value in values], np.float32)


def _integers(values: list[Any], datatype: str) -> npt.NDArray[Any]:
    dtype = NUMBERS[datatype]
    kind, word = (bool, "true or false") if datatype == "BOOL" else (int, f"an integer that {datatype} holds")
    low, high = (0, 1) if datatype == "BOOL" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    for position, value in enumerate(values):
        if type(value) is not kind or not low <= value <= high:
            raise _BadElement(position, f"must be {word}")
    return np.array(values, dtype)


def _from_bytes(tensor: Tensor, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    size = prod(tensor.shape) * dtype.itemsize
    if len(tensor.data) != size:
        raise InvalidTensor(f"input '{tensor.name}' has {len(tensor.data)} bytes; its shape and datatype say {size}")
    assert isinstance(tensor.data, bytes)
    return np.frombuffer(tensor.data, dtype)


def _as_float32(array: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    if array.dtype == np.float32:
        return array
    with np.errstate(over="ignore"):
        cast = array.astype(np.float32)
    if array.dtype.kind in "iu":
        for position in np.flatnonzero(np.abs(cast) >= 1 << 24).tolist():
            if int(cast[position]) != int(array[position]):
                raise _BadElement(position, "must be an integer that a 32-bit float holds exactly")
    return cast


def _check_gaps(array: npt.NDArray[np.float32], features: Sequence[Feature]) -> None:
    never_missing = np.array([not feature.nullable for feature in features])
    for position in np.flatnonzero(np.isinf(array) | (np.isnan(array) & never_missing)).tolist()[:1]:
        raise _BadElement(position, FIT if np.isinf(array.flat[position]) else "must not be null")


def _split_texts(tensor: Tensor) -> list[str]:
    """BYTES: each element is its length in four bytes and then itself, in UTF-8."""
    data = tensor.data
    assert isinstance(data, bytes)
    values: list[str] = []
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "little")
        text = data[at + 4 : at + 4 + length]
        at += 4 + length
        if at > len(data):
            raise _BadElement(len(values), "ends after its tensor")
        try:
            values.append(text.decode())
        except UnicodeDecodeError:
            raise _BadElement(len(values), "must be UTF-8") from None
    if len(values) != prod(tensor.shape):
        raise InvalidTensor(f"input '{tensor.name}' has {len(values)} elements; its shape says {prod(tensor.shape)}")
    return values


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
