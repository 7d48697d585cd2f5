"""JSON on the wire. The only module that knows orjson.

Strict: UTF-8 without a byte order mark, no NaN or Infinity, no number beyond a 64-bit float, no lone surrogate. Where a
key is given twice, the last one counts.

What JSON unfolds to takes up to thirty times its bytes, and reading it holds the interpreter until it is done. So of a
body that is longer than a piece only what leads to its long arrays is read at once; these are read a piece at a time,
by whoever needs them. That a text is JSON is still orjson's word alone: where runs of elements are each an array by
themselves, together with commas between them they are one, wherever it was cut.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from service.errors import BodyTooLarge, MalformedBody
from service.outline import Outline

JSON = "application/json"
# No row, text or short body is longer; it takes orjson some 25 ms and 16 MB at worst. Of short elements a piece has a
# half of that at most.
PIECE = 512 << 10
# As orjson has it.
DEEPEST = 1024
# So many long arrays and objects may lie within each other: an inference request has one more than half of them.
MOST_LEVELS = 8

_BLANKS = re.compile(rb"[ \t\n\r]*")
_KEY = re.compile(rb'[ \t\n\r]*("[^"\\]*(?:\\.[^"\\]*)*")[ \t\n\r]*:', re.DOTALL)
_CLOSING = {b"[": b"]", b"{": b"}"}


class Piece(NamedTuple):
    """Elements that follow each other in a long array: their text, as an array of their own; or, without a text, one
    that was read already.
    """

    text: bytes
    start: int = 0
    may_be_empty: bool = False
    element: Any = None

    def elements(self) -> list[Any]:
        """The elements.

        :raises MalformedBody: they are not JSON.
        """
        if not self.text:
            return [self.element]
        elements: list[Any] = _parse(self.text, self.start)
        if not (elements or self.may_be_empty):
            raise MalformedBody(f"the body is not JSON: there is no value before the comma or bracket at {self.start}")
        return elements


class LongArray:
    """An array that is longer than a piece, to be read once: it gives its elements in pieces, in their order.

    An element that is itself longer than a piece is a piece of its own, and a LongArray or a LongObject.
    """

    def __init__(self, text: "_LongText", start: int, end: int, level: int) -> None:
        self._text, self._start, self._end, self._level = text, start, end, level

    def __iter__(self) -> Iterator[Piece]:
        """The pieces.

        :raises MalformedBody: something between them is not JSON.
        :raises BodyTooLarge: one of the elements is a text that is too long.
        """
        whole = self._start + 1, self._end
        for start, end in self._text.runs(self._start, self._end):
            if end - start > self._text.longest:
                yield Piece(b"", element=self._text.read(start, end, self._level))
            else:
                yield Piece(b"[%b]" % self._text.text[start:end], start - 1, (start, end) == whole)


class LongObject:
    """An object that is longer than a piece, to be read once: it gives its members in pieces, in their order."""

    def __init__(self, text: "_LongText", start: int, end: int, level: int) -> None:
        self._text, self._start, self._end, self._level = text, start, end, level

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The pieces.

        :raises MalformedBody: something is not JSON.
        :raises BodyTooLarge: one of the values is a text that is too long.
        """
        for start, end in self._text.runs(self._start, self._end):
            yield self._members(start, end)

    def whole(self) -> dict[str, Any]:
        """All members at once, the long ones to be read yet.

        :raises MalformedBody: something is not JSON.
        :raises BodyTooLarge: beside long arrays it is longer than a piece.
        """
        found: dict[str, Any] = {}
        left = self._text.longest
        for start, end in self._text.runs(self._start, self._end):
            members = self._members(start, end)
            left -= end - start if end - start <= self._text.longest else 0
            if left < 0:
                raise BodyTooLarge(
                    f"an object in the body is too long: beside its arrays it may have {self._text.longest} bytes"
                )
            for key in members.keys() & found.keys():
                drain(found[key])
            found |= members
        return found

    def _members(self, start: int, end: int) -> dict[str, Any]:
        text = self._text
        if end - start <= text.longest:
            members: dict[str, Any] = _parse(b"{%b}" % text.text[start:end], start - 1)
            if members or (start, end) == (self._start + 1, self._end):
                return members
        elif key := _KEY.match(text.text, start, min(end, start + text.longest)):
            return {_parse(key[1], key.start(1)): text.read(key.end(), end, self._level)}
        raise MalformedBody(f"the body is not JSON: there is no key at {start}")


class _LongText:
    """A text that is longer than a piece."""

    def __init__(self, text: bytes, longest: int) -> None:
        self.text, self.longest = text, longest
        self._outline = Outline(text, max(1, longest // 4))
        if self._outline.depth > DEEPEST:
            raise MalformedBody(f"the body is not JSON that is read: it is nested deeper than {DEEPEST} levels")

    def read(self, start: int, end: int, level: int) -> Any:
        """The value from `start` to `end`, and nothing beside it but blanks."""
        text = self.text
        first = _end_of_blanks(text, start, end)
        opening = text[first : first + 1] if first < end else b""
        if opening not in _CLOSING:
            return self._short(first, min(end, first + self.longest), end)
        close = self._outline.end(first)
        if not first < close < end or text[close : close + 1] != _CLOSING[opening]:
            raise MalformedBody(f"the body is not JSON: what begins at {first} does not end")
        if close - first < self.longest:
            return self._short(first, close + 1, end)
        if _end_of_blanks(text, close + 1, end) != end:
            raise MalformedBody(f"the body is not JSON: there is more than a value before {end}")
        if level == MOST_LEVELS:
            raise MalformedBody(f"the body is nested too deep: more than {MOST_LEVELS} of its arrays are long")
        kind = LongArray if opening == b"[" else LongObject
        return kind(self, first, close, level + 1)

    def runs(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """From where to where elements reach, without the commas between: many where they are short, one that is long.

        `start` and `end` are the brackets around them.
        """
        at = start + 1
        for first, last in self._outline.cuts(start, end):
            if last - at > self.longest:
                yield at, first
                at = first + 1
            if at <= last:
                yield at, last
                at = last + 1
        yield at, end

    def _short(self, start: int, stop: int, end: int) -> Any:
        """A value that is no longer than a piece, and perhaps blanks behind it."""
        if _end_of_blanks(self.text, stop, end) != end:
            if self.text[start : start + 1] == b'"':
                raise BodyTooLarge(f"a text in the body is too long: it may have {self.longest} bytes")
            raise MalformedBody(f"the body is not JSON: there is no value at {start}")
        return _parse(self.text[start:stop], start)


def decode(body: bytes, longest: int = PIECE) -> Any:
    """Read a document. One that is longer than `longest` bytes may hold LongArrays and, within these or within another
    object, LongObjects.

    :raises MalformedBody: it is not JSON, as far as it was read.
    :raises BodyTooLarge: in a long one a text, or an object beside its arrays, is longer than a piece.
    """
    if len(body) <= longest:
        return _parse(body)
    document = _LongText(body, longest).read(0, len(body), 0)
    return document.whole() if isinstance(document, LongObject) else document


def drain(value: Any) -> None:
    """Read to its end what is of no further use: where it is not JSON, the body is not.

    :raises MalformedBody: it is not JSON.
    """
    if isinstance(value, LongArray):
        for piece in value:
            for element in piece.elements():
                drain(element)
    elif isinstance(value, LongObject):
        for members in value:
            for member in members.values():
                drain(member)


def encode(document: object) -> bytes:
    """Write a document; arrays of 32-bit floats come out in the shortest digits that read back as the same floats."""
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def encoded(text: bytes) -> object:
    """JSON that is written already, as a part of a document that is to be encoded."""
    return orjson.Fragment(text)


def _parse(text: bytes, start: int = 0) -> Any:
    """Read a text whole. `start` is where it stands in the body."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        place = f"{error.msg} near byte {start + error.pos}" if start else error
        raise MalformedBody(f"the body is not JSON: {place}") from None


def _end_of_blanks(text: bytes, start: int, end: int) -> int:
    match = _BLANKS.match(text, start, end)
    assert match is not None
    return match.end()
