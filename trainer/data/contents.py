"""The bytes of a table's file: as they were at one moment, unpacked, and in UTF-8 where they are text."""

import codecs
import gzip
import hashlib
import os
import stat
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trainer.data.parsing import Unparsed, unpack_zstd
from trainer.data.wording import refusal
from trainer.errors import InvalidSetting, TableChanged, Unreadable

Format = Literal["csv", "parquet", "workbook"]
_CHUNK = 1 << 20
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
MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


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
    data, encoding = _as_utf8(path, data, encoding)
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
    regular = stat.S_ISREG(before.st_mode)
    if regular and not (before.st_mtime_ns == after.st_mtime_ns and len(data) == before.st_size == after.st_size):
        raise TableChanged(f"{path} was written to while it was read; try again when it is whole")
    return data, regular


def _unpack(path: Path, data: bytes) -> bytes:
    try:
        if data.startswith(GZIP):
            return gzip.decompress(data)
        if data.startswith(ZSTD):
            return unpack_zstd(data)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise refusal("damaged", path=path, what="gzip file", reason=str(error).lower()) from None
    except Unparsed as error:
        raise refusal("damaged", path=path, what="zstd file", reason=str(error)) from None
    return data


def _as_utf8(path: Path, data: bytes, encoding: str | None) -> tuple[bytes, str]:
    """Text in UTF-8, and the encoding that it was in: the given one, else by its mark, else UTF-8 or Windows-1252."""
    named = encoding
    encoding = encoding or next((name for mark, name in MARKS.items() if data.startswith(mark)), None)
    if encoding is None:
        bad = _first_bad_byte(data)
        encoding = "utf-8" if bad is None else "windows-1252"
        if bad is not None and is_utf8_elsewhere(data):
            raise refusal("half_utf8", path=path, byte=bad, value=f"{data[bad]:#04x}")
    if encoding.lower() in ("utf-8", "utf8", "utf-8-sig"):
        encoding, bad = "utf-8", _first_bad_byte(data)
        if bad is not None:
            raise refusal("other_encoding", path=path, byte=bad, value=f"{data[bad]:#04x}", encoding="UTF-8")
    else:
        data = _decoded(path, data, encoding, named=named is not None)
    if (place := data.find(b"\0")) >= 0:
        raise refusal("nul", path=path, byte=place)
    return data.removeprefix(codecs.BOM_UTF8), encoding


def _decoded(path: Path, data: bytes, encoding: str, *, named: bool) -> bytes:
    try:
        return data.decode(encoding).encode()
    except LookupError:
        raise InvalidSetting(f"no encoding is called '{encoding}'; say --encoding utf-8 or windows-1252") from None
    except UnicodeError as error:
        byte = getattr(error, "start", 0)
        code = "other_encoding" if named or encoding != "windows-1252" else "no_encoding"
        raise refusal(code, path=path, byte=byte, value=f"{data[byte]:#04x}", encoding=encoding) from None


def _first_bad_byte(data: bytes) -> int | None:
    """The first byte that is no UTF-8."""
    if data.isascii():
        return None
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(data), _CHUNK):
        chunk = data[start : start + _CHUNK]
        try:
            decoder.decode(chunk, final=start + _CHUNK >= len(data))
        except UnicodeDecodeError as error:
            # What the decoder kept from the chunk before stands at the beginning of error.object.
            return start + len(chunk) - len(error.object) + error.start
    return None


def is_utf8_elsewhere(data: bytes) -> bool:
    """Whether most of what is not ASCII is UTF-8 all the same; in Windows-1252 it is so by rare chance."""
    text = data.decode("utf-8", "replace")
    wrong = text.count("\ufffd")
    return len(text) - len(text.encode("ascii", "ignore")) - wrong > wrong
