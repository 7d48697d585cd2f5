"""A table that is read in blocks as one decoded table: all of its rows, or a uniform sample of them."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from trainer.data.contents import too_long
from trainer.data.decoded import Decoded
from trainer.data.hashing import Hashes, mixed
from trainer.data.parsing import ArrowTable, Unparsed, release, stacked, take_rows
from trainer.data.schema import FileSchema
from trainer.data.size import TIMES_OF_TEXT, memory_for_tables
from trainer.data.stream import Part, Stream, cells_of
from trainer.data.wording import refusal

# By so many rows, or of a wide table by so many cells, the columns of a long table are judged.
MOST_ROWS, MOST_CELLS = 200_000, 4_000_000
EVERYTHING = np.uint64(0xFFFFFFFFFFFFFFFF)


def decode_all(stream: Stream, memory: int | None = None) -> Decoded:
    """All rows of a table.

    :param memory: how many bytes of memory it may take; half of what there is, where nobody says.
    :raises LargerThanMemory: it takes more.
    :raises TrainerError: it cannot be read, is no table, or changes meanwhile.
    """
    return _decoded(stream, Drawn(None), memory_for_tables(memory))[0]


def decode_sample(stream: Stream) -> tuple[Decoded, int]:
    """Some rows of a table, each as likely as any other and always the same ones; and how many rows it has.

    :raises TrainerError: it cannot be read, is no table, or changes meanwhile.
    """
    return _decoded(stream, Drawn(MOST_ROWS))


@dataclass(eq=False)
class Drawn:
    """The rows whose numbers have the lowest hashes, no more than `most` of them."""

    most: int | None
    rows: int = 0
    upto: np.uint64 = EVERYTHING
    pieces: list[tuple[ArrowTable, Hashes, npt.NDArray[np.int64]]] = field(default_factory=list)

    def look(self, part: Part) -> None:
        """Draw from the rows that follow those before."""
        if self.most is not None:
            self.most = max(1, min(self.most, MOST_CELLS // len(part.table.columns)))
        numbers = np.arange(part.first, part.first + len(part))
        self.rows += len(part)
        self.pieces += self._low(
            [(part.table, mixed(np.zeros(len(part), np.uint64), numbers.astype(np.uint64)), numbers)]
        )
        while self.most is not None and sum(len(numbers) for _, _, numbers in self.pieces) > self.most:
            self.upto //= np.uint64(2)
            self.pieces = list(self._low(self.pieces))

    def _low(
        self, pieces: list[tuple[ArrowTable, Hashes, npt.NDArray[np.int64]]]
    ) -> Iterator[tuple[ArrowTable, Hashes, npt.NDArray[np.int64]]]:
        for table, hashes, numbers in pieces:
            low = hashes <= self.upto
            if low.all():
                yield table, hashes, numbers
            elif low.any():
                yield take_rows(table, low), hashes[low], numbers[low]


def _decoded(stream: Stream, drawn: Drawn, memory: int | None = None) -> tuple[Decoded, int]:
    notes: list[str] = []
    encodings: set[str] = set()
    digest = stream.digest()
    part, taken = None, 0
    for part in stream.parts(notes, encodings):
        drawn.look(part)
        taken += part.table.nbytes
        if memory is not None and taken * TIMES_OF_TEXT > memory:
            raise too_long(stream.path, memory, again=True)
    if part is None:
        raise refusal("no_rows", path=stream.path, head="a header")
    head, given = part.head, stream.given
    numbers = np.concatenate([numbers for _, _, numbers in drawn.pieces])
    try:
        table = stacked([table for table, _, _ in drawn.pieces])
    except Unparsed as error:
        raise refusal("damaged", path=stream.path, what="table in several files", reason=error) from None
    drawn.pieces.clear()
    columns = cells_of(table, typed=head.typed)
    del table
    release()
    file = FileSchema(total=given.total, decimal=given.decimal)
    if not head.typed:
        encoding = next(iter(sorted(encodings - {"utf-8"})), "utf-8")
        file = file.model_copy(update={"delimiter": head.delimiter, "encoding": encoding})

    def line(row: int) -> str:
        return stream.where(int(numbers[row]))

    decoded = Decoded(stream.path, digest, columns, len(numbers), file, line, head.numbering, notes=tuple(notes))
    return decoded, drawn.rows
