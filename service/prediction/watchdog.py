"""The watchdog: runs of a model that take too long are told to end, from a thread of its own."""

import threading
from time import monotonic, sleep
from typing import Protocol

# How often it looks. A run may take so much longer than it may.
TICK_SECONDS = 0.1


class Run(Protocol):
    """A run that ends soon once this is true."""

    terminate: bool


class Watchdog:
    """Knows the runs of a process, and when each must be over.

    Whoever runs puts the run into `due`, with the moment on the monotonic clock, and takes it out again. Where it is
    gone by then, the watchdog took it out and ends it, or will in an instant: it cannot be used any more. One operation
    on a dictionary takes place at once, so this needs no lock, which for a row alone would count.
    """

    def __init__(self) -> None:
        self.due: dict[Run, float] = {}
        self._begin = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to look, unless it does already; a process that was forked has no thread of its parent's."""
        with self._begin:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._look, name="watchdog", daemon=True)
                self._thread.start()

    def _look(self) -> None:
        while True:
            sleep(TICK_SECONDS)
            now = monotonic()
            for run, due in tuple(self.due.items()):
                if now > due and self.due.pop(run, None) is not None:
                    run.terminate = True


WATCHDOG = Watchdog()
