"""Arrays in files without a name: processes that are handed the descriptor read the same pages of memory."""

import os
import tempfile
from typing import BinaryIO, cast

import numpy as np

from trainer.arrays import Array


def nameless_file() -> BinaryIO:
    """An empty file that is gone when the last process that has it open ends, however it ends.

    :raises OSError: the folder for temporary files, which TMPDIR names, does not take one.
    """
    return cast(BinaryIO, tempfile.TemporaryFile())


def keep_in(file: BinaryIO, array: Array) -> Array:
    """Write an array into an empty file, and give it back as it is mapped from there.

    :raises OSError: the disk has no room; the sentence names the folder.
    """
    try:
        file.write(np.ascontiguousarray(array).data)
        file.flush()
    except OSError as error:
        raise OSError(error.errno, error.strerror, tempfile.gettempdir()) from None
    return mapped(file.fileno(), array.shape, array.dtype)


def mapped(descriptor: int, shape: tuple[int, ...], dtype: np.dtype[np.floating]) -> Array:
    """The array in a file, to be read and not to be written."""
    if 0 in shape:  # Nothing can be mapped.
        return np.empty(shape, dtype)
    with os.fdopen(os.dup(descriptor), "rb") as file:
        return np.memmap(file, dtype, "r", shape=shape).view(np.ndarray)
