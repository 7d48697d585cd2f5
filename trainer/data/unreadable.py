"""Why a file or a folder cannot be read, and what to type then."""

import errno
from pathlib import Path

from models.absent import instead_of, named_in
from trainer.errors import Unreadable


def unreadable(path: Path, error: OSError) -> Unreadable:
    """The refusal of a file that the system refuses: its own word, and the way out."""
    return Unreadable("; ".join(filter(None, [f"{path}: {error.strerror}", _way_out(path, error.errno)])))


def _way_out(path: Path, why: int | None) -> str:
    match why:
        case errno.EISDIR:
            files = named_in(path)
            return f"name a file in it: {files}" if files else "it has no files; name a file"
        case errno.EACCES:
            return "chmod +r lets it be read"
        case errno.ENXIO:
            return "it is a socket or a device; name a file"
    return instead_of(path, why)
