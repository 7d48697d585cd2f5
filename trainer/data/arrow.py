"""Between Python, numpy and pyarrow, by their buffers.

`pa.array`, `pa.scalar` and `to_numpy` load pandas where it is installed, which takes as long as a small training.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def strings(texts: Sequence[str]) -> pa.StringArray:
    """Texts as pyarrow has them."""
    encoded = [text.encode() for text in texts]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    return pa.StringArray.from_buffers(len(texts), pa.py_buffer(ends), pa.py_buffer(b"".join(encoded)))


def scalar(text: str | None) -> pa.StringScalar:
    """A text, or none, that stands in every row."""
    return pa.nulls(1, pa.string())[0] if text is None else strings([text])[0]


def array(values: npt.NDArray[Any], nothing: npt.NDArray[np.bool_] | None = None) -> pa.Array:
    """Numbers or truths (n,) as pyarrow has them; there is none where `nothing` (n,) is true."""
    valid = None if nothing is None else pa.py_buffer(np.packbits(~nothing, bitorder="little"))
    data = np.packbits(values, bitorder="little") if values.dtype == np.bool_ else np.ascontiguousarray(values)
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [valid, pa.py_buffer(data)])


def values(cells: pa.Array, kind: type[np.generic]) -> npt.NDArray[Any]:
    """Numbers of which none is missing, not copied."""
    _, data = cells.buffers()
    if data is None:
        return np.empty(0, kind)
    return np.frombuffer(data, kind, len(cells), cells.offset * np.dtype(kind).itemsize)
