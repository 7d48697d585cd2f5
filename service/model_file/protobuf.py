"""The wire format of Protocol Buffers, and the part of ONNX's messages that a model may be made of.

Field numbers are those of onnx.proto3 (github.com/onnx/onnx), the format is that of
protobuf.dev/programming-guides/encoding. What is not listed here is not read but refused: functions, subgraphs,
training, external data, sparse tensors, types other than tensors. No message contains itself, so nothing nests deeper
than the table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from service.errors import RefusedModel

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED = {FIXED64: 8, FIXED32: 4}
_LONGEST_VARINT = 10


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a message: its wire type or the message that it holds, and whether it may stand there repeatedly."""

    name: str
    kind: int | Message = BYTES
    many: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """A message: its name in onnx.proto3, and its fields by number."""

    name: str
    fields: dict[int, Field]


def parse(message: Message, data: memoryview) -> dict[str, list[Any]]:
    """What a message holds, by the names of its fields; texts and numbers in bulk stay views of `data`.

    :raises RefusedModel: it is not well-formed, or holds what is not listed.
    """
    found: dict[str, list[Any]] = {field.name: [] for field in message.fields.values()}
    for number, wire_type, value in _fields(message, data):
        field = message.fields.get(number)
        if field is None:
            raise RefusedModel(f"model.onnx holds field {number} of {message.name}, which no model here may have")
        if isinstance(field.kind, Message):
            wanted, value = BYTES, parse(field.kind, value) if wire_type == BYTES else value
        else:
            # Numbers in bulk may be packed into one run of bytes.
            wanted = BYTES if field.many and wire_type == BYTES else field.kind
        if wire_type != wanted:
            raise RefusedModel(f"model.onnx has {field.name} of {message.name} in a wrong format")
        found[field.name].append(value)
        if not field.many and len(found[field.name]) > 1:
            raise RefusedModel(f"model.onnx has {field.name} of {message.name} twice")
    return found


def varints(values: list[Any]) -> list[int]:
    """A repeated number, whether it was packed or not."""
    numbers: list[int] = []
    for value in values:
        if isinstance(value, int):
            numbers.append(value)
            continue
        start = 0
        while start < len(value):
            number, start = _varint(value, start)
            numbers.append(number)
    return numbers


def _fields(message: Message, data: memoryview) -> Iterator[tuple[int, int, Any]]:
    start, end = 0, len(data)
    value: int | memoryview
    while start < end:
        tag, start = _varint(data, start)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == VARINT:
            value, start = _varint(data, start)
        elif wire_type in (BYTES, *_FIXED):
            length, start = _varint(data, start) if wire_type == BYTES else (_FIXED[wire_type], start)
            if length > end - start:
                raise RefusedModel(f"model.onnx is no ONNX model: a {message.name} ends too early")
            value = data[start : start + length]
            start += length
        else:
            raise RefusedModel(f"model.onnx is no ONNX model: a {message.name} has wire type {wire_type}")
        yield number, wire_type, value


def _varint(data: memoryview, start: int) -> tuple[int, int]:
    """An integer of up to 64 bits, seven of them a byte, and where it ends."""
    value = 0
    for index, byte in enumerate(data[start : start + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, start + index + 1
    raise RefusedModel("model.onnx is no ONNX model: a number in it does not end")


_ENTRY = Message("StringStringEntryProto", {1: Field("key"), 2: Field("value")})
_OPSET = Message("OperatorSetIdProto", {1: Field("domain"), 2: Field("version", VARINT)})
_DIMENSION = Message("Dimension", {1: Field("dim_value", VARINT), 2: Field("dim_param"), 3: Field("denotation")})
_SHAPE = Message("TensorShapeProto", {1: Field("dim", _DIMENSION, many=True)})
_TENSOR_TYPE = Message("Tensor", {1: Field("elem_type", VARINT), 2: Field("shape", _SHAPE)})
_TYPE = Message("TypeProto", {1: Field("tensor_type", _TENSOR_TYPE), 6: Field("denotation")})
_VALUE = Message("ValueInfoProto", {1: Field("name"), 2: Field("type", _TYPE), 3: Field("doc_string")})
_TENSOR = Message(
    "TensorProto",
    {
        1: Field("dims", VARINT, many=True),
        2: Field("data_type", VARINT),
        4: Field("float_data", FIXED32, many=True),
        5: Field("int32_data", VARINT, many=True),
        6: Field("string_data", many=True),
        7: Field("int64_data", VARINT, many=True),
        8: Field("name"),
        9: Field("raw_data"),
        10: Field("double_data", FIXED64, many=True),
        11: Field("uint64_data", VARINT, many=True),
        12: Field("doc_string"),
    },
)
_ATTRIBUTE = Message(
    "AttributeProto",
    {
        1: Field("name"),
        2: Field("f", FIXED32),
        3: Field("i", VARINT),
        4: Field("s"),
        7: Field("floats", FIXED32, many=True),
        8: Field("ints", VARINT, many=True),
        9: Field("strings", many=True),
        13: Field("doc_string"),
        20: Field("type", VARINT),
    },
)
_NODE = Message(
    "NodeProto",
    {
        1: Field("input", many=True),
        2: Field("output", many=True),
        3: Field("name"),
        4: Field("op_type"),
        5: Field("attribute", _ATTRIBUTE, many=True),
        6: Field("doc_string"),
        7: Field("domain"),
    },
)
_GRAPH = Message(
    "GraphProto",
    {
        1: Field("node", _NODE, many=True),
        2: Field("name"),
        5: Field("initializer", _TENSOR, many=True),
        10: Field("doc_string"),
        11: Field("input", _VALUE, many=True),
        12: Field("output", _VALUE, many=True),
        13: Field("value_info", _VALUE, many=True),
    },
)
MODEL = Message(
    "ModelProto",
    {
        1: Field("ir_version", VARINT),
        2: Field("producer_name"),
        3: Field("producer_version"),
        4: Field("domain"),
        5: Field("model_version", VARINT),
        6: Field("doc_string"),
        7: Field("graph", _GRAPH),
        8: Field("opset_import", _OPSET, many=True),
        14: Field("metadata_props", _ENTRY, many=True),
    },
)
