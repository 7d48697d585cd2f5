"""The way out: once told to stop, the service says that it is not ready, answers for a while yet, and then ends."""

import logging
import mmap
import os
import signal
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class Drain:
    """A flag in memory that the process that is told to stop raises, and that every worker sees at once."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._flag = mmap.mmap(descriptor, 1)

    @classmethod
    def create(cls) -> "Drain":
        """A flag that is down."""
        descriptor = os.memfd_create("evenkeel-drain")
        os.ftruncate(descriptor, 1)
        return cls(descriptor)

    @classmethod
    def open(cls, path: str) -> "Drain":
        """The flag that another process has created."""
        return cls(os.open(path, os.O_RDWR))

    @property
    def path(self) -> str:
        """Where other processes open it."""
        return f"/proc/{os.getpid()}/fd/{self._descriptor}"

    @property
    def begun(self) -> bool:
        """Whether the service has been told to stop."""
        return self._flag[0] != 0

    def begin(self) -> None:
        """Tell every worker."""
        self._flag[0] = 1


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
