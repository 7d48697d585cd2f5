"""What a request comes to, held against its allowance while it is read: rows, bytes of the answer, and memory."""

from service.document import PIECE
from service.errors import TooManyRows
from service.prediction.protocol import Allowance

# What a request may take of memory without being counted: few are read and answered at the same time.
FREE = 256 << 10
# Of the probability of a class, in an array.
FLOAT = 4


class Capacity:
    """Counts the rows of one request, to a model with so many classes, whose answer takes at most so many bytes a row.

    `long` says whether the body is so long that what is made of it counts; the rows and the answer always do.
    The memory of a row is its tensors, its probabilities, and its part of the answer twice: where parts are joined,
    there are both. What a piece of a long body unfolds to is not counted: of that each thread has one at a time.
    """

    __slots__ = ("_allowance", "_longest", "_row", "_rows", "_taken", "_tensors", "long")

    def __init__(self, allowance: Allowance, body: bytes, classes: int, longest: int) -> None:
        self.long = len(body) > PIECE
        self._allowance = allowance
        self._longest = longest
        self._row = FLOAT * classes + 2 * longest
        self._rows = self._tensors = self._taken = 0

    def grow(self, rows: int, more: int = 0) -> None:
        """There are so many rows by now, and so many bytes more of tensors.

        :raises TooManyRows: there are more than a request may have, or their answer would be too long.
        :raises BodyTooLarge: there is not so much memory for a request.
        :raises Overloaded: there is not so much memory at the moment.
        """
        if rows > self._rows:
            most, most_bytes = self._allowance[:2]
            if rows > most or rows * self._longest > most_bytes:
                raise self._refusal(rows)
            self._rows = rows
        self._tensors += more
        needed = self._tensors + self._rows * self._row
        if needed > FREE:
            self._allowance.memory.take(needed - self._taken)
            self._taken = needed

    def _refusal(self, rows: int) -> TooManyRows:
        most, most_bytes = self._allowance[:2]
        if rows > most:
            return TooManyRows(f"a request may have {most} rows (EVENKEEL_MAX_ROWS); send them in several requests")
        fit = most_bytes // self._longest
        way = f"send at most {fit} rows at once" if fit else "raise the limit to ask this model"
        return TooManyRows(
            f"the answer may take {self._longest} bytes a row, and {most_bytes} in all "
            f"(EVENKEEL_MAX_ANSWER_BYTES); {way}"
        )
