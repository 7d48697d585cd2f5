"""Files as the repository keeps them: read without surprise, and written so that a crash leaves the old or the new."""

import errno
import fcntl
import hashlib
import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from models.errors import CorruptModel, UnreadableModel

LARGEST_FILE, LARGEST_TEXT = 1 << 30, 1 << 25
# What a writer that died leaves behind begins so.
STAGING = ".staging-"
# What says that a file is not there, or not to be read, until somebody changes its folder. All else may pass.
LASTING = {
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG),
    *(errno.EACCES, errno.EPERM, errno.ENXIO, errno.ENODEV),
}
DIFFERS = "differs from what was published; publish the model again"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def read(path: Path, where: str, *, exact: int | None = None, most: int = LARGEST_FILE) -> bytes:
    """Read a regular file that has no other name; `where` words it in a refusal.

    :raises CorruptModel: it is missing, something else than a file, too large, or not `exact` bytes long.
    :raises UnreadableModel: the system would not read it for now, which tells nothing of the file.
    """
    # Not following links and not blocking keeps a planted link or FIFO from reaching further than the repository.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _unread(where, error) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > most:
            raise CorruptModel(f"{where} is not a regular file of at most {most} bytes")
        if status.st_nlink > 1:
            raise CorruptModel(f"{where} is a hard link: whoever holds its other name could change it")
        if exact is not None and status.st_size != exact:
            raise CorruptModel(f"{where} {DIFFERS}")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()
    except OSError as error:
        raise _unread(where, error) from None
    finally:
        with suppress(OSError):
            os.close(descriptor)


def _unread(where: str, error: OSError) -> CorruptModel:
    kind = CorruptModel if error.errno in LASTING else UnreadableModel
    return kind(f"{where} cannot be read: {error.strerror}")


def write(path: Path, data: bytes) -> None:
    """Write a new file, durably."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace(path: Path, data: bytes) -> None:
    """Replace a file in one step: readers see the old content or the new. A sync of its folder makes it durable.

    :raises OSError: the disk refused; the old content stays.
    """
    staged = staging_name(path.parent)
    try:
        write(staged, data)
        staged.replace(path)
    except BaseException:
        with suppress(OSError):
            staged.unlink(missing_ok=True)
        raise


def staging_name(folder: Path) -> Path:
    """A name in a folder that no reader looks at."""
    return folder / f"{STAGING}{uuid.uuid4().hex}"


def abandon(folder: Path) -> None:
    """Take a folder from its readers in one step, which a sync of its parent makes durable; it is left as abandoned."""
    folder.rename(staging_name(folder.parent))


def remove_abandoned(folder: Path) -> None:
    """Remove what writers that died have left; whoever holds the folder's lock is the only living one."""
    for staged in folder.glob(f"{STAGING}*"):
        if staged.is_dir():
            shutil.rmtree(staged, ignore_errors=True)
        else:
            staged.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make a folder and its parents, each durable before anything is put into it."""
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    for parent in reversed(missing):
        parent.mkdir(exist_ok=True)
        sync_folder(parent.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def exclusive(folder: Path, otherwise: str) -> Iterator[None]:
    """Hold the folder's lock; the kernel lets go of it when the holder dies, however it dies.

    :raises OSError: it cannot be had; the sentence begins with `otherwise`.
    """
    with saying(otherwise, folder):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with saying(otherwise, folder):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        with suppress(OSError):
            os.close(descriptor)


@contextmanager
def saying(what: str, folder: Path) -> Iterator[None]:
    """Let the disk's refusal, whichever call it met, say what became of the folder."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, f"{what}: {error.strerror}", str(folder)) from None
