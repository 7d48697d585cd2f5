"""The watchdog: runs of a model that take too long are told to end, from a thread of its own."""

import threading
from time import monotonic, sleep
from typing import Protocol

# How often it looks. A run may take so much longer than it may.
TICK_SECONDS = 0.1


class Stoppable(Protocol):
    """A run that ends soon once this is true."""

    terminate: bool


class Watchdog:
    """Knows all runs of a process and when each must be over. Safe to share between threads."""

    def __init__(self) -> None:
        self._due: dict[int, tuple[Stoppable, float]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def watch(self, run: Stoppable, seconds: float) -> None:
        """From now on a run may take so many seconds."""
        self._due[id(run)] = run, monotonic() + seconds
        if self._thread is None:
            self._start()

    def leave(self, run: Stoppable) -> None:
        """The run is over, and will not be told to end any more."""
        with self._lock:
            del self._due[id(run)]

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="watchdog", daemon=True)
                self._thread.start()

    def _look(self) -> None:
        while True:
            sleep(TICK_SECONDS)
            now = monotonic()
            with self._lock:
                # In one call, as `watch` asks nobody for the lock.
                for run, due in tuple(self._due.values()):
                    if now > due:
                        run.terminate = True


WATCHDOG = Watchdog()
