"""Why a file or a folder cannot be read, and what to type then."""

import errno
from difflib import get_close_matches
from pathlib import Path

from models.terminal import printable
from trainer.errors import Unreadable

# So many files of a folder are named.
MOST_NAMED = 3


def unreadable(path: Path, error: OSError) -> Unreadable:
    """The refusal of a file that the system refuses: its own word, and the way out."""
    return Unreadable("; ".join(filter(None, [f"{path}: {error.strerror}", _way_out(path, error.errno)])))


def named_in(folder: Path) -> str:
    """Some of the files in a folder, for a sentence; "" where there are none."""
    files = _files(folder)
    more = f" and {len(files) - MOST_NAMED} more" if len(files) > MOST_NAMED else ""
    return ", ".join(printable(name, 60) for name in files[:MOST_NAMED]) + more


def _way_out(path: Path, why: int | None) -> str:
    match why:
        case errno.ENOENT:
            return _elsewhere(path)
        case errno.ENOTDIR:
            file = next((one for one in path.parents if one.exists() and not one.is_dir()), path.parent)
            return f"{file} is a file, not a folder: name that file"
        case errno.ELOOP:
            return "a symbolic link that leads back to itself: name the file that it should lead to"
        case errno.EISDIR:
            files = named_in(path)
            return f"name a file in it: {files}" if files else "it has no files; name a file"
        case errno.EACCES:
            return "chmod +r lets it be read"
        case errno.ENXIO:
            return "it is a socket or a device; name a file"
    return ""


def _elsewhere(path: Path) -> str:
    """What may be meant by the path of a file that is not there."""
    if path.is_symlink():
        return f"a symbolic link to {path.readlink()}, which is not there: name another file"
    folder = path.parent
    if not folder.is_dir():
        return f"there is no folder {folder}: name another"
    close = get_close_matches(path.name, _files(folder), 1)
    if close:
        return f"{folder / close[0]} may be meant"
    files = named_in(folder)
    where = "this folder" if folder == Path() else str(folder)
    return f"{where} has {files}" if files else f"{where} has no files"


def _files(folder: Path) -> list[str]:
    try:
        return sorted(one.name for one in folder.iterdir() if one.name[0] != "." and one.is_file())
    except OSError:
        return []
