"""An event that every worker meets, such as a new version, is told once.

Each worker follows the repository by itself, so each meets the same events, moments apart. An event is logged as often
as the one worker that has met it most often, within some time: what comes back is told again.
"""

import fcntl
import json
import logging
import os
import threading
from collections import defaultdict
from time import monotonic

from service.telemetry.logs import fields

# Who tells of what all workers see: the repository, the file of API keys, and the disk of the prediction log.
SHARED = ("service.registry.", "service.access", "service.telemetry.journal")
WINDOW_SECONDS = 60.0


class Once(logging.Filter):
    """Lets an event pass unless another worker has told it. `descriptor` is a file in memory that all inherit."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._file = descriptor
        self._met: dict[str, list[float]] = defaultdict(list)
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(SHARED):
            return True
        event = json.dumps([record.levelname, record.getMessage(), fields(record)], default=str, sort_keys=True)
        with self._lock:
            now = monotonic()
            self._met[event].append(now)
            self._met = defaultdict(list, _recent(self._met, now))
            # The kernel drops the lock of a process that ends in here.
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                told = _recent(json.loads(os.pread(self._file, os.fstat(self._file).st_size, 0) or b"{}"), now)
                news = len(self._met[event]) > len(told.get(event, ()))
                if news:
                    told[event] = [*told.get(event, ()), now]
                    data = json.dumps(told).encode()
                    os.ftruncate(self._file, 0)
                    os.pwrite(self._file, data, 0)
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)
        return news


def _recent(times: dict[str, list[float]], now: float) -> dict[str, list[float]]:
    """The events of the last minute, with when they were."""
    found = {event: [time for time in those if now - time < WINDOW_SECONDS] for event, those in times.items()}
    return {event: those for event, those in found.items() if those}
