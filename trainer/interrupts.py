"""Ctrl-C where it must not come: inside what does not survive it."""

import signal
import threading
from types import FrameType, TracebackType


class Uninterrupted:
    """Holds a Ctrl-C back until the block is over.

    Compiled functions swallow it or turn it into a SystemError; zipfile turns it into a ValueError.
    """

    def __enter__(self) -> None:
        self._held = False
        self._in_main = threading.current_thread() is threading.main_thread()  # Where signals are handled.
        if self._in_main:
            self._before = signal.signal(signal.SIGINT, self._hold)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._in_main:
            signal.signal(signal.SIGINT, self._before)
            if self._held:
                signal.raise_signal(signal.SIGINT)

    def _hold(self, number: int, frame: FrameType | None) -> None:
        self._held = True
