"""The trainer's files: replaced in one step, and removed with the folder that they leave empty."""

import errno
import os
from contextlib import suppress
from pathlib import Path

from models.replacing import remove_strays, replacing

# Of a schema, or of a search space.
LONGEST = 1 << 25


def read_settings(path: Path) -> bytes:
    """The bytes of a file that somebody wrote by hand.

    :raises OSError: it cannot be read, or is longer than anybody writes.
    """
    with path.open("rb") as file:
        data = file.read(LONGEST + 1)
    if len(data) > LONGEST:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return data


def replace_file(path: Path, text: str) -> None:
    """Write a text file that others see as it was or as it is, never half.

    What is no text, as the bytes of a file's name may be, is spelled out.
    """
    with replacing(path) as file:
        file.write(text.encode(errors="backslashreplace"))


def remove_files(*paths: Path) -> None:
    """Remove files of one folder, with it and the folder above where nobody else has anything, as far as that works."""
    folder = paths[0].parent
    remove_strays(folder)
    for action in (*(path.unlink for path in paths), folder.rmdir, folder.parent.rmdir):
        with suppress(OSError):
            action()


def text_of(path: Path) -> str:
    """A file's name for a card or a report: bytes that are not UTF-8 are spelled out."""
    return os.fsencode(path.name).decode(errors="backslashreplace")
