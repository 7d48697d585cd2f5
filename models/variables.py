"""What EVENKEEL_* variables may hold, as trainer, models and service read them: one line, a folder, a repository."""

import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from models.errors import InvalidName
from models.objects import OTHER_URL, SCHEMES, is_url

REPOSITORY, CACHE, CACHE_MEGABYTES = "EVENKEEL_REPOSITORY", "EVENKEEL_CACHE", "EVENKEEL_CACHE_MEGABYTES"
MOST_MEGABYTES = 1 << 24
# Control characters, the ends of lines among them.
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# What may open a storage in a URL: a user, whose key may have slashes, and a query.
OPENS = re.compile(r"(?P<scheme>^[A-Za-z][A-Za-z0-9+.-]*:/+)?.*@|\?.*", re.DOTALL)
LONGEST = 64

T = TypeVar("T")


def read(environment: Mapping[str, str], name: str, kind: Callable[[str], T]) -> T | None:
    """What a variable holds; None where it is not set, or empty.

    :param kind: makes the value of the text, or says in a ValueError what it should be.
    :raises InvalidName: it breaks the rule; the sentence names the variable.
    """
    if not (text := environment.get(name)):
        return None
    try:
        return kind(one_line(text))
    except ValueError as error:
        raise InvalidName(f"{name} {error}, not {shown(text)}") from None


def shown(text: str) -> str:
    """A wrong value as it is shown: not what opens a storage, and not the whole of a long one."""
    return repr(OPENS.sub(lambda found: f"{found['scheme'] or ''}…", text)[:LONGEST])


def one_line(text: str) -> str:
    """:raises ValueError: it has the end of a line or another control character, or blanks at its ends."""
    if text != text.strip() or CONTROLS.search(text):
        raise ValueError("should be one line without blanks at its ends")
    return text


def folder(text: str) -> Path:
    """A folder of this machine, which need not be there.

    :raises ValueError: it is a URL, something else stands there, or nothing can.
    """
    if OTHER_URL.match(text) or text.startswith(SCHEMES):
        raise ValueError("should be a folder of this machine")
    path = Path(text)
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, PermissionError):
        # Whoever uses it says so.
        return path
    except OSError as error:
        raise ValueError(f"should be a folder ({error.strerror})") from None
    if not is_folder:
        raise ValueError("should be a folder (a file is there)")
    return path


def repository(text: str) -> Path | str:
    """A folder of models, or the URL of object storage.

    :raises ValueError: it is neither.
    """
    try:
        return text if is_url(text) else folder(text)
    except InvalidName as error:
        raise ValueError(f"is wrong: {error}") from None


def megabytes(text: str) -> int:
    """:raises ValueError: it is no whole number of megabytes."""
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= MOST_MEGABYTES):
        raise ValueError(f"should be a whole number of megabytes from 1 to {MOST_MEGABYTES}")
    return int(text)
