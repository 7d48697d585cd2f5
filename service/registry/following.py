"""Following the repository: a thread that looks at it when the kernel tells of a change, and now and then anyway.

Network mounts tell of nothing, and watches are limited: events make it fast, looking makes it certain. The only module
that knows inotify.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from errno import EMFILE, ENFILE, ENOMEM, ENOSPC, ENOSYS
from functools import partial
from pathlib import Path
from time import sleep
from typing import Any

from inotify_simple import INotify, flags

from models.repository import NAME, ModelRepository
from service.registry.registry import Registry

log = logging.getLogger(__name__)

CHANGES = (
    flags.CREATE | flags.CLOSE_WRITE | flags.DELETE | flags.MOVED_FROM | flags.MOVED_TO | flags.ATTRIB | flags.ONLYDIR
)
# What one command changes comes as several events.
GATHER_SECONDS = 0.01


class Changes:
    """Waits for changes in folders, as long as the kernel lets it; else for the time to pass."""

    def __init__(self) -> None:
        self._events: INotify | None = None
        self._events = self._limited(INotify)

    def watch(self, folders: Iterable[Path]) -> None:
        """Wait for changes in these folders too. Those that are gone, or watched already, cost nothing."""
        for folder in folders:
            if self._events is not None:
                with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                    self._limited(partial(self._events.add_watch, folder, CHANGES))

    def wait(self, seconds: float) -> None:
        """Until something changes, or the time is over."""
        if self._events is None:
            sleep(seconds)
        elif self._events.read(timeout=int(1000 * seconds)):
            sleep(GATHER_SECONDS)
            self._events.read(timeout=0)

    def close(self) -> None:
        """Wait for no change any more."""
        if self._events is not None:
            self._events.close()
            self._events = None

    def _limited(self, call: Callable[[], Any]) -> Any:
        """Do what the kernel may have no room for; there are no events any more then."""
        try:
            return call()
        except OSError as error:
            if error.errno not in (ENOSPC, EMFILE, ENFILE, ENOMEM, ENOSYS):
                raise
            log.warning("no file events, the repository is only polled", extra={"reason": error.strerror})
            self.close()
            return None


def follow(registry: Registry, repository: ModelRepository, poll_seconds: float) -> None:
    """Keep a registry up to date from a thread of its own, for as long as the process lives."""

    def look() -> None:
        changes = Changes()
        while True:
            # What changes between the two is not missed: it is watched by then.
            changes.watch(_folders(registry, repository))
            try:
                registry.refresh()
            except Exception:  # The thread must outlive whatever a broken repository throws at it.
                log.exception("repository check failed")
            changes.wait(poll_seconds)

    threading.Thread(target=look, name="repository", daemon=True).start()


def _folders(registry: Registry, repository: ModelRepository) -> Iterator[Path]:
    """The root, the folder of each model, also before its first version, and each refused version: perhaps it is still
    being copied.
    """
    yield repository.root
    with suppress(OSError):
        for entry in repository.root.iterdir():
            if NAME.fullmatch(entry.name):
                yield entry
                yield from (entry / str(version) for version in registry.refused(entry.name))
