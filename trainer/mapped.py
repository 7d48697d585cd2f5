"""Arrays in files without a name: processes that are handed the descriptor read the same pages of memory.

Pages that are mapped from a file are no memory of a process's own: the kernel takes them back where others need them.
"""

import os
import shutil
import tempfile
from collections.abc import Iterable
from typing import Any, BinaryIO, Literal, Self, cast

import numpy as np
import numpy.typing as npt

from trainer.errors import NoRoom


def nameless_file() -> BinaryIO:
    """An empty file that is gone when the last process that has it open ends, however it ends.

    :raises OSError: the folder for temporary files, which TMPDIR names, does not take one.
    """
    return cast(BinaryIO, tempfile.TemporaryFile())


def check_room(needed: int, what: str) -> None:
    """Refuse to begin what the disk has no room for.

    :raises NoRoom: the folder for temporary files has fewer bytes left.
    """
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise NoRoom(
            f"{what} take {needed / 1e9:.3g} GB of disk, and {folder} has {free / 1e9:.3g} GB left; TMPDIR=FOLDER "
            "before the command takes a folder of a larger disk"
        )


class Growing:
    """An array in a file, to which rows of `width` cells are appended."""

    def __init__(self, width: int, dtype: npt.DTypeLike, file: BinaryIO | None = None) -> None:
        """Begin with an empty file, or one of its own.

        :raises OSError: there can be none.
        """
        self._file = file or nameless_file()
        self._width, self._dtype = width, np.dtype(dtype)
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def append(self, rows: npt.NDArray[Any]) -> None:
        """Write some rows (n, width) behind those that are there.

        :raises OSError: the disk has no room; the sentence names the folder.
        """
        try:
            self._file.write(np.ascontiguousarray(rows, self._dtype).data)
            self._file.flush()
        except OSError as error:
            raise OSError(error.errno, error.strerror, tempfile.gettempdir()) from None
        self._rows += len(rows)

    def close(self) -> None:
        """Let go of the file; what is mapped stays mapped."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def mapped(self, mode: Literal["r", "r+"] = "r") -> npt.NDArray[Any]:
        """All rows (n, width), to be read, or written to as well."""
        return mapped(self._file.fileno(), (self._rows, self._width), self._dtype, mode)


def moved(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same numbers (n,), mapped from a file.

    :raises OSError: the disk has no room; the sentence names the folder.
    """
    with nameless_file() as file:
        return keep_in(file, [array[:, np.newaxis]], 1, array.dtype)[:, 0]


def keep_in(file: BinaryIO, blocks: Iterable[npt.NDArray[Any]], width: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Write blocks of rows (n, width) into an empty file, and give all back as they are mapped from there.

    :raises OSError: the disk has no room; the sentence names the folder.
    """
    kept = Growing(width, dtype, file)
    for block in blocks:
        kept.append(block)
    return kept.mapped()


def mapped(
    descriptor: int, shape: tuple[int, ...], dtype: np.dtype[Any], mode: Literal["r", "r+"] = "r"
) -> npt.NDArray[Any]:
    """The array in a file, to be read and, unless the mode says so, not to be written."""
    if 0 in shape:  # Nothing can be mapped.
        return np.empty(shape, dtype)
    with os.fdopen(os.dup(descriptor), "rb" if mode == "r" else "r+b") as file:
        return np.memmap(file, dtype, mode, shape=shape).view(np.ndarray)
