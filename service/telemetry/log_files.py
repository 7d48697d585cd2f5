"""The files of the prediction log that one process writes: appended to, begun anew by size and age, never renamed."""

import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from models.prediction_log import SUFFIX

# What is told of people is not for everybody.
FILE_MODE, FOLDER_MODE = 0o640, 0o750
# So often, old files are looked for.
LOOK_SECONDS = 3600.0


class LogFiles:
    """Appends to the newest file. Only one thread may use it."""

    def __init__(self, folder: Path, most_bytes: int, most_seconds: float, keep_seconds: float | None) -> None:
        self._folder, self._most_bytes, self._most_seconds = folder, most_bytes, most_seconds
        self._keep_seconds = keep_seconds
        self._file: int | None = None
        self._begun = self._looked = 0.0

    def append(self, data: bytes) -> None:
        """Write whole lines at once, or nothing of them.

        :raises OSError: the disk refuses them.
        """
        size = 0
        if self._file is not None:
            # As it is now: somebody else may have cut it.
            found = os.fstat(self._file)
            size = found.st_size
            if size + len(data) > self._most_bytes or not found.st_nlink:
                self.close()  # It is full, or somebody has removed it.
        if self._file is None:
            self._begin()
            size = 0
        assert self._file is not None
        written = 0
        try:
            # A disk that is nearly full takes a part, and refuses only what comes then.
            while written < len(data):
                written += os.write(self._file, data[written:])
        finally:
            # What is no whole line must not stand before others.
            if written < len(data):
                self._take_back(size)

    def turn(self) -> None:
        """Close a file that is old enough, or that somebody has removed, for as long as it is open it takes its place
        on the disk; and remove those that were kept for long enough.
        """
        now = time.time()
        if self._file is not None and (now - self._begun >= self._most_seconds or not os.fstat(self._file).st_nlink):
            self.close()
        if self._keep_seconds is not None and now - self._looked >= LOOK_SECONDS:
            self._looked = now
            self._remove_older(now - self._keep_seconds)

    def close(self) -> None:
        """End the file; the next line begins another."""
        if self._file is not None:
            with suppress(OSError):
                os.fsync(self._file)
            os.close(self._file)
            self._file = None

    def _begin(self) -> None:
        self._folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        begun = time.time()
        name = f"{datetime.fromtimestamp(begun, UTC):%Y%m%dT%H%M%SZ}-{os.getpid()}"
        number = 1
        while True:
            path = self._folder / f"{name}-{number}{SUFFIX}"
            with suppress(FileExistsError):
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
                self._file = os.open(path, flags, FILE_MODE)
                break
            number += 1
        self._begun = begun

    def _remove_older(self, before: float) -> None:
        """Remove the files of all processes that nothing was written to since a moment."""
        with suppress(OSError):
            for entry in os.scandir(self._folder):
                with suppress(OSError):
                    if entry.name.endswith(SUFFIX) and entry.stat().st_mtime < before:
                        Path(entry.path).unlink()

    def _take_back(self, size: int) -> None:
        assert self._file is not None
        try:
            os.ftruncate(self._file, size)
        except OSError:
            self.close()
