"""Files that are replaced in one step, while others read them and other processes replace the same ones."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from models.files import STAGING, staging_name

# Each is lost to another run that ends in the same moment and removes the folder, which is empty.
ATTEMPTS = 100


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which stands at `path` when the block is over; until then, or if it fails, the old one does.

    Its folder is made where it is missing. Nothing is forced to the disk.
    """
    remove_strays(path.parent)
    staged, lock = _stage(path.parent)
    try:
        # Closed before it is renamed, for some disks refuse only then; the lock stays.
        with os.fdopen(os.dup(lock), "wb") as file:
            yield file
        staged.replace(path)
    except BaseException:
        with suppress(OSError):
            staged.unlink()
        raise
    finally:
        os.close(lock)


def remove_strays(folder: Path) -> None:
    """Remove what writers that were killed have left in a folder; the kernel has let go of their locks."""
    strays: list[Path] = []
    with suppress(OSError):
        strays += folder.glob(f"{STAGING}*")
    for stray in strays:
        with suppress(OSError):
            descriptor = os.open(stray, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                stray.unlink()
            finally:
                os.close(descriptor)


def _stage(folder: Path) -> tuple[Path, int]:
    """A new file under a name that no other process takes, and the descriptor that holds its lock."""
    for attempt in range(ATTEMPTS):
        staged = staging_name(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(staged, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileNotFoundError:
            if attempt + 1 == ATTEMPTS:
                raise
            continue
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return staged, descriptor
        os.close(descriptor)  # Another process took it for a stray before it was locked.
    raise FileNotFoundError(f"{folder}: every new file in it is removed")
