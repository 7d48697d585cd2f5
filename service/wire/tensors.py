"""Open Inference Protocol V2 in JSON: requests to tensors, probabilities to responses.

Specification: open-inference-protocol, inference_rest.md.
"""

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.card import ModelCard
from models.features import FLOAT32_MAX, Feature
from service.errors import InvalidTensor, MalformedBody
from service.predictor import Predictor, Probabilities
from service.wire.records import Tensors

Element = float | str | None


class _Input(BaseModel):
    model_config = ConfigDict(strict=True)

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]


class _Output(BaseModel):
    model_config = ConfigDict(strict=True)

    name: str


class InferenceRequest(BaseModel):
    """The parts of a V2 request that decide the answer; unknown keys are let through, as clients send some."""

    model_config = ConfigDict(strict=True)

    id: str | None = None
    inputs: list[_Input] = Field(min_length=1)
    outputs: list[_Output] | None = None


def read_request(body: bytes) -> InferenceRequest:
    """Read a V2 request.

    :raises MalformedBody: the body is not JSON.
    :raises InvalidTensor: it is JSON, but no V2 request; the sentence names the place.
    """
    try:
        return InferenceRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise MalformedBody(f"the body is not JSON: {first['msg'].removeprefix('Invalid JSON: ')[:200]}") from None
        place = ".".join(str(part) for part in first["loc"]) or "the request"
        rule = first["msg"].removeprefix("Input ").removeprefix("Field ")
        raise InvalidTensor(f"{place}: {rule}") from None


def tensors(request: InferenceRequest, card: ModelCard) -> Tensors:
    """The tensors of a request, held against the card.

    :raises InvalidTensor: an input is missing, unknown or ill-shaped, or a value is not one its column may have.
    """
    expected: dict[str, tuple[str, Sequence[Feature]]] = {
        "numeric": ("FP32", card.numeric),
        "categorical": ("BYTES", card.categorical),
    }
    expected = {name: columns for name, columns in expected.items() if columns[1]}
    given = {tensor.name: tensor for tensor in request.inputs}
    if given.keys() != expected.keys() or len(given) != len(request.inputs):
        raise InvalidTensor(f"the inputs must be {' and '.join(expected)}, each once")
    rows = {tensor.shape[0] if tensor.shape else 0 for tensor in request.inputs}
    if len(rows) > 1:
        raise InvalidTensor("the inputs must have the same number of rows")
    values = {name: _values(given[name], *expected[name]) for name in expected}
    count = rows.pop()
    return Tensors(
        np.array(values.get("numeric", []), np.float32).reshape(count, len(card.numeric)),
        np.array([value or "" for value in values.get("categorical", [])], object).reshape(
            count, len(card.categorical)
        ),
    )


def _values(tensor: _Input, datatype: str, columns: Sequence[Feature]) -> list[Element]:
    if tensor.datatype != datatype:
        raise InvalidTensor(f"input '{tensor.name}' must have datatype {datatype}")
    if len(tensor.shape) != 2 or tensor.shape[0] < 1 or tensor.shape[1] != len(columns):
        raise InvalidTensor(f"input '{tensor.name}' must have shape [N, {len(columns)}] with N at least 1")
    values = list(_flat(tensor.data))
    if len(values) != prod(tensor.shape):
        raise InvalidTensor(f"input '{tensor.name}' has {len(values)} elements; its shape says {prod(tensor.shape)}")
    for index, value in enumerate(values):
        row, column = divmod(index, len(columns))
        if rule := _broken_rule(columns[column], value):
            raise InvalidTensor(f"input '{tensor.name}', row {row}, column {column} ({columns[column].name}) {rule}")
    return values


def _flat(data: Sequence[Any]) -> Iterator[Any]:
    """Elements in row-major order, from a flat or a nested list."""
    for element in data:
        if isinstance(element, list):
            yield from _flat(element)
        else:
            yield element


def _broken_rule(feature: Feature, value: object) -> str | None:
    if value is None:
        return None if feature.nullable else "must not be null"
    if feature.kind == "categorical":
        return None if isinstance(value, str) else "must be a text"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "must be a number"
    return None if -FLOAT32_MAX <= value <= FLOAT32_MAX else "must fit in a 32-bit float"


def response(predictor: Predictor, request: InferenceRequest, probabilities: Probabilities) -> dict[str, Any]:
    """The V2 response, with the outputs that were asked for, or all.

    :raises InvalidTensor: an unknown output was asked for.
    """
    classes = predictor.card.classes
    rows = len(probabilities)
    labels = [classes[index] for index in probabilities.argmax(axis=1)]
    outputs = {
        "label": {"name": "label", "datatype": "BYTES", "shape": [rows], "data": labels},
        "probabilities": {
            "name": "probabilities",
            "datatype": "FP32",
            "shape": [rows, len(classes)],
            "data": probabilities.ravel().tolist(),
        },
    }
    wanted = [output.name for output in request.outputs] if request.outputs else list(outputs)
    if unknown := [name for name in wanted if name not in outputs]:
        raise InvalidTensor(f"there is no output '{unknown[0][:64]}'; the outputs are {' and '.join(outputs)}")
    head = {"model_name": predictor.card.name, "model_version": str(predictor.version)}
    return head | ({"id": request.id} if request.id else {}) | {"outputs": [outputs[name] for name in wanted]}


def metadata(predictor: Predictor) -> dict[str, Any]:
    """The V2 description of a model; each input lists the features of its columns."""
    card = predictor.card
    inputs = [
        {
            "name": name,
            "datatype": datatype,
            "shape": [-1, len(columns)],
            "parameters": {"columns": [feature.name for feature in columns]},
        }
        for name, datatype, columns in (("numeric", "FP32", card.numeric), ("categorical", "BYTES", card.categorical))
        if columns
    ]
    outputs = [
        {"name": "label", "datatype": "BYTES", "shape": [-1]},
        {
            "name": "probabilities",
            "datatype": "FP32",
            "shape": [-1, len(card.classes)],
            "parameters": {"columns": card.classes},
        },
    ]
    return {
        "name": card.name,
        "versions": [str(predictor.version)],
        "platform": "onnx_onnxv1",
        "inputs": inputs,
        "outputs": outputs,
    }
