"""Tables as CSV: a header, and the rows below it."""

import csv
import io
import math
from collections.abc import Iterator, Sequence

from models.features import Feature
from service.document import PIECE
from service.errors import BodyTooLarge, MalformedBody

# So many cells are read at once.
MOST_CELLS = 1 << 15


class CsvTable:
    """A table with a header, to be read once: it gives its rows, some at a time.

    An empty cell is a missing value, a number is one in Python's notation.
    """

    def __init__(self, body: bytes, features: Sequence[Feature]) -> None:
        """Read the header.

        :raises MalformedBody: there is none.
        """
        self._lines = _Lines(body)
        self._rows = csv.reader(self._lines, strict=True)
        header = self._next()
        if header is None:
            raise MalformedBody("the body has no header; its first line must name the features")
        self.header = header
        numeric = {feature.name for feature in features if feature.kind == "numeric"}
        self._readers = [_number if name in numeric else _text for name in header]

    def __iter__(self) -> Iterator[list[list[float | str | None]]]:
        """The rows.

        :raises MalformedBody: the body is no CSV in UTF-8, or a row is shorter than the header, or longer.
        :raises BodyTooLarge: a row is too long to be one.
        """
        readers, width = self._readers, len(self.header)
        number, most = 0, max(1, MOST_CELLS // max(1, width))
        some: list[list[float | str | None]] = []
        while (row := self._next()) is not None:
            if len(row) != width:
                raise MalformedBody(f"row {number} of the CSV has {len(row)} cells; its header has {width}")
            some.append([reader(cell) for reader, cell in zip(readers, row, strict=True)])
            number += 1
            if len(some) == most:
                yield some
                some = []
        if some:
            yield some

    def _next(self) -> list[str] | None:
        self._lines.left = PIECE
        try:
            return next(self._rows, None)
        except (UnicodeDecodeError, csv.Error):
            raise MalformedBody("the body is no CSV in UTF-8") from None


class _Lines:
    """The lines of a body, as long as those of one row are no longer than `left` characters together."""

    def __init__(self, body: bytes) -> None:
        self.left = PIECE
        self._text = io.TextIOWrapper(io.BytesIO(body), "utf-8-sig", newline="")

    def __iter__(self) -> Iterator[str]:
        while line := self._text.readline(self.left + 1):
            self.left -= len(line)
            if self.left < 0:
                raise BodyTooLarge(f"a row of the CSV is too long: it may have {PIECE} characters")
            yield line


def _number(cell: str) -> float | str | None:
    """A number; what is none, or not a finite one, stays a text, which the card then refuses by its place."""
    try:
        number = float(cell) if "_" not in cell else math.nan
    except ValueError:
        number = math.nan
    return number if math.isfinite(number) else cell or None


def _text(cell: str) -> str | None:
    return cell or None
