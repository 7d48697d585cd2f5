"""The way out: once told to stop, the service says that it is not ready, answers for a while yet, and then ends."""

import logging
import os
import signal
import threading
from collections.abc import Callable

from service.shared_memory import SharedMemory

log = logging.getLogger(__name__)


class Drain(SharedMemory):
    """A flag that the process that is told to stop raises, and that every worker sees at once."""

    @classmethod
    def create(cls) -> "Drain":
        """A flag that is down."""
        return cls.of(1)

    @property
    def begun(self) -> bool:
        """Whether the service has been told to stop."""
        return self._memory[0] != 0

    def begin(self) -> None:
        """Tell every worker."""
        self._memory[0] = 1


def on_sigterm(drain: Drain, seconds: float, stop: Callable[[], None]) -> None:
    """Let SIGTERM begin the drain, which ends with `stop` after some seconds; a second SIGTERM ends it at once."""
    main = os.getpid()

    def told(*_: object) -> None:
        # A worker inherits this until it has a handler of its own, and must not stop the others.
        if os.getpid() != main:
            return
        if drain.begun or not seconds:
            stop()
            return
        drain.begin()
        log.info("draining", extra={"seconds": seconds})
        timer = threading.Timer(seconds, stop)
        timer.daemon = True
        timer.start()

    signal.signal(signal.SIGTERM, told)
