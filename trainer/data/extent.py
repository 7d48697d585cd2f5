"""How far the cells of a sheet of an .xlsx workbook reach, by the places that they name in its XML."""

import io
import posixpath
import re
import zipfile
from typing import IO, NamedTuple
from xml.etree import ElementTree as ET

CHUNK, LONGEST_PLACE = 1 << 20, 16
# Enough of the short parts that say which sheet stands where.
LONGEST_PART = 1 << 22
PLACE = re.compile(rb"""\br=["']([A-Z]{1,3})([0-9]{1,7})["']""")
IDENTIFIER = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"


class Extent(NamedTuple):
    """The cells that lie farthest down and farthest to the right, and how many cells there are up to both."""

    lowest: str
    rightmost: str
    cells: int


def extent_of(data: bytes, sheet: str) -> Extent | None:
    """The extent of a sheet; None where the workbook is none of XML, or no cell names its place."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as book, book.open(_part_of(book, sheet)) as part:
            return _extent(part)
    except (zipfile.BadZipFile, ET.ParseError, KeyError, OSError, EOFError, ValueError, NotImplementedError):
        return None


def _part_of(book: zipfile.ZipFile, sheet: str) -> str:
    """The name of the part of a workbook that a sheet stands in."""
    parts = []
    for name in ("xl/workbook.xml", "xl/_rels/workbook.xml.rels"):
        with book.open(name) as file:
            parts.append(ET.fromstring(file.read(LONGEST_PART)))  # noqa: S314  Of no more than that.
    ids = {one.get("name"): one.get(IDENTIFIER) for one in parts[0].iter() if one.tag.endswith("}sheet")}
    targets = {one.get("Id"): one.get("Target", "") for one in parts[1]}
    return posixpath.normpath(posixpath.join("/xl", targets[ids[sheet]])).lstrip("/")


def _extent(part: IO[bytes]) -> Extent | None:
    lowest, rightmost = (0, ""), (0, "")
    before = b""
    while chunk := part.read(CHUNK):
        for letters, digits in PLACE.findall(before + chunk):
            if (row := int(digits)) > lowest[0]:
                lowest = (row, (letters + digits).decode())
            if (column := _number(letters)) > rightmost[0]:
                rightmost = (column, (letters + digits).decode())
        before = chunk[-LONGEST_PLACE:]
    return Extent(lowest[1], rightmost[1], lowest[0] * rightmost[0]) if lowest[0] else None


def _number(letters: bytes) -> int:
    """The number of a column, from 1."""
    number = 0
    for letter in letters:
        number = number * 26 + letter - ord("A") + 1
    return number
