"""Which tensors a model is asked with: whole ones, or a column for each feature; and the tensors that come of them."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from models.features import Feature
from service.errors import InvalidTensor
from service.rows.tensors import Tensors
from service.wire.capacity import Capacity
from service.wire.open_inference.casts import TEXT, numeric, texts
from service.wire.open_inference.envelope import Tensor

# The model's inputs, and the feature of each column.
Inputs = Mapping[str, Sequence[Feature]]


def read_inputs(given: Iterable[Tensor], inputs: Inputs, capacity: Capacity) -> Tensors:
    """The model's tensors.

    :raises InvalidTensor: an input is missing, unknown or ill-shaped, or an element is not one its column may have.
    """
    found, columns = _read(given, inputs, capacity)
    if columns and not found and len(columns) == sum(map(len, inputs.values())):
        found = {kind: _stack(columns, part) for kind, part in inputs.items()}
    elif columns or found.keys() != inputs.keys():
        raise _misnamed(inputs)
    if len(found) > 1 and len({len(tensor) for tensor in found.values()}) > 1:
        raise _uneven()
    return found


def raw_input(body: bytes, inputs: Inputs) -> Tensor:
    """The only input of a model, when the whole body is its data.

    :raises InvalidTensor: the model has two inputs, or the bytes make no whole rows.
    """
    if len(inputs) > 1:
        raise InvalidTensor("a raw body needs a model with one input; send a JSON header with both")
    ((name, features),) = inputs.items()
    datatype, elements = (TEXT, _count_texts(body)) if name == "categorical" else ("FP32", len(body) // 4)
    return Tensor(name, datatype, [elements // len(features), len(features)], body)


def _read(given: Iterable[Tensor], inputs: Inputs, capacity: Capacity) -> tuple[Tensors, Tensors]:
    """Whole tensors and columns, by name, each cast as it comes."""
    found: Tensors = {}
    columns: Tensors = {}
    features: dict[str, Feature] = {}
    for tensor in given:
        name, whole = tensor.name, inputs.get(tensor.name)
        # A feature may have the name of an input.
        if whole is None or (len(whole) > 1 and (len(tensor.shape) < 2 or tensor.shape[1] == 1)):
            features = features or {feature.name: feature for part in inputs.values() for feature in part}
        if name in features and name not in columns:
            columns[name] = column = _cast(tensor, [features[name]], capacity)
            if capacity.long:
                # Itself, and its part of the whole.
                capacity.grow(len(column), 2 * column.nbytes)
        elif whole is not None and name not in found:
            found[name] = _cast(tensor, whole, capacity)
        elif len(inputs) == 1 and not (found or columns):
            # The only input has no other to be taken for, whatever a client calls it.
            ((only, whole),) = inputs.items()
            found[only] = _cast(tensor, whole, capacity)
        else:
            raise _misnamed(inputs)
    return found, columns


def _misnamed(inputs: Inputs) -> InvalidTensor:
    return InvalidTensor(f"the inputs must be {' and '.join(inputs)}, each once, or each feature once, as a column")


def _uneven() -> InvalidTensor:
    return InvalidTensor("the inputs must have the same number of rows")


def _cast(
    tensor: Tensor, features: Sequence[Feature], capacity: Capacity
) -> np.typing.NDArray[np.float32] | np.typing.NDArray[np.object_]:
    cast = texts if features[0].kind == "categorical" else numeric
    return cast(tensor, features, capacity)


def _stack(
    columns: Tensors, features: Sequence[Feature]
) -> np.typing.NDArray[np.float32] | np.typing.NDArray[np.object_]:
    parts = [columns.pop(feature.name) for feature in features]
    if len({len(part) for part in parts}) > 1:
        raise _uneven()
    return np.ascontiguousarray(np.hstack(parts))


def _count_texts(body: bytes) -> int:
    count = at = 0
    while at < len(body):
        at += 4 + int.from_bytes(body[at : at + 4], "little")
        count += 1
    return count
