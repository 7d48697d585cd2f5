"""What may be meant by the path of a file that is not there."""

import errno
from difflib import get_close_matches
from pathlib import Path

# So many files of a folder are named, and so much of each name.
MOST_NAMED, LONGEST = 3, 60


def instead_of(path: Path, why: int | None) -> str:
    """What to type instead of a path that the system does not find, for the reason `why`; "" for another reason."""
    match why:
        case errno.ENOENT:
            return _elsewhere(path)
        case errno.ENOTDIR:
            file = next((one for one in path.parents if one.exists() and not one.is_dir()), path.parent)
            return f"{file} is a file, not a folder: name that file"
        case errno.ELOOP:
            return "a symbolic link that leads back to itself: name the file that it should lead to"
    return ""


def named_in(folder: Path) -> str:
    """Some of the files in a folder, for a sentence; "" where there are none."""
    files = _files(folder)
    more = f" and {len(files) - MOST_NAMED} more" if len(files) > MOST_NAMED else ""
    return ", ".join(name[:LONGEST] for name in files[:MOST_NAMED]) + more


def _elsewhere(path: Path) -> str:
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
    return f"{where} has {files}" if files else f"{where} has no files: name one of another"


def _files(folder: Path) -> list[str]:
    try:
        return sorted(one.name for one in folder.iterdir() if one.name[0] != "." and one.is_file())
    except OSError:
        return []
