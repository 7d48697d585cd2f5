"""The outputs of an inference: labels, probabilities, or the likeliest classes; as JSON or as raw bytes.

Long data is made a few rows at a time, so that what it is made of does not all take memory at once.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from service.prediction.predictor import Predictor
from service.prediction.sets import Members
from service.prediction.wording import LONGEST_NUMBER, MOST_NUMBERS
from service.rows.tensors import Probabilities
from service.wire.open_inference.envelope import Wish

OUTPUTS = ("label", "probabilities")
# Of a model with sets, there is this output too.
SET = "set"
# Of a likely class: its probability and its number, with what stands around the two and the label.
LONGEST_LIKELIHOOD = 56
# What stands around a label; the bytes of a number.
SEPARATORS = FLOAT = 4
# Of JSON, with a comma.
LONGEST_BOOLEAN = 6


def outputs_of(predictor: Predictor) -> tuple[str, ...]:
    """The names of the outputs that a model has."""
    return OUTPUTS if predictor.sets is None else (*OUTPUTS, SET)


def output(
    wish: Wish, predictor: Predictor, probabilities: Probabilities, members: Members | None
) -> tuple[dict[str, Any], Any]:
    """The name, datatype and shape of an output; and its data, as it goes into JSON or, where binary is wished for, as
    bytes.
    """
    shape: list[int] = list(probabilities.shape)
    classes = predictor.card.classes
    values: Any
    if wish.classes:
        shape[1] = min(wish.classes, shape[1])
        likeliest = _likeliest(probabilities, classes, wish.classes)
        values = b"".join(_lengths_and_texts(likeliest)) if wish.binary else list(likeliest)
    elif wish.name == "label":
        del shape[1]
        best = predictor.decide(probabilities)
        if wish.binary:
            values = b"".join(map(_of_classes(classes).__getitem__, best))
        else:
            values = list(map(classes.__getitem__, best))
    elif wish.name == SET:
        assert members is not None
        values = members.tobytes() if wish.binary else members.ravel().tolist()
        return {"name": wish.name, "datatype": "BOOL", "shape": shape}, values
    else:
        values = probabilities.tobytes() if wish.binary else probabilities.ravel()
        return {"name": wish.name, "datatype": "FP32", "shape": shape}, values
    return {"name": wish.name, "datatype": "BYTES", "shape": shape}, values


def slices(probabilities: Probabilities, members: Members | None) -> list[tuple[Probabilities, Members | None]]:
    """A few rows each."""
    rows, classes = probabilities.shape
    step = max(1, MOST_NUMBERS // classes)
    parts = [slice(start, start + step) for start in range(0, rows, step)]
    return [(probabilities[part], None if members is None else members[part]) for part in parts]


def longest_row(wishes: Sequence[Wish], classes: int, longest_label: int) -> int:
    """How many bytes of all outputs together a row takes at most."""
    longest = 0
    for name, binary, likeliest in wishes:
        if likeliest:
            longest += min(likeliest, classes) * (longest_label + LONGEST_LIKELIHOOD)
        elif name == "label":
            longest += longest_label + SEPARATORS
        elif name == SET:
            longest += classes if binary else LONGEST_BOOLEAN * classes
        else:
            longest += FLOAT * classes if binary else LONGEST_NUMBER * classes
    return longest


def _likeliest(probabilities: Probabilities, classes: tuple[str, ...], most: int) -> Iterator[str]:
    """The classification extension: for each row the likeliest classes as "value:index:label"."""
    # A stable sort of the negatives: of equal ones the first class comes first.
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :most]
    for row, indices in zip(probabilities.tolist(), order.tolist(), strict=True):
        for index in indices:
            yield f"{row[index]:f}:{index}:{classes[index]}"


def _lengths_and_texts(texts: Iterable[str]) -> list[bytes]:
    return [len(data).to_bytes(4, "little") + data for data in map(str.encode, texts)]


# As every answer with labels needs them.
_of_classes = lru_cache(64)(_lengths_and_texts)
