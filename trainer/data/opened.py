"""A table's file read once, some bytes at a time, and unpacked; `contents` reads a whole file by the same rules."""

import io
import os
import tempfile
from pathlib import Path
from typing import BinaryIO, Self, cast

from trainer.data.contents import Readable, check_unchanged, open_file, packed, unpacked, unpacking
from trainer.data.encoding import CHUNK
from trainer.data.unreadable import unreadable
from trainer.errors import NoRoom


class OpenedFile:
    """A file, plain or compressed, that is read once. `head` are its first bytes, unpacked."""

    def __init__(self, path: Path) -> None:
        """Open a file.

        :raises Unreadable: it is not there or cannot be read.
        :raises InvalidTable: it is compressed, and damaged.
        """
        self.path = path
        self._file = open_file(path)
        self._before = os.fstat(self._file.fileno())
        self._packed = packed(self._file.peek(4)[:4])
        self._stream: Readable = unpacked(self._file, self._packed) if self._packed else self._file
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
            raise unreadable(self.path, error) from None
        return b"".join(parts)

    def seekable(self) -> BinaryIO | io.BufferedReader:
        """The file as one in which any place can be read; what is none is copied into one without a name.

        :raises NoRoom: the disk has no room for that.
        """
        if not self._packed and self._file.seekable():
            self._file.seek(0)
            return self._file
        copy = self._copy = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115
        while part := self.read(CHUNK):
            try:
                copy.write(part)
            except OSError as error:
                folder = tempfile.gettempdir()
                raise NoRoom(
                    f"{self.path} does not fit unpacked in {folder} ({error.strerror}); unpack it where there is room, "
                    "or say TMPDIR=FOLDER before the command"
                ) from None
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
