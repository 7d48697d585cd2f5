"""Which tensors a model is asked with: whole ones, or a column for each feature; and the tensors that come of them."""

from collections.abc import Mapping, Sequence

import numpy as np

from models.features import Feature
from service.errors import InvalidTensor
from service.rows.tensors import Tensors
from service.wire.open_inference.casts import TEXT, numeric, texts
from service.wire.open_inference.envelope import Tensor

# The model's inputs, and the feature of each column.
Inputs = Mapping[str, Sequence[Feature]]


def read_inputs(given: Sequence[Tensor], inputs: Inputs) -> Tensors:
    """The model's tensors.

    :raises InvalidTensor: an input is missing, unknown or ill-shaped, or an element is not one its column may have.
    """
    by_name = {tensor.name: tensor for tensor in given}
    if len(by_name) == len(given) and by_name.keys() == inputs.keys():
        tensors = {name: _cast(by_name[name], features) for name, features in inputs.items()}
    elif len(by_name) == len(given) and by_name.keys() == {
        feature.name for features in inputs.values() for feature in features
    }:
        tensors = {name: _stack(by_name, features) for name, features in inputs.items()}
    else:
        raise InvalidTensor(f"the inputs must be {' and '.join(inputs)}, each once, or each feature once, as a column")
    if len(tensors) > 1 and len({len(tensor) for tensor in tensors.values()}) > 1:
        raise InvalidTensor("the inputs must have the same number of rows")
    return tensors


def raw_input(body: bytes, inputs: Inputs) -> Tensor:
    """The only input of a model, when the whole body is its data.

    :raises InvalidTensor: the model has two inputs, or the bytes make no whole rows.
    """
    if len(inputs) > 1:
        raise InvalidTensor("a raw body needs a model with one input; send a JSON header with both")
    ((name, features),) = inputs.items()
    datatype, elements = (TEXT, _count_texts(body)) if name == "categorical" else ("FP32", len(body) // 4)
    return Tensor(name, datatype, [elements // len(features), len(features)], body)


def _cast(tensor: Tensor, features: Sequence[Feature]) -> np.typing.NDArray[np.float32] | np.typing.NDArray[np.object_]:
    return texts(tensor, features) if features[0].kind == "categorical" else numeric(tensor, features)


def _stack(
    by_name: dict[str, Tensor], features: Sequence[Feature]
) -> np.typing.NDArray[np.float32] | np.typing.NDArray[np.object_]:
    columns = [_cast(by_name[feature.name], [feature]) for feature in features]
    if len({len(column) for column in columns}) > 1:
        raise InvalidTensor("the inputs must have the same number of rows")
    return np.ascontiguousarray(np.hstack(columns))


def _count_texts(body: bytes) -> int:
    count = at = 0
    while at < len(body):
        at += 4 + int.from_bytes(body[at : at + 4], "little")
        count += 1
    return count
