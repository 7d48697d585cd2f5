"""Following the repository: a thread that looks at it when the kernel tells of a change, and now and then anyway.

Network mounts tell of nothing, and watches are limited: events make it fast, looking makes it certain. The only module
that knows inotify.
"""

import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from errno import EMFILE, ENFILE, ENOENT, ENOMEM, ENOSPC, ENOSYS, ENOTDIR
from pathlib import Path
from time import monotonic, sleep

from inotify_simple import INotify, flags

from models.naming import NAME
from models.repository import ModelRepository
from service.registry.registry import Registry

log = logging.getLogger(__name__)

CHANGES = (
    flags.CREATE | flags.CLOSE_WRITE | flags.DELETE | flags.MOVED_FROM | flags.MOVED_TO | flags.ATTRIB | flags.ONLYDIR
)
# What one command changes comes as several events.
GATHER_SECONDS = 0.01
# Where the kernel has no room for events, or no events at all.
NO_ROOM = (ENOSPC, EMFILE, ENFILE, ENOMEM, ENOSYS)
# After a round that failed, the next begins no sooner.
FAILED_SECONDS = 1.0


class Changes:
    """Waits for changes in folders, as long as the kernel lets it; else for the time to pass."""

    def __init__(self) -> None:
        self._unwatched: set[Path] = set()
        self._events: INotify | None = None
        try:
            self._events = INotify()
        except OSError as error:
            self._only_poll(error)

    def watch(self, folders: Iterable[Path]) -> None:
        """Wait for changes in these folders too. Those that are gone, or watched already, cost nothing; one that the
        system will not watch is named once, and looked at as often as all are.
        """
        for folder in folders:
            if self._events is None:
                return
            try:
                self._events.add_watch(folder, CHANGES)
                self._unwatched.discard(folder)
            except OSError as error:
                self._not_watched(folder, error)

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

    def _not_watched(self, folder: Path, error: OSError) -> None:
        if error.errno in NO_ROOM:
            self._only_poll(error)
        elif error.errno not in (ENOENT, ENOTDIR) and folder not in self._unwatched:
            self._unwatched.add(folder)
            log.warning("folder not watched", extra={"folder": str(folder), "reason": error.strerror})

    def _only_poll(self, error: OSError) -> None:
        log.warning("no file events, the repository is only polled", extra={"reason": error.strerror})
        self.close()


def follow(registry: Registry, repository: ModelRepository, poll_seconds: float) -> None:
    """Keep a registry up to date from a thread of its own, for as long as the process lives."""

    def look() -> None:
        changes = Changes()
        while True:
            # The thread must outlive whatever a broken repository throws at it, wherever in the round that is.
            try:
                # What changes between the two is not missed: it is watched by then.
                changes.watch(_folders(registry, repository))
                registry.refresh()
                changes.wait(max(0.0, min(poll_seconds, registry.due - monotonic())))
            except Exception:
                log.exception("repository check failed")
                sleep(min(poll_seconds, FAILED_SECONDS))

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
