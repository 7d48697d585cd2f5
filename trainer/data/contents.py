"""The bytes of a table's file: as they were at one moment, and unpacked."""

import gzip
import os
import stat
import zlib
from pathlib import Path

from trainer.errors import InvalidTable, TableChanged, Unreadable


def read_bytes(path: Path) -> bytes:
    """Read a file whole.

    :raises Unreadable: it is not there or cannot be read.
    :raises TableChanged: it was written to in the meantime.
    """
    try:
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            data = file.read()
            after = os.fstat(file.fileno())
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror}") from None
    if stat.S_ISREG(before.st_mode) and not (
        before.st_mtime_ns == after.st_mtime_ns and len(data) == before.st_size == after.st_size
    ):
        raise TableChanged(f"{path} was written to while it was read; try again when it is whole")
    return data


def unpack(path: Path, data: bytes) -> bytes:
    """The contents of a gzip file; of any other, its bytes.

    :raises InvalidTable: the gzip file is damaged.
    """
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        return gzip.decompress(data)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise InvalidTable(f"{path} is a damaged gzip file ({str(error).lower()}); write it again") from None
