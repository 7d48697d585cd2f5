"""Rows of nothing but numbers, read from JSON without an object for each number. The only module that knows simdjson.

What is not plainly that is left to those who read all JSON, and word what is wrong with it.
"""

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import simdjson

_BEGINNING = re.compile(rb'\s*\{\s*"instances"\s*:\s*\[\s*\[')


def read_numbers(body: bytes, width: int) -> npt.NDArray[np.float64] | None:
    """The (n, width) numbers of {"instances": [[number, …], …]}; None where the body is, or may be, anything else."""
    beginning = _BEGINNING.match(body)
    # Behind that, this letter is that of a null, or no number's; looking for it takes a hundredth of parsing.
    if beginning is None or body.find(b"n", beginning.end()) >= 0:
        return None
    try:
        document: Any = simdjson.Parser().parse(body)
        rows = document["instances"]
        numbers = np.frombuffer(rows.as_buffer(of_type="d")).reshape(-1, width)
        # The buffer is flat, however the arrays were nested.
        plain = len(document) == 1 and {len(row) for row in rows} == {width} and _arrays(body) == 1 + len(rows)
    except (RuntimeError, TypeError, ValueError):
        return None
    return numbers if plain else None


def _arrays(body: bytes) -> int:
    """How many arrays there are, one within another or not; counting in numpy takes an eighth of the time."""
    return int(np.count_nonzero(np.frombuffer(body, np.uint8) == ord("[")))
