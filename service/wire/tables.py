"""Tables as CSV: a header, and the rows below it."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence

from models.features import Feature, Value, cell_reader
from service.document import PIECE
from service.errors import BodyTooLarge, MalformedBody

# So many cells are read at once.
MOST_CELLS = 1 << 15
MOST_CHARSET = 32
# Those that spreadsheets write. Python knows more, some of which are slow, and keeps each name that it was asked for.
CHARSETS = frozenset(
    {
        *(
            "utf-8",
            "utf8",
            "utf-8-sig",
            "utf-16",
            "utf-16le",
            "utf-16be",
            "utf-16-le",
            "utf-16-be",
            "us-ascii",
            "ascii",
        ),
        *("latin-1", "latin1", *(f"iso-8859-{part}" for part in (1, 2, 5, 7, 9, 15))),
        *(f"{name}{page}" for name in ("windows-", "cp") for page in range(1250, 1259)),
    }
)
DELIMITERS = (",", ";", "\t", "|")


class CsvTable:
    """A table with a header, to be read once: it gives its rows, some at a time.

    Each cell is read as training read its column, and other columns are passed over. The delimiter is the one by which
    the header names most features.
    """

    def __init__(self, body: bytes, features: Sequence[Feature], charset: str = "utf-8") -> None:
        """Read the header.

        :raises MalformedBody: there is none, or the charset is none that Python knows.
        """
        self._charset = charset.upper()[:MOST_CHARSET]
        if charset.lower() not in CHARSETS:
            raise MalformedBody(f"a CSV in {self._charset} is not read; send it in UTF-8")
        by_name = {feature.name: feature for feature in features}
        try:
            headers = {delimiter: _header(body, charset, delimiter) for delimiter in DELIMITERS}
            delimiter = max(DELIMITERS, key=lambda one: sum(name in by_name for name in headers[one]))
            self._lines = _Lines(body, charset)
        except UnicodeError:
            raise self._malformed() from None
        self._rows = csv.reader(self._lines, delimiter=delimiter, strict=True)
        header = self._next()
        if header is None:
            raise MalformedBody("the body has no header; its first line must name the features")
        names = [name.strip() for name in header]
        self._width = len(names)
        self._readers = [(place, _reader(by_name[name])) for place, name in enumerate(names) if name in by_name]
        self.header = [names[place] for place, _ in self._readers]
        # Columns that are passed over.
        self.others = [name for name in names if name not in by_name]

    def __iter__(self) -> Iterator[list[list[Value]]]:
        """The rows.

        :raises MalformedBody: the body is no CSV in its charset, or a row is shorter than the header, or longer.
        :raises BodyTooLarge: a row is too long to be one.
        """
        readers, width = self._readers, self._width
        number, most = 0, max(1, MOST_CELLS // max(1, width))
        some: list[list[Value]] = []
        while (row := self._next()) is not None:
            if len(row) != width:
                if len(row) == 1 and not row[0].strip():
                    continue
                raise MalformedBody(f"row {number} of the CSV has {len(row)} cells; its header has {width}")
            some.append([read(row[place]) for place, read in readers])
            number += 1
            if len(some) == most:
                yield some
                some = []
        if some:
            yield some

    def _next(self) -> list[str] | None:
        """The next row that is not blank."""
        self._lines.left = PIECE
        try:
            return next(filter(None, self._rows), None)
        except (UnicodeError, csv.Error):
            raise self._malformed() from None

    def _malformed(self) -> MalformedBody:
        return MalformedBody(f"the body is no CSV in {self._charset}")


def _header(body: bytes, charset: str, delimiter: str) -> list[str]:
    try:
        found = next(filter(None, csv.reader(_Lines(body, charset), delimiter=delimiter, strict=True)), [])
    except csv.Error:
        return []
    return [name.strip() for name in found]


class _Lines:
    """The lines of a body, as long as those of one row are no longer than `left` characters together."""

    def __init__(self, body: bytes, charset: str) -> None:
        self.left = PIECE
        encoding = "utf-8-sig" if charset.lower() in ("utf-8", "utf8") else charset
        self._text = io.TextIOWrapper(io.BytesIO(body), encoding, newline="")

    def __iter__(self) -> Iterator[str]:
        while line := self._text.readline(self.left + 1):
            self.left -= len(line)
            if self.left < 0:
                raise BodyTooLarge(f"a row of the CSV is too long: it may have {PIECE} characters")
            yield line


def _reader(feature: Feature) -> Callable[[str], Value]:
    """Reads a cell; what is none of the feature's values stays a text, which the card then refuses by its place."""
    read = cell_reader(feature)

    def read_or_keep(cell: str) -> Value:
        try:
            return read(cell)
        except ValueError:
            return cell

    return read_or_keep
