"""How versions appear in the folder of a model, and go: in one step each, whatever happens on the way.

Whoever writes has the folder to itself. What a writer that was killed has left is removed by the next one.
"""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from models import files as disk

NOTHING, UNCHANGED = "nothing was published", "nothing was changed"


@contextmanager
def publishing(folder: Path) -> Iterator[None]:
    """Have the folder of a model, which may be new, without any other writer in it.

    :raises OSError: the disk refuses; nothing was published.
    """
    with disk.saying(NOTHING, folder):
        disk.make_folder(folder)
    with disk.exclusive(folder, NOTHING):
        with disk.saying(NOTHING, folder):
            disk.remove_abandoned(folder)
        yield


@contextmanager
def changing(folder: Path) -> Iterator[None]:
    """Have the folder of a model that is there without any other writer in it.

    :raises OSError: the disk refuses; nothing was changed.
    """
    with disk.exclusive(folder, UNCHANGED):
        with disk.saying(UNCHANGED, folder):
            disk.remove_abandoned(folder)
        yield


def put(folder: Path, version: int, contents: Mapping[str, bytes], replacing: bool) -> None:
    """Publish a version; `replacing` what is there under its number, which must be corrupt.

    :raises OSError: the disk refuses; nothing is visible.
    """
    staging = disk.staging_name(folder)
    try:
        staging.mkdir()
        for file, data in contents.items():
            disk.write(staging / file, data)
        disk.sync_folder(staging)
        if replacing and os.path.lexists(folder / str(version)):
            disk.abandon(folder / str(version))
        # A rename onto an existing version fails (it is not empty), so nothing published is ever replaced.
        staging.rename(folder / str(version))
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        with suppress(OSError):
            folder.rmdir()  # Only a model that never had a version leaves its folder empty.
        raise


def remove(folder: Path, versions: Sequence[int]) -> None:
    """Remove versions.

    :raises OSError: the disk refused; the sentence says which version stays, or that the removal may not last.
    """
    for version in versions:
        with disk.saying(f"version {version} was not removed", folder):
            disk.abandon(folder / str(version))
    with disk.saying(f"{len(versions)} versions are removed, but the disk did not confirm it", folder):
        disk.sync_folder(folder)
        disk.remove_abandoned(folder)
