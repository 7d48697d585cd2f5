"""The newest answers, in memory that the processes of a service have in common, for whoever learns what was right.

Each process writes rows into rings of its own, and whoever is asked looks through the rings of all. A row is found by
a hash of its request's id and of its place in the request; ids themselves are not kept, nor is anything of the rows.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from service.rows.tensors import Probabilities

# Of more classes, so many are kept, the most probable ones; all others share what is left.
KEPT = 16
UNLABELLED = -1
# Whose answer it is (0 is nobody's), when it was given and when it got its label, in seconds since 1970, that label,
# and the probabilities, in the order of `classes`, which are the card's own where it has no more than KEPT.
RECORD = np.dtype(
    [
        ("owner", np.uint64),
        ("answered", np.float64),
        ("labelled", np.float64),
        ("label", np.int32),
        ("probabilities", np.float32, KEPT),
        ("classes", np.uint16, KEPT),
    ]
)
_HEAD_BYTES, _KEY_BYTES, _COMMON_BYTES = 8, 8, 24
# The places of `counts`.
ASKED, HEARD = 0, 1
# Odd, and of random bits: no two rows of a request have the same key (Steele et al. 2014, Fast splittable generators).
_STEP = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1
# A key that is looked for is told from most others by so many bits, and so many keys are looked through at once.
_SIEVE = np.uint64((1 << 16) - 1)
_TOGETHER = 1 << 16

Keys = npt.NDArray[np.uint64]
Records = npt.NDArray[Any]


def key_of(request_id: str, place: int = 0) -> int:
    """The key of a row of a request. Workers agree on it, for they are forks of one process."""
    return (hash(request_id) + place * _STEP) & _MASK or 1


def keys_of(
    request_ids: Sequence[str], counts: Sequence[int] = (), places: Sequence[int] | npt.NDArray[np.int64] = ()
) -> Keys:
    """The same of the first rows of requests; or, with `counts`, of so many rows of each, which have these `places`."""
    keys: Keys = np.array(list(map(hash, request_ids)), np.int64).view(np.uint64)
    if len(counts):
        keys = np.repeat(keys, counts) + np.array(places, np.uint64) * np.uint64(_STEP)
    keys[keys == 0] = 1
    return keys


def ring_bytes(rows: int) -> int:
    """The memory of a ring."""
    return _HEAD_BYTES + rows * (_KEY_BYTES + RECORD.itemsize)


def records_of(owner: int, answered: float | npt.NDArray[np.float64], probabilities: Probabilities) -> Records:
    """Records of rows with these probabilities (n, classes), without labels, answered at once or each at its time."""
    rows, classes = probabilities.shape
    records = np.zeros(rows, RECORD)
    records["owner"], records["answered"], records["label"] = owner, answered, UNLABELLED
    if classes <= KEPT:
        records["probabilities"][:, :classes] = probabilities
    else:
        kept = np.sort(np.argpartition(probabilities, -KEPT, axis=1)[:, -KEPT:], axis=1)
        records["probabilities"], records["classes"] = np.take_along_axis(probabilities, kept, axis=1), kept
    return records


class Ring:
    """The newest rows of one process, which alone writes here, one thread at a time."""

    def __init__(self, memory: memoryview, rows: int) -> None:
        keys = memory[_HEAD_BYTES : _HEAD_BYTES + rows * _KEY_BYTES]
        self._rows, self._head = rows, memory[:_HEAD_BYTES].cast("Q")
        self.keys = np.frombuffer(keys, np.uint64)
        self.records = np.frombuffer(memory[_HEAD_BYTES + rows * _KEY_BYTES :], RECORD)

    def extend(self, keys: Keys, records: Records) -> None:
        """Write rows; of more than there is room for, the last."""
        keys, records = keys[-self._rows :], records[-self._rows :]
        head = self._head[0]
        at = head % self._rows
        # As far as the end of the ring, and from its beginning.
        before = min(len(keys), self._rows - at)
        for to, some in ((at, slice(0, before)), (0, slice(before, len(keys)))):
            place = slice(to, to + len(keys[some]))
            # In this order: nobody may find a row half written.
            self.keys[place] = 0
            self.records[place] = records[some]
            self.keys[place] = keys[some]
        self._head[0] = head + len(keys)

    def matching(self, choose: Callable[[Keys], npt.NDArray[np.bool_]]) -> tuple[Keys, Records]:
        """Copies of the rows whose keys are chosen."""
        found = []
        written = min(self._head[0], self._rows)
        for start in range(0, written, _TOGETHER):
            keys = self.keys[start : min(start + _TOGETHER, written)]
            found.append(start + np.flatnonzero(choose(keys)))
        at = np.concatenate(found) if found else np.zeros(0, np.intp)
        keys, records = self.keys[at], self.records[at]
        # Another process may have written meanwhile.
        whole = (keys != 0) & (keys == self.keys[at])
        return keys[whole], records[whole]


class Newest(NamedTuple):
    """What one process has: a ring of its answers, one of those answers that it was told the labels of; how often it
    has asked all others to write down what they know, what it has heard of such questions of all, and when it has last
    listened, in seconds since 1970.
    """

    answers: Ring
    labels: Ring
    counts: memoryview
    listened: "memoryview[float]"

    @classmethod
    def within(cls, memory: memoryview, rows: int) -> "Newest":
        """The rings in the memory of one process."""
        middle, end = _COMMON_BYTES + ring_bytes(rows), _COMMON_BYTES + 2 * ring_bytes(rows)
        return cls(
            Ring(memory[_COMMON_BYTES:middle], rows),
            Ring(memory[middle:end], rows),
            memory[:16].cast("Q"),
            memory[16:24].cast("d"),
        )


def memory_bytes(rows: int) -> int:
    """What one process takes, in whole words."""
    return -(-(_COMMON_BYTES + 2 * ring_bytes(rows)) // 8) * 8


def looking_for(keys: Sequence[int]) -> Callable[[Keys], npt.NDArray[np.bool_]]:
    """What chooses the keys that are among these, and some others."""
    wanted = np.zeros(int(_SIEVE) + 1, np.bool_)
    wanted[np.array(keys, np.uint64) & _SIEVE] = True
    return lambda some: wanted[some & _SIEVE]
