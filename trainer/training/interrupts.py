"""Ctrl-C where it may come, and where it must wait."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class CtrlC:
    """A Ctrl-C that is held back until somebody lets it through."""

    def __init__(self) -> None:
        self._held = False

    def hold(self, number: int, frame: FrameType | None) -> None:
        self._held = True

    def drop(self) -> None:
        """Forget what was held back: what it should have stopped is over."""
        self._held = False

    def let_through(self) -> None:
        """Raise what was held back, if anything was."""
        if self._held:
            self._held = False
            raise KeyboardInterrupt


@contextmanager
def held_back() -> Iterator[CtrlC]:
    """Hold a Ctrl-C back until it is let through or the block is over.

    numba's functions swallow an interrupt or turn it into a SystemError, and zipfile turns it into a ValueError. Where
    a Ctrl-C does not raise KeyboardInterrupt, or does so in another thread, nothing changes.
    """
    ctrl_c = CtrlC()
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield ctrl_c
        return
    signal.signal(signal.SIGINT, ctrl_c.hold)
    try:
        yield ctrl_c
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    ctrl_c.let_through()
