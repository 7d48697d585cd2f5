"""Logs on stderr, configured in this one place: a JSON object a line, or on a terminal a line for people.

Nobody ever waits for whoever reads stderr. A worker hands its lines to a thread; the supervisor, which has no threads,
gives its reader a moment. What is not read in time is dropped and counted.
"""

import json
import logging
import os
import queue
import select
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from models.terminal import printable

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

STDERR = 2
# A pipe that is ready to be written takes so much without waiting.
PIECE = select.PIPE_BUF
# How long the supervisor waits with a line.
MOMENT_SECONDS = 0.2
# So many lines of a worker may wait to be read, which is a few megabytes.
MOST_LINES = 4096
# The thread looks so often: a line each time would take the interpreter away from the event loop.
GATHER_SECONDS = 0.01
TOGETHER = 256
LONGEST_LINE = 2000

# What is called with the number of lines that were dropped.
Dropped = Callable[[int], None]


class JsonLines(logging.Formatter):
    """An event with its fields, escaped so that no value can forge a second line."""

    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        event |= fields(record)
        if record.exc_info:
            event["traceback"] = self.formatException(record.exc_info)
        return json.dumps(event, default=str)


class ForPeople(logging.Formatter):
    """An event as somebody reads it who watches: the time of day, what happened, and its fields."""

    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        particulars = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in fields(record).items())
        event = f"{level}{record.getMessage()}{': ' if particulars else ''}{particulars}"
        line = f"{datetime.fromtimestamp(record.created):%H:%M:%S}  {printable(event, LONGEST_LINE)}"  # noqa: DTZ006
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def fields(record: logging.LogRecord) -> dict[str, object]:
    """What an event says besides its name."""
    return {field: value for field, value in vars(record).items() if field not in _STANDARD}


class AtOnce(logging.Handler):
    """Writes a line where it is logged, unless nobody reads."""

    def __init__(self, dropped: Dropped) -> None:
        super().__init__()
        self._dropped = dropped

    def emit(self, record: logging.LogRecord) -> None:
        if not _write(f"{self.format(record)}\n".encode(), MOMENT_SECONDS):
            self._dropped(1)


class FromThread(logging.Handler):
    """Lets a thread write lines, in the process that made it: no thread survives a fork."""

    def __init__(self, dropped: Dropped) -> None:
        super().__init__()
        self._dropped = dropped
        self._records: queue.Queue[logging.LogRecord | None] = queue.Queue(MOST_LINES)
        self._thread = threading.Thread(target=self._work, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._records.put_nowait(record)
        except queue.Full:
            self._dropped(1)

    def finish(self, seconds: float) -> None:
        """Write what is left, as far as somebody reads it within some seconds."""
        until = time.monotonic() + seconds
        try:
            self._records.put(None, timeout=seconds)
        except queue.Full:
            return
        self._thread.join(max(0.0, until - time.monotonic()))

    def _work(self) -> None:
        more = True
        while more:
            records = [self._records.get()]
            time.sleep(GATHER_SECONDS)
            while len(records) < TOGETHER and not self._records.empty():
                records.append(self._records.get())
            lines = [self._line(record) for record in records if record is not None]
            more = len(lines) == len(records)
            if not _write("".join(lines).encode(), None):
                self._dropped(len(lines))

    def _line(self, record: logging.LogRecord) -> str:
        try:
            return f"{self.format(record)}\n"
        except Exception as error:  # What cannot be written is no reason to write no more.
            return (
                f'{{"level": "error", "event": "a line that cannot be written", "reason": "{type(error).__name__}"}}\n'
            )


def configure(level: str, handler: logging.Handler) -> None:
    """Let all of this process's lines go one way."""
    handler.setFormatter(ForPeople() if os.isatty(STDERR) else JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def _write(data: bytes, seconds: float | None) -> bool:
    """Write to stderr, as long as its reader takes each piece within some seconds; whether all of it was written."""
    stderr = select.poll()
    stderr.register(STDERR, select.POLLOUT)
    while data:
        if not stderr.poll(None if seconds is None else 1000 * seconds):
            return False
        try:
            data = data[os.write(STDERR, data[:PIECE]) :]
        except OSError:
            return False
    return True
