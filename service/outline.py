"""The outline of a long JSON text: where its arrays and objects end and where they may be cut, found by numpy.

The text is looked at one window at a time, so that this takes memory for one window, and so that no call holds the
interpreter for long. Nothing is checked: in a text that is not JSON the places are just any, and whoever cuts there has
to read each piece as JSON of its own.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

QUOTE, OPENS, CLOSES, COMMA = 1, 2, 3, 4
# What each byte is; in UTF-8 none of these is ever part of another character.
_KINDS = bytes(
    {34: QUOTE, 91: OPENS, 123: OPENS, 93: CLOSES, 125: CLOSES, 44: COMMA}.get(byte, 0) for byte in range(256)
)
_STEPS = np.array([0, 0, 1, -1, 0], np.int32)
_BACKSLASH = 92


class _State(NamedTuple):
    """What the bytes before a window leave behind: whether it begins within a text, or behind a backslash, and how many
    arrays and objects are open.
    """

    within: bool = False
    escaped: bool = False
    depth: int = 0


class _Marks(NamedTuple):
    """The brackets and commas of a window that stand in no text: where, which, and how deep it is behind each."""

    places: npt.NDArray[np.intp]
    kinds: npt.NDArray[np.uint8]
    depths: npt.NDArray[np.int32]


class Outline:
    """The outline of one text. `depth` is how deep its deepest place is."""

    def __init__(self, text: bytes, window: int) -> None:
        self._text = text
        self._window = window
        self._states: list[_State] = []
        # Of each window, how deep its least deep place is.
        self._least: list[int] = []
        self._last: tuple[int, _Marks] | None = None
        self.depth, state = 0, _State()
        for number in range(-(-len(text) // window)):
            self._states.append(state)
            marks, state = self._look(number)
            depths = marks.depths if len(marks.depths) else np.array([state.depth])
            self._least.append(int(depths.min()))
            self.depth = max(self.depth, int(depths.max()))

    def end(self, start: int) -> int:
        """Where the array or object ends that begins at `start`: the place of its bracket; -1 where it never does."""
        number = start // self._window
        marks = self._marks(number)
        found = int(np.searchsorted(marks.places, start))
        if found == len(marks.places) or marks.places[found] != start:
            return -1
        depth = int(marks.depths[found])
        later = np.flatnonzero(marks.depths[found:] < depth)
        if len(later):
            return int(marks.places[found + later[0]])
        for later_window in range(number + 1, len(self._states)):
            if self._least[later_window] < depth:
                marks = self._marks(later_window)
                return int(marks.places[np.flatnonzero(marks.depths < depth)[0]])
        return -1

    def cuts(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The first and the last comma, in each window that has some, between the elements of an array or object from
        the bracket at `start` to the one at `end`.
        """
        depth = None
        for number in range(start // self._window, end // self._window + 1):
            marks = self._marks(number)
            if depth is None:
                depth = marks.depths[np.searchsorted(marks.places, start)]
            places = marks.places[(marks.kinds == COMMA) & (marks.depths == depth)]
            places = places[np.searchsorted(places, start) : np.searchsorted(places, end)]
            if len(places):
                yield int(places[0]), int(places[-1])

    def _marks(self, number: int) -> _Marks:
        """The marks of a window; of the one that was asked for last, without looking again."""
        if self._last is None or self._last[0] != number:
            self._last = number, self._look(number)[0]
        return self._last[1]

    def _look(self, number: int) -> tuple[_Marks, _State]:
        """The marks of a window, and the state behind it."""
        state, start = self._states[number], number * self._window
        piece = self._text[start : start + self._window]
        kinds = np.frombuffer(piece.translate(_KINDS), np.uint8)
        places = np.flatnonzero(kinds)
        escaped = False
        if state.escaped or b"\\" in piece:
            plain, escaped = _unescaped(np.frombuffer(piece, np.uint8), state.escaped)
            places = places[plain[places]]
        kinds = kinds[places]
        quotes = kinds == QUOTE
        # Only whether there were more opening than closing ones counts, so a byte is enough to count them.
        within = (np.cumsum(quotes, dtype=np.uint8) + state.within) & 1
        marks = ~(quotes | within.view(bool))
        places, kinds = places[marks] + start, kinds[marks]
        depths = np.cumsum(_STEPS[kinds], dtype=np.int32) + np.int32(state.depth)
        behind = _State(
            bool(within[-1]) if len(within) else state.within,
            escaped,
            int(depths[-1]) if len(depths) else state.depth,
        )
        return _Marks(places, kinds, depths), behind


def _unescaped(text: npt.NDArray[np.uint8], escaped: bool) -> tuple[npt.NDArray[np.bool_], bool]:
    """Which bytes stand behind no backslash that escapes them, and whether the last of them escapes what follows."""
    slashes = np.flatnonzero(text == _BACKSLASH)
    if escaped and len(slashes) and slashes[0] == 0:
        slashes = slashes[1:]
    # Of backslashes in a row every other one escapes what is behind it, the first to begin with.
    order = np.arange(len(slashes))
    begins = np.diff(slashes, prepend=-2) != 1
    escaping = slashes[(order - np.maximum.accumulate(np.where(begins, order, 0))) % 2 == 0]
    plain = np.ones(len(text) + 1, bool)
    plain[escaping + 1] = False
    plain[0] = not escaped
    return plain, not plain[-1]
