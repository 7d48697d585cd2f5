"""A table's file read once, some bytes at a time, and unpacked; `contents` reads a whole file by the same rules."""

import gzip
import io
import os
import tempfile
from pathlib import Path
from typing import BinaryIO, Protocol, Self, cast

from trainer.data.contents import check_unchanged, packed, unpacking
from trainer.data.encoding import CHUNK
from trainer.data.parsing import ZstdReader
from trainer.errors import Unreadable


class _Readable(Protocol):
    def read1(self, size: int, /) -> bytes: ...


class OpenedFile:
    """A file, plain or compressed, that is read once. `head` are its first bytes, unpacked."""

    def __init__(self, path: Path) -> None:
        """Open a file.

        :raises Unreadable: it is not there or cannot be read.
        :raises InvalidTable: it is compressed, and damaged.
        """
        self.path = path
        try:
            self._file = io.BufferedReader(io.FileIO(path), CHUNK)
            self._before = os.fstat(self._file.fileno())
            magic = self._file.peek(4)[:4]
        except OSError as error:
            raise Unreadable(f"{path}: {error.strerror}") from None
        self._packed = packed(magic)
        self._stream: _Readable = self._file
        if self._packed:
            self._stream = gzip.GzipFile(fileobj=self._file) if self._packed == "gzip" else ZstdReader(self._file)
        self._copy: BinaryIO | None = None
        self._read_ahead = b""
        self.head = self._read_ahead = self.read(CHUNK + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if self._copy is not None:
            self._copy.close()

    def read(self, size: int) -> bytes:
        """The next so many bytes, fewer only at the end.

        :raises Unreadable: it cannot be read.
        :raises InvalidTable: it is compressed, and damaged.
        """
        parts, self._read_ahead = [self._read_ahead], b""
        found = len(parts[0])
        try:
            with unpacking(self.path, self._packed):
                # One system call at a time: Python looks for a Ctrl-C between them, and not while `read` makes several.
                while found < size and (part := self._stream.read1(size - found)):
                    parts.append(part)
                    found += len(part)
        except OSError as error:
            raise Unreadable(f"{self.path}: {error.strerror}") from None
        return b"".join(parts)

    def seekable(self) -> BinaryIO | io.BufferedReader:
        """The file as one in which any place can be read; what is none is copied into one without a name."""
        if not self._packed and self._file.seekable():
            self._file.seek(0)
            return self._file
        copy = self._copy = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115
        while part := self.read(CHUNK):
            copy.write(part)
        copy.seek(0)
        return copy

    @property
    def share(self) -> float:
        """How much of it is read, from 0 to 1; always 0 of a pipe, whose end nobody knows."""
        size = self._before.st_size
        return min(1.0, self._file.tell() / size) if size and self._file.seekable() else 0.0

    def check_unchanged(self) -> None:
        """Refuse a file that somebody has written to since it was opened.

        :raises TableChanged: somebody has.
        """
        check_unchanged(self.path, self._before, os.fstat(self._file.fileno()))
