"""Rows of nothing but numbers, read from JSON without an object for each number. The only module that knows simdjson.

What is not plainly that is left to those who read all JSON, and word what is wrong with it. So is everything where
there is no simdjson: its last release has nothing for Python 3.14.
"""

import re
from typing import Any

import numpy as np
import numpy.typing as npt

try:
    import simdjson
except ModuleNotFoundError:
    simdjson = None  # type: ignore[assignment]

_BEGINNINGS = {False: re.compile(rb"\s*\[\s*\["), True: re.compile(rb'\s*\{\s*"instances"\s*:\s*\[\s*\[')}


def read_numbers(text: bytes, width: int, named: bool = True) -> npt.NDArray[np.float64] | None:
    """The (n, width) numbers of {"instances": [[number, …], …]}, or of the array alone where it is not `named`; None
    where the text is, or may be, anything else.
    """
    beginning = _BEGINNINGS[named].match(text)
    # Behind that, this letter is that of a null, or no number's; looking for it takes a hundredth of parsing.
    if simdjson is None or beginning is None or text.find(b"n", beginning.end()) >= 0:
        return None
    try:
        document: Any = simdjson.Parser().parse(text)
        rows = document["instances"] if named else document
        numbers = np.frombuffer(rows.as_buffer(of_type="d")).reshape(-1, width)
        alone = len(document) == 1 or not named
        # The buffer is flat, however the arrays were nested.
        plain = alone and {len(row) for row in rows} == {width} and _arrays(text) == 1 + len(rows)
    except (RuntimeError, TypeError, ValueError):
        return None
    return numbers if plain else None


def _arrays(text: bytes) -> int:
    """How many arrays there are, one within another or not; counting in numpy takes an eighth of the time."""
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == ord("[")))
