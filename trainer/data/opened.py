"""A table's file read once, some bytes at a time: unpacked, and in UTF-8 where it is text.

`contents` reads a whole file by the same rules.
"""

import codecs
import gzip
import io
import os
import stat
import tempfile
import zlib
from pathlib import Path
from typing import BinaryIO, Protocol, Self, cast

from trainer.data.contents import GZIP, MARKS, ZSTD, is_utf8_elsewhere
from trainer.data.parsing import Unparsed, ZstdReader
from trainer.data.wording import refusal
from trainer.errors import InvalidSetting, TableChanged, Unreadable

CHUNK = 1 << 20
_UTF8 = ("utf-8", "utf8", "utf-8-sig")


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
        self._packed = "gzip" if magic.startswith(GZIP) else "zstd" if magic == ZSTD else ""
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
            # One system call at a time: Python looks for a Ctrl-C between them, and not while `read` makes several.
            while found < size and (part := self._stream.read1(size - found)):
                parts.append(part)
                found += len(part)
        except (gzip.BadGzipFile, zlib.error, EOFError, Unparsed) as error:
            raise refusal("damaged", path=self.path, what=f"{self._packed} file", reason=str(error).lower()) from None
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
        before, after = self._before, os.fstat(self._file.fileno())
        same = before.st_mtime_ns == after.st_mtime_ns and before.st_size == after.st_size
        if stat.S_ISREG(before.st_mode) and not same:
            raise TableChanged(f"{self.path} was written to while it was read; try again when it is whole")


class Text:
    """The text of a file in UTF-8, without a byte-order mark.

    Its encoding is the given one, else what its mark says; without a mark, the first bytes that are not ASCII tell
    whether it is UTF-8 or Windows-1252.
    """

    def __init__(self, file: OpenedFile, encoding: str | None) -> None:
        """Begin to read.

        :raises InvalidSetting: no encoding has the given name.
        """
        self._file, self._named = file, encoding is not None
        self.encoding = encoding or next((name for mark, name in MARKS.items() if file.head.startswith(mark)), None)
        self._decoder: codecs.IncrementalDecoder | None = None
        # How many bytes were read, and the last of them where they may be the beginning of a character.
        self._place, self._kept, self._first = 0, b"", True
        if self.encoding is not None:
            self._decide(self.encoding)

    def read(self, size: int) -> bytes:
        """About so many bytes more; none at the end.

        :raises InvalidTable: they are not in the encoding.
        """
        text = b""
        while not text:
            chunk = self._file.read(size)
            self._place += len(chunk)
            text = self._as_utf8(chunk, final=not chunk)
            if not chunk:
                break
        if (place := text.find(b"\0")) >= 0:
            raise refusal("nul", path=self._file.path, byte=self._place - len(chunk) + place)
        if self._first and text:
            self._first, text = False, text.removeprefix(codecs.BOM_UTF8)
        return text

    def _as_utf8(self, chunk: bytes, *, final: bool) -> bytes:
        if self._decoder is None:
            chunk = self._kept + chunk
            self._kept = b""
            if chunk.isascii():
                return chunk
            begun = self._undecided(chunk, final=final)
            if begun is not None:
                return begun
        assert self._decoder is not None
        try:
            decoded = self._decoder.decode(chunk, final)
        except UnicodeError as error:
            raise self._refused(error) from None
        return chunk if self.encoding == "utf-8" else decoded.encode()

    def _undecided(self, chunk: bytes, *, final: bool) -> bytes | None:
        """The ASCII before a character that has only begun with the last bytes; None when the encoding is known."""
        try:
            text = codecs.getincrementaldecoder("utf-8")().decode(chunk, final)
        except UnicodeDecodeError as error:
            if is_utf8_elsewhere(chunk):
                byte = self._place - len(chunk) + error.start
                raise refusal(
                    "half_utf8", path=self._file.path, byte=byte, value=f"{chunk[error.start]:#04x}"
                ) from None
            self._decide("windows-1252")
            return None
        if text.isascii():
            self._kept = chunk[len(text) :]
            return chunk[: len(text)]
        self._decide("utf-8")
        return None

    def _decide(self, encoding: str) -> None:
        try:
            self.encoding = "utf-8" if encoding.lower() in _UTF8 else encoding
            self._decoder = codecs.getincrementaldecoder(self.encoding)()
        except LookupError:
            raise InvalidSetting(f"no encoding is called '{encoding}'; say --encoding utf-8 or windows-1252") from None

    def _refused(self, error: UnicodeError) -> Exception:
        data, start = getattr(error, "object", b"\0"), getattr(error, "start", 0)
        code = (
            "other_encoding"
            if self._named
            else {"utf-8": "half_utf8", "windows-1252": "no_encoding"}.get(str(self.encoding), "other_encoding")
        )
        facts = {"value": f"{data[start]:#04x}", "encoding": str(self.encoding).upper()}
        return refusal(code, path=self._file.path, byte=self._place - len(data) + start, **facts)
