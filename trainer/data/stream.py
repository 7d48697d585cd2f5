"""A table of one file, or of a folder of files, that is read from its first row to its last as often as needed.

Whatever happens between two readings, they see the same rows, or the second one is refused.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from trainer.data.blocks import Block, Blocks, open_blocks
from trainer.data.columns import Cells, kind_of, typed_column, untyped_column
from trainer.data.decoded import Decoded
from trainer.data.encoding import CHUNK
from trainer.data.parsing import ArrowTable, release
from trainer.data.schema import FileSchema
from trainer.data.unreadable import unreadable
from trainer.data.wording import refusal
from trainer.errors import InvalidTable, TableChanged, Unreadable


@dataclass(frozen=True, eq=False)
class Part:
    """Some rows that follow each other, and the number of the `first` of them in the whole table, from 0.

    All parts of a table have the same columns in the same order.
    """

    block: Block
    first: int
    table: ArrowTable
    head: "Head"

    def __len__(self) -> int:
        return len(self.block)

    def decoded(self) -> Decoded:
        """The rows as a table of their own, which knows where they stand in the file."""
        columns = cells_of(self.table, typed=self.head.typed)
        return Decoded(self.block.path, "", columns, len(self), FileSchema(), self.block.place)


@dataclass(frozen=True, eq=False)
class Head:
    """What a file says of its columns: their `names`, the `kinds` that it declares, and those that number the rows.

    The names stand in its `place`.
    """

    path: Path
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    typed: bool
    numbering: tuple[str, ...]
    delimiter: str
    place: str

    @classmethod
    def of(cls, path: Path, opened: Blocks) -> "Head":
        kinds = tuple(kind_of(column) for column in opened.empty.columns)
        return cls(path, opened.names, kinds, opened.typed, opened.numbering, opened.delimiter, opened.heading)

    def check(self, other: "Head") -> None:
        """Refuse another file of the same table that has other columns; their order may be another.

        :raises InvalidTable: it has.
        """
        for name in self.names:
            if name not in other.names:
                raise refusal("file_lacks", place=other.place, name=name, table=self.path)
        for name in other.names:
            if name not in self.names:
                raise refusal("file_adds", place=other.place, name=name, table=self.path)
        kinds = dict(zip(other.names, other.kinds, strict=True))
        for name, kind in zip(self.names, self.kinds, strict=True):
            if kind != kinds[name] and kind and kinds[name]:
                raise refusal("file_holds", path=other.path, name=name, held=kinds[name], table=self.path, other=kind)


@dataclass(frozen=True, eq=False)
class Stream:
    """The table at `path`: its `files` as they were when it was found."""

    path: Path
    files: tuple[Path, ...]
    given: FileSchema
    states: tuple[os.stat_result, ...]

    @classmethod
    def of(cls, path: Path, given: FileSchema) -> "Stream":
        """Find the files of a table; `given` overrules what their bytes say of themselves.

        :raises Unreadable: there are none, or one cannot be read.
        """
        files = files_of(path)
        return cls(path, files, given, tuple(map(_state, files)))

    def parts(self, notes: list[str] | None = None, encodings: set[str] | None = None) -> Iterator[Part]:
        """All rows, in order. What is remarkable about the files, and how they are encoded, is added to the arguments.

        :raises Unreadable: a file is gone or cannot be read.
        :raises TableChanged: the table is not what it was when it was found.
        :raises InvalidTable: a file is no table, or has other columns than the first.
        """
        head: Head | None = None
        row = 0
        for path, before in zip(self.files, self.states, strict=True):
            _check(path, before)
            with self.unchanged(), open_blocks(path, self.given) as opened:
                own = Head.of(path, opened)
                head = head or own
                head.check(own)
                for block in opened.blocks:
                    _check_width(block)
                    yield Part(block, row, block.table.select(head.names), own)
                    row += len(block)
                if notes is not None:
                    notes += [one for one in opened.notes if one not in notes]
                if encodings is not None:
                    encodings |= {opened.encoding() or "utf-8"}
            _check(path, before)
            release()
        if files_of(self.path) != self.files:
            raise TableChanged(f"{self.path} has other files than before; try again when it is whole")

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Refuse what is refused in this block for the change, where a file was written to meanwhile.

        :raises TableChanged: the table is not what it was when it was found.
        """
        try:
            yield
        except InvalidTable:
            for path, before in zip(self.files, self.states, strict=True):
                _check(path, before)
            raise

    def where(self, row: int) -> str:
        """Where a row stands, for a sentence; the table is read again up to it."""
        part = next(part for part in self.parts() if row < part.first + len(part))
        place = part.block.place(row - part.first)
        return place if self.files == (self.path,) else f"{part.block.path.name}, {place}"

    def digest(self) -> str:
        """The SHA-256 of the file, or of the names and digests of all files of a folder."""
        digests = [_digest(path) for path in self.files]
        if self.files == (self.path,):
            return digests[0]
        lines = [f"{path.name}\0{digest}\n" for path, digest in zip(self.files, digests, strict=True)]
        return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def files_of(path: Path) -> tuple[Path, ...]:
    """The files of a table, in the order of their names. What begins with a dot or an underscore is none of them.

    :raises Unreadable: there are none.
    :raises InvalidTable: there is a folder among them.
    """
    if not path.is_dir():
        return (path,)
    try:
        files = tuple(sorted(one for one in path.iterdir() if one.name[0] not in "._"))
    except OSError as error:
        raise unreadable(path, error) from None
    if not files:
        raise Unreadable(f"{path}: an empty folder; name one with the files of a table")
    for one in files:
        if one.is_dir():
            raise refusal("folder", path=path, name=one.name)
    return files


def cells_of(table: ArrowTable, *, typed: bool) -> dict[str, Cells]:
    """The columns of a table by name."""
    read = typed_column if typed else untyped_column
    return {name: read(column) for name, column in zip(table.column_names, table.columns, strict=True)}


def _check_width(block: Block) -> None:
    for row, rule in block.broken.items():
        expected, found = re.findall(r"\d+", rule)
        line = block.place(row).removeprefix("line ")
        raise refusal("ragged", path=block.path, line=line, expected=expected, found=found)


def _state(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise unreadable(path, error) from None


def _check(path: Path, before: os.stat_result) -> None:
    try:
        now = path.stat()
    except OSError:
        raise TableChanged(f"{path} is gone; try again when the table is whole") from None
    if (now.st_ino, now.st_size, now.st_mtime_ns) != (before.st_ino, before.st_size, before.st_mtime_ns):
        raise TableChanged(f"{path} was written to while the table was read; try again when it is whole")


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise unreadable(path, error) from None
    return digest.hexdigest()
