"""Following object storage: a process of its own keeps the copy that the workers serve from.

    python -m service.processes.following URL FOLDER MEGABYTES SECONDS

It looks every so many seconds, and ends with the process that has started it. How the first look went it says on
standard output, in a line of JSON: what speaks against the settings as `refused`, what is in the way as `trouble`, and
whether that lasts until somebody changes something.
"""

import json
import logging
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from time import monotonic, sleep

from models.errors import ModelError
from models.files import LASTING
from models.following import Follower
from models.repository import ModelRepository
from models.terminal import sentence_of
from service.errors import InvalidSetting
from service.settings import Settings, variable

# How long the first look is waited for. Then the workers serve what was copied before, or wait for the first model.
FIRST_LOOK_SECONDS = 10.0
PARENT_LOOK_SECONDS = 0.5
# While looks fail, so many more times the time between two passes until the next, one more each time.
MOST_PAUSES = 5
ROOT = Path(__file__).parents[2]

log = logging.getLogger(__name__)


@contextmanager
def following(settings: Settings) -> Iterator[Callable[[], None]]:
    """Follow object storage, where the repository is there; what is given sees to it that this goes on.

    :raises InvalidSetting: it cannot be followed, for a reason that lasts, and nothing was copied before.
    """
    if settings.url is None:
        yield lambda: None
        return
    process = Process(settings.url, settings.caches, settings.cache_megabytes, settings.follow_seconds)
    log.info("following object storage", extra={"repository": settings.url, "cache": str(settings.root)})
    try:
        process.begin(settings.root)
        yield process.tend
    finally:
        process.end()


class Process:
    """The process that follows, as the one sees it that has started it."""

    def __init__(self, url: str, folder: Path, megabytes: int, seconds: float) -> None:
        self._url, self._seconds = url, seconds
        self._command = [
            sys.executable,
            "-P",
            "-m",
            __name__,
            url,
            str(folder.absolute()),
            f"{megabytes}",
            f"{seconds}",
        ]
        self._start()

    def begin(self, root: Path) -> None:
        """Wait for the first look, but not for long.

        :raises InvalidSetting: it speaks against the settings.
        """
        found = self._first_look()
        if "refused" in found:
            raise InvalidSetting(found["refused"])
        if found.get("lasts") and not (root.exists() and ModelRepository(root).names()):
            raise InvalidSetting(f"{variable('repository')} is {self._url}: {found['trouble']}")

    def tend(self) -> None:
        """Start it again if it has ended, as soon as the next look is due."""
        if self._process.poll() is not None and monotonic() > self._started + self._seconds:
            log.error("the process that follows object storage has ended; it is started again")
            self._close()
            self._start()

    def end(self) -> None:
        """Follow no longer."""
        self._process.kill()
        self._process.wait()
        self._close()

    def _start(self) -> None:
        self._started = monotonic()
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(  # noqa: S603 (this interpreter, and what the settings say)
            self._command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": path}
        )

    def _close(self) -> None:
        if self._process.stdout:
            self._process.stdout.close()

    def _first_look(self) -> dict[str, str]:
        """What it says of its first look; nothing where that takes long, or it ends before."""
        assert self._process.stdout is not None
        poll = select.poll()
        poll.register(self._process.stdout, select.POLLIN)
        # A line is short enough to come as a whole.
        line = self._process.stdout.readline() if poll.poll(1000 * FIRST_LOOK_SECONDS) else b""
        found: dict[str, str] = json.loads(line or b"{}")
        return found


def main(url: str, folder: str, megabytes: str, seconds: str) -> None:
    """Follow until the parent ends."""
    # Ctrl-C in a terminal is for the parent.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    try:
        follower = Follower(url, Path(folder), int(megabytes) << 20)
    except ModelError as error:
        _say(refused=f"{variable('repository')}: {error}")
        return
    except OSError as error:
        _say(refused=f"{variable('cache')}: {sentence_of(error)}")
        return
    found = _look(follower)
    _say(**found)
    failed = 0
    while True:
        failed = min(failed + 1, MOST_PAUSES) if found else 0
        sleep(float(seconds) * (1 + failed))
        found = _look(follower)


def _look(follower: Follower) -> dict[str, str]:
    try:
        follower.refresh()
    except OSError as error:
        return {"trouble": error.strerror or str(error), "lasts": "yes" if error.errno in LASTING else ""}
    return {}


def _say(**what: str) -> None:
    with suppress(OSError):  # Of a parent that has ended.
        print(json.dumps(what), flush=True)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        sleep(PARENT_LOOK_SECONDS)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
