"""The outputs of an inference: labels, probabilities, or the likeliest classes; as JSON or as raw bytes.

Long data is made a few rows at a time, so that what it is made of does not all take memory at once.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from service.prediction.wording import LONGEST_NUMBER, MOST_NUMBERS
from service.rows.tensors import Probabilities
from service.wire.open_inference.envelope import Wish

OUTPUTS = ("label", "probabilities")
# Of a likely class: its probability and its number, with what stands around the two and the label.
LONGEST_LIKELIHOOD = 56
# What stands around a label; the bytes of a number.
SEPARATORS = FLOAT = 4


def described(wish: Wish, classes: tuple[str, ...], rows: int) -> dict[str, Any]:
    """The name, datatype and shape of an output."""
    if wish.classes:
        return {"name": wish.name, "datatype": "BYTES", "shape": [rows, min(wish.classes, len(classes))]}
    if wish.name == "label":
        return {"name": wish.name, "datatype": "BYTES", "shape": [rows]}
    return {"name": wish.name, "datatype": "FP32", "shape": [rows, len(classes)]}


def values(wish: Wish, classes: tuple[str, ...], probabilities: Probabilities) -> Any:
    """The data of some rows of an output, as it goes into JSON or, where binary is wished for, as bytes."""
    if wish.classes:
        likeliest = _likeliest(probabilities, classes, wish.classes)
        return b"".join(_lengths_and_texts(likeliest)) if wish.binary else list(likeliest)
    if wish.name == "label":
        best = probabilities.argmax(axis=1).tolist()
        if wish.binary:
            return b"".join(map(_of_classes(classes).__getitem__, best))
        return list(map(classes.__getitem__, best))
    return probabilities.tobytes() if wish.binary else probabilities.ravel()


def slices(probabilities: Probabilities) -> list[Probabilities]:
    """A few rows each."""
    rows, classes = probabilities.shape
    step = max(1, MOST_NUMBERS // classes)
    return [probabilities[start : start + step] for start in range(0, rows, step)]


def longest_row(wish: Wish, classes: int, longest_label: int) -> int:
    """How many bytes of an output a row takes at most."""
    if wish.classes:
        return min(wish.classes, classes) * (longest_label + LONGEST_LIKELIHOOD)
    if wish.name == "label":
        return longest_label + SEPARATORS
    return FLOAT * classes if wish.binary else LONGEST_NUMBER * classes


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
