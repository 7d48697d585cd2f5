"""The bytes of a table's file: as they were at one moment, unpacked, and in UTF-8 where they are text."""

import gzip
import hashlib
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trainer.data.encoding import whole_text
from trainer.data.parsing import Unparsed, unpack_zstd
from trainer.data.wording import refusal
from trainer.errors import TableChanged, Unreadable

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


def read_contents(path: Path, encoding: str | None = None) -> Contents:
    """Read a file whole; its first bytes tell what it is, whatever its name, and `encoding` what its text is in.

    :raises Unreadable: it is not there or cannot be read.
    :raises TableChanged: it was written to in the meantime.
    :raises InvalidTable: it is no table, is damaged, or its text is in another encoding.
    """
    raw, again = _read_bytes(path)
    data = _unpack(path, raw)
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


def _read_bytes(path: Path) -> tuple[bytes, bool]:
    try:
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            data = file.read()
            after = os.fstat(file.fileno())
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror}") from None
    check_unchanged(path, before, after, len(data))
    return data, stat.S_ISREG(before.st_mode)


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


def _unpack(path: Path, data: bytes) -> bytes:
    unpack = {"gzip": gzip.decompress, "zstd": unpack_zstd}.get(what := packed(data))
    with unpacking(path, what):
        return unpack(data) if unpack else data
