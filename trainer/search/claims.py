"""Claims on trials, and turns at a journal: each is a lock that the kernel, or the database server, takes
away from whoever dies.

So nothing has to beat, and no clock decides who is dead: a claim that can be had is free.
"""

import fcntl
import os
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

# Places in the row of locks of one study; trial 0 has the first behind them.
FOUNDING, CLOSING, FIRST_TRIAL = 0, 1, 2
PAUSE_S = 0.05


class Claims(Protocol):
    """The locks of one study, for one process."""

    def take(self, place: int) -> bool:
        """Try to get a lock; never wait."""

    def release(self, place: int) -> None:
        """Give a lock back."""

    def still_has(self, place: int) -> bool:
        """Whether a lock that was taken is still held."""

    def close(self) -> None:
        """Give every lock back."""


class FileClaims:
    """Byte n of one file is lock n; the kernel keeps them by process."""

    def __init__(self, path: Path) -> None:
        # Closing any descriptor of the file would let go of all locks: there is one, as long as the process lives.
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def take(self, place: int) -> bool:
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def release(self, place: int) -> None:
        fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, place)

    def still_has(self, place: int) -> bool:
        return True

    def close(self) -> None:
        os.close(self._descriptor)


class WholeLines:
    """The lock that writers of a journal take turns by; the kernel takes it away from whoever dies.

    Whoever gets it cuts off what one who died, or whose disk was full, left of a line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def acquire(self) -> bool:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        end = os.lseek(self._descriptor, 0, os.SEEK_END)
        if end and os.pread(self._descriptor, 1, end - 1) != b"\n":
            os.ftruncate(self._descriptor, self._path.read_bytes().rfind(b"\n") + 1)
        return True

    def release(self) -> None:
        os.close(self._descriptor)


@contextmanager
def holding(claims: Claims, place: int) -> Iterator[None]:
    """Hold a lock, waiting for it."""
    while not claims.take(place):
        time.sleep(PAUSE_S)
    try:
        yield
    finally:
        claims.release(place)


def key_of(name: str) -> int:
    """A study's name as a signed 32-bit number."""
    unsigned = zlib.crc32(name.encode())
    return unsigned - (1 << 32) if unsigned >= 1 << 31 else unsigned
