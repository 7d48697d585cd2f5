"""A body in chunks (RFC 9112, section 7.1), joined as it comes."""

import re
from io import BytesIO

from service.errors import BodyTooLarge, InvalidRequest

# Of a size with its extensions, and of all trailers together.
LONGEST_LINE, LONGEST_TRAILERS = 8 << 10, 32 << 10
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_VALUE = rb'(?:%b|"(?:[^"\\\0-\x08\n-\x1f\x7f]|\\[^\0-\x08\n-\x1f\x7f])*")' % _TOKEN
# White space around `;` and `=` is allowed, for the sake of old clients; extensions mean nothing here.
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,12})[ \t]*(?:;[ \t]*%b[ \t]*(?:=[ \t]*%b[ \t]*)?)*" % (_TOKEN, _VALUE))
_TRAILER = re.compile(rb"%b:[^\0-\x08\n-\x1f\x7f]*" % _TOKEN)
LINE_END = b"\r\n"
# So many chunks are read at once, before others have their turn.
MOST_AT_ONCE = 512
TRAILERS = f"the trailers behind a body must have at most {LONGEST_TRAILERS} bytes"


class Chunks:
    """The chunks of one body. `body` is what they have come to so far, and `size` how many bytes that is."""

    def __init__(self, limit: int) -> None:
        """A body of at most `limit` bytes, of which the framing may take as much again."""
        self.body, self.size = BytesIO(), 0
        self._limit = limit
        # Bytes that the present chunk still has, its line end included; and what all lines together have taken.
        self._left = self._framing = self._trailers = 0
        self._last = False
        # Whether there may be more in the buffer than was read at once.
        self.unfinished = False

    def read(self, buffer: bytearray) -> bool:
        """Take what there is of the body out of `buffer`; whether that was its end.

        :raises InvalidRequest: it breaks the standard.
        :raises BodyTooLarge: it is longer than the limit, or its chunks are too many.
        """
        taken, self.unfinished = 0, False
        try:
            for _ in range(MOST_AT_ONCE):
                if self._left:
                    taken = self._take_data(buffer, taken)
                    if self._left:
                        return False
                end = buffer.find(LINE_END, taken, taken + LONGEST_LINE)
                if end < 0:
                    if len(buffer) - taken >= LONGEST_LINE and self._last:
                        raise BodyTooLarge(TRAILERS)
                    if len(buffer) - taken >= LONGEST_LINE or buffer.find(b"\n", taken) >= 0:
                        raise InvalidRequest("the size of a chunk must stand alone on a line, in hexadecimal digits")
                    return False
                line, taken = bytes(buffer[taken:end]), end + len(LINE_END)
                if self._last and not line:
                    return True
                self._take_line(line)
            self.unfinished = True
            return False
        finally:
            del buffer[:taken]

    def _take_data(self, buffer: bytearray, start: int) -> int:
        """Take the data of the present chunk and its line end, as far as they have come."""
        data = min(len(buffer) - start, max(self._left - len(LINE_END), 0))
        if data:
            self.size += self.body.write(memoryview(buffer)[start : start + data])
            self._left -= data
            start += data
        if 0 < self._left <= len(LINE_END):
            wanted = LINE_END[-self._left :]
            found = bytes(buffer[start : start + len(wanted)])
            if not wanted.startswith(found):
                raise InvalidRequest("a chunk is longer than its size says")
            self._left -= len(found)
            start += len(found)
        return start

    def _take_line(self, line: bytes) -> None:
        if self._last:
            self._trailers += len(line)
            if self._trailers > LONGEST_TRAILERS:
                raise BodyTooLarge(TRAILERS)
            if not _TRAILER.fullmatch(line):
                raise InvalidRequest("behind the last chunk only trailers may stand, NAME: VALUE")
            return
        match = _SIZE.fullmatch(line)
        if match is None:
            raise InvalidRequest("the size of a chunk must stand alone on a line, in hexadecimal digits")
        size = int(match[1], 16)
        self._framing += len(line) + 2 * len(LINE_END)
        if self.size + size > self._limit:
            raise BodyTooLarge(f"the body is longer than the limit of {self._limit} bytes")
        if self._framing > self._limit + LONGEST_TRAILERS:
            raise BodyTooLarge(f"the body's chunks take more than twice the limit of {self._limit} bytes")
        self._last, self._left = size == 0, size + len(LINE_END) if size else 0
