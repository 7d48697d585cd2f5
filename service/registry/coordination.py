"""What the workers of a service share: the verdicts on the versions that were tried, and whether the service is ready.

One file in memory, made before the workers start. Verdicts are appended to it, a line each; who is trying a version,
who serves and who does not yet is told by locks on bytes far behind its end. The kernel drops the locks of a process
that ends, however it ends, so no worker waits for a dead one, and none is counted that is gone.
"""

import errno
import fcntl
import json
import os
import struct
import threading
import weakref
from time import monotonic
from typing import NamedTuple

RESULTS = ("good", "refused", "failed")
# A number for each result: how many trials have ended so. Lines begin behind them.
_COUNTS = struct.Struct(f"={len(RESULTS)}q")
# A longer file is begun anew: what is forgotten is tried again when somebody asks.
LONGEST = 1 << 20
# `struct flock` of fcntl(2).
_LOCK = struct.Struct("hhqqi")
TRYING, SERVING, WAITING = (1 << 40) + 1, (1 << 40) + 2, (1 << 40) + 3


class Verdict(NamedTuple):
    """How a trial ended: `text` is the digest of a good version's card, else the reason. One that has failed for the
    `tries`-th time is due again at a time of the machine's monotonic clock.
    """

    result: str
    text: str
    tries: int = 0
    due: float = 0.0

    @property
    def stands(self) -> bool:
        """Whether no other trial is due."""
        return self.result != "failed" or monotonic() < self.due


class Coordination:
    """One worker's hold of what all share. `descriptor` is a file in memory, empty at first, inherited by a fork."""

    def __init__(self, descriptor: int) -> None:
        self._file = descriptor
        self._lock = threading.Lock()
        self._serving = self._waiting = False

    @classmethod
    def create(cls) -> "Coordination":
        """That of a process alone."""
        alone = cls(os.memfd_create("evenkeel-coordination"))
        weakref.finalize(alone, os.close, alone._file)
        return alone

    def verdict(self, key: str) -> Verdict | None:
        """The last verdict under a key. No lock is needed: a line counts once it is whole."""
        data = os.pread(self._file, 2 * LONGEST, _COUNTS.size)
        start = json.dumps([key])[:-1].encode()
        for line in reversed(data.split(b"\n")[:-1]):
            if line.startswith(start):
                return Verdict(*json.loads(line)[1:])
        return None

    def note(self, key: str, verdict: Verdict) -> None:
        """Tell all workers how a trial has ended. For whoever holds the lock on trials alone."""
        counts = self.counts
        counts[verdict.result] += 1
        os.pwrite(self._file, _COUNTS.pack(*counts.values()), 0)
        end = os.fstat(self._file).st_size
        if end > LONGEST:
            end = _COUNTS.size
            os.ftruncate(self._file, end)
        # Behind a line that its writer did not live to end, a new one begins.
        torn = end > _COUNTS.size and os.pread(self._file, 1, end - 1) != b"\n"
        os.pwrite(self._file, b"\n" * torn + json.dumps([key, *verdict]).encode() + b"\n", end)

    @property
    def counts(self) -> dict[str, int]:
        """How many trials of all workers have ended in each result."""
        data = os.pread(self._file, _COUNTS.size, 0).ljust(_COUNTS.size, b"\0")
        return dict(zip(RESULTS, _COUNTS.unpack(data), strict=True))

    def may_try(self) -> bool:
        """Whether this worker is now the one that tries versions, until `tried`."""
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, TRYING)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return False
            raise
        return True

    def tried(self) -> None:
        """Let another worker try versions."""
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, TRYING)

    @property
    def ready(self) -> bool:
        """Whether workers serve, and none is still waiting to. All workers see the same."""
        return not self._waiting and (self._serving or self._held(SERVING)) and not self._held(WAITING)

    @property
    def serving(self) -> bool:
        """Whether this worker serves."""
        return self._serving

    @property
    def others_serve(self) -> bool:
        """Whether another worker serves already."""
        return self._held(SERVING)

    def serve(self) -> None:
        """Say that this worker serves from now on."""
        with self._lock:
            if not self._serving:
                fcntl.lockf(self._file, fcntl.LOCK_SH, 1, SERVING)
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, WAITING)
                self._serving, self._waiting = True, False

    def wait(self) -> None:
        """Say that this worker lets in requests, but cannot serve yet, nor can another."""
        with self._lock:
            if not self._serving:
                fcntl.lockf(self._file, fcntl.LOCK_SH, 1, WAITING)
                self._waiting = True

    def _held(self, place: int) -> bool:
        """Whether another process holds a lock on a byte."""
        asked = _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, place, 1, 0)
        kind, *_ = _LOCK.unpack(fcntl.fcntl(self._file, fcntl.F_GETLK, asked)[: _LOCK.size])
        return bool(kind != fcntl.F_UNLCK)
