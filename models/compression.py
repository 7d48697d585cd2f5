"""How an archive is compressed, by the ending of its name. The only module that knows zstd.

Python has zstd from 3.14 on; before it is an extra's, and imported when it is needed.
"""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from io import BytesIO
from typing import Any, Protocol

from models.errors import CorruptModel, InvalidName
from models.extras import way_to

ENDINGS = (".tar.zst", ".tar.gz", ".tar")
# Weights are close to noise: a higher level takes longer and gains nothing.
GZIP_LEVEL, ZSTD_LEVEL = 6, 3


class Reader(Protocol):
    """What is behind a compressed file; it unfolds no more than is asked for."""

    def read(self, size: int, /) -> bytes: ...


def ending(name: str) -> str:
    """The ending that says how a file is compressed.

    :raises InvalidName: it has none of them.
    """
    for one in ENDINGS:
        if name.endswith(one):
            return one
    raise InvalidName(f"'{name[-64:]}' should end with {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}")


def compressed(data: bytes, name: str) -> bytes:
    """The same data gives the same bytes: there is no time and no name in them."""
    match ending(name):
        case ".tar.zst":
            packed: bytes = _zstd().compress(data, ZSTD_LEVEL)
            return packed
        case ".tar.gz":
            return gzip.compress(data, GZIP_LEVEL, mtime=0)
        case _:
            return data


@contextmanager
def unfolding(data: bytes, name: str) -> Iterator[Reader]:
    """Read a file as its ending says.

    :raises CorruptModel: what is read is not compressed so, or ends early.
    """
    errors: tuple[type[Exception], ...] = (EOFError, gzip.BadGzipFile, zlib.error)
    match ending(name):
        case ".tar.zst":
            zstd = _zstd()
            reader: Reader = zstd.ZstdFile(BytesIO(data))
            errors = (*errors, zstd.ZstdError)
        case ".tar.gz":
            reader = gzip.GzipFile(fileobj=BytesIO(data))
        case _:
            reader = BytesIO(data)
    try:
        yield reader
    except errors as error:
        raise CorruptModel(f"it is torn, or not what its ending says: {error}") from None


def _zstd() -> Any:
    try:
        return import_module("compression.zstd")
    except ModuleNotFoundError:
        pass
    try:
        return import_module("backports.zstd")
    except ModuleNotFoundError:
        raise InvalidName(f"zstd needs Python 3.14, which .tar.gz does not; or {way_to('archive')}") from None
