"""The bytes of a table's file: as they were at one moment, unpacked, and in UTF-8 where they are text."""

import gzip
import hashlib
import io
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import BinaryIO, Literal, Protocol

from models.terminal import tell
from trainer.data.encoding import CHUNK, whole_text
from trainer.data.parsing import Unparsed, ZstdReader
from trainer.data.size import TIMES_OF_TEXT, memory_for_tables, spelled
from trainer.data.unreadable import unreadable
from trainer.data.wording import refusal
from trainer.errors import TableChanged

Format = Literal["csv", "parquet", "workbook"]
GZIP, ZSTD, PARQUET = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1"
# What some files begin with that are no tables, what they are, and what makes a table of them.
OTHER_FILES = {
    b"%PDF": ("a PDF document", "save the table in it as CSV"),
    b"SQLite format 3\0": ("an SQLite database", "write a query's answer as CSV: sqlite3 -header -csv"),
    b"ARROW1": ("an Arrow or Feather file", "write it as Parquet"),
    b"PK\x03\x04": ("a ZIP archive", "unpack it, and name the table in it"),
    b"BZh": ("a bzip2 file", "unpack it with bunzip2"),
    b"\xfd7zXZ\0": ("an xz file", "unpack it with unxz"),
    b"<!DOCTYPE": ("a web page", "save the table in it as CSV"),
    b"<html": ("a web page", "save the table in it as CSV"),
    b"\x89PNG": ("a picture", "save the table as CSV"),
    b"\x80\x04\x95": ("a Python pickle", "write it as Parquet: frame.to_parquet"),
}
WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
# What is in those of them that are ZIP archives.
SHEETS = (b"xl/workbook", b"opendocument.spreadsheet")
# After so long, somebody is told that a named pipe is waited for.
PATIENCE_S = 1.0


@dataclass(frozen=True)
class Contents:
    """What a file holds. `data` of a CSV file is UTF-8, and `encoding` what it was; `sha256` is of the file itself.

    `again` tells whether the file can be read a second time; a pipe cannot.
    """

    path: Path
    sha256: str
    format: Format
    data: bytes
    encoding: str
    again: bool


class Readable(Protocol):
    """What gives some bytes at a time, none at its end."""

    def read1(self, size: int, /) -> bytes: ...


def read_contents(path: Path, encoding: str | None = None, memory: int | None = None) -> Contents:
    """Read a file whole; its first bytes tell what it is, whatever its name, and `encoding` what its text is in.

    :param memory: how many bytes of memory the table may take; half of what there is, where nobody says.
    :raises LargerThanMemory: it takes more, as it is or unpacked.
    :raises Unreadable: it is not there or cannot be read.
    :raises TableChanged: it was written to in the meantime.
    :raises InvalidTable: it is no table, is damaged, or its text is in another encoding.
    """
    memory = memory_for_tables(memory)
    raw, again = _read_bytes(path, memory)
    data = _unpack(path, raw, memory, again=again)
    digest = hashlib.sha256(raw).hexdigest()
    kind = recognise(path, data)
    if kind != "csv":
        return Contents(path, digest, kind, data, "", again)
    data, encoding = whole_text(path, data, encoding)
    return Contents(path, digest, "csv", data, encoding, again)


def recognise(path: Path, data: bytes) -> Format:
    """What bytes are, of which only the first count, unless they are a workbook's.

    :raises InvalidTable: they are no table.
    """
    if data.startswith(PARQUET):
        return "parquet"
    if data.startswith(WORKBOOKS) and (data[:2] != b"PK" or any(part in data for part in SHEETS)):
        return "workbook"
    if path.suffix == ".parquet":
        raise refusal("no_parquet", path=path)
    for signature, (what, way) in OTHER_FILES.items():
        if data.startswith(signature):
            raise refusal("other_file", path=path, what=what, way=way)
    if not data or data.isspace():
        raise refusal("empty", path=path)
    return "csv"


def open_file(path: Path) -> io.BufferedReader:
    """Open a file to be read, and wait for its first bytes; of a named pipe that brings none, somebody is told.

    :raises Unreadable: it is not there or cannot be read.
    """
    sentence = f"{path} is a pipe that nobody has written into; waiting for it (Ctrl-C ends it)"
    waiting = Timer(PATIENCE_S, tell, ("note", sentence))
    waiting.daemon = True
    try:
        if path.is_fifo() and not path.is_relative_to("/dev"):
            waiting.start()
        file: io.BufferedReader = io.BufferedReader(io.FileIO(path), CHUNK)
        file.peek(1)
    except OSError as error:
        raise unreadable(path, error) from None
    finally:
        waiting.cancel()
    return file


def _read_bytes(path: Path, memory: int) -> tuple[bytes, bool]:
    most = memory // TIMES_OF_TEXT
    with open_file(path) as file:
        try:
            before = os.fstat(file.fileno())
            again = stat.S_ISREG(before.st_mode)
            if again and before.st_size > most:
                raise too_long(path, memory, again=True)
            data = file.read() if again else file.read(most + 1)
            after = os.fstat(file.fileno())
        except OSError as error:
            raise unreadable(path, error) from None
    if len(data) > most and not again:
        raise too_long(path, memory, again=False)
    check_unchanged(path, before, after, len(data))
    return data, again


def too_long(path: Path, memory: int, *, again: bool) -> Exception:
    """The refusal of a table that takes more than so many bytes of memory, and of which some can be read `again`."""
    way = "fit reads it in blocks; elsewhere, take some of its rows" if again else "write it into a file, and name that"
    return refusal("long", path=path, memory=spelled(memory), way=way)


def check_unchanged(path: Path, before: os.stat_result, after: os.stat_result, read: int | None = None) -> None:
    """Refuse a file that somebody has written to meanwhile, or of which another number of bytes was read.

    :raises TableChanged: that is so; of what is no file, such as a pipe, nobody can tell.
    """
    sizes = {before.st_size, after.st_size, after.st_size if read is None else read}
    same = before.st_mtime_ns == after.st_mtime_ns and len(sizes) == 1
    if stat.S_ISREG(before.st_mode) and not same:
        raise TableChanged(f"{path} was written to while it was read; try again when it is whole")


def packed(data: bytes) -> str:
    """What bytes are packed by, as the first of them say; "" of bytes that are not."""
    return "gzip" if data.startswith(GZIP) else "zstd" if data.startswith(ZSTD) else ""


@contextmanager
def unpacking(path: Path, what: str) -> Iterator[None]:
    """Refuse what cannot be unpacked in this block."""
    try:
        yield
    except (gzip.BadGzipFile, zlib.error, EOFError, Unparsed) as error:
        raise refusal("damaged", path=path, what=f"{what} file", reason=str(error).lower()) from None


def unpacked(file: BinaryIO | io.BufferedReader | io.BytesIO, what: str) -> Readable:
    """The contents of a packed file."""
    return gzip.GzipFile(fileobj=file) if what == "gzip" else ZstdReader(file)


def _unpack(path: Path, data: bytes, memory: int, *, again: bool) -> bytes:
    if not (what := packed(data)):
        return data
    parts, found = [], 0
    with unpacking(path, what):
        stream = unpacked(io.BytesIO(data), what)
        while part := stream.read1(CHUNK):
            parts.append(part)
            found += len(part)
            if found > memory // TIMES_OF_TEXT:
                raise too_long(path, memory, again=again)
    return b"".join(parts)
