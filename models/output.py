"""stdout and stderr as a command writes to them: whatever becomes of its words, what it does comes to a known end."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from typing import Any, TextIO, cast


class Unwritten(Exception):
    """What a command printed on stdout could not be written; `reason` is the disk's, or the pipe's, refusal."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(f"the output could not be written: {reason.strerror or reason}")
        self.reason = reason


class Output:
    """A stream that keeps its first failure and throws away what is written after it.

    stdout is the `result` of a command, which a failure ends, by `Unwritten`. stderr only tells how it goes: a training
    is not lost because a log file cannot grow. A character that the encoding lacks is spelled out, as Python spells it.
    """

    def __init__(self, stream: TextIO, *, result: bool) -> None:
        self._stream, self._result = stream, result
        self.failure: OSError | None = None
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        self._attempt(lambda: self._stream.write(text))
        return len(text)

    def write_bytes(self, data: bytes) -> None:
        """Write bytes as they are, whatever the encoding."""
        self._attempt(self._stream.flush)
        self._attempt(lambda: self._stream.buffer.write(data))

    def flush(self) -> None:
        self._attempt(self._stream.flush)

    def _attempt(self, action: Callable[[], object]) -> None:
        if self.failure is None:
            try:
                action()
            except OSError as error:
                self.failure = error
                self._divert()
        if self.failure is not None and self._result:
            raise Unwritten(self.failure)

    def _divert(self) -> None:
        """Let what is still in the buffer, which Python writes as it ends, go nowhere."""
        with suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def guarded() -> Iterator[Output]:
    """Guard stdout and stderr for a while; the latter is given, to ask what became of it. A closed one goes nowhere."""
    before = sys.stdout, sys.stderr
    # Python has None for one that was closed when it started.
    stdout, stderr = (_nowhere() if stream is None else stream for stream in before)
    told = Output(stderr, result=False)
    sys.stdout, sys.stderr = cast(TextIO, Output(stdout, result=True)), cast(TextIO, told)
    try:
        yield told
    finally:
        sys.stdout, sys.stderr = before


def write_result(data: bytes) -> None:
    """Write bytes to stdout as they are, guarded or not."""
    stdout: Any = sys.stdout
    if hasattr(stdout, "write_bytes"):
        stdout.write_bytes(data)
    else:
        stdout.buffer.write(data)


def _nowhere() -> TextIO:
    return os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
