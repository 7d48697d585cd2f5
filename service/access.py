"""Access by API key: a file says which keys there are and what each is for; it is read anew when it changes.

A line of the file is a scope and a key, `predict KEY`, `metrics KEY` or `predict,metrics KEY`; # begins a comment. Of
its keys only the SHA-256 digests are kept. They are looked up by digest: whoever can time that learns nothing of a key.
"""

import hashlib
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import Any

from service.errors import InvalidSetting, MissingKey, WrongScope

log = logging.getLogger(__name__)

PREDICT, METRICS = "predict", "metrics"
SCOPES = frozenset({PREDICT, METRICS})
# What RFC 6750 lets a bearer token consist of; 32 hexadecimal digits are 128 bits.
KEY = re.compile(r"[A-Za-z0-9._~+/=-]{32,256}", re.ASCII)
KEY_RULE = "32 to 256 letters, digits and -._~+/="
LOOK_SECONDS = 1.0

# Where a WSGI environment has the digest of the request's API key, in the place of the key.
DIGEST = "evenkeel.key"

# The scopes of each key, by its digest.
Keys = Mapping[bytes, frozenset[str]]
# What tells one state of a file from another.
State = tuple[int, int, int]


class Access:
    """The keys of a file, as it was when it could last be read; until then there are none, and nobody has access."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys: Keys = {}
        self._state: State | None = (0, 0, 0)
        self._look()

    def check(self, environ: Mapping[str, Any], scope: str = PREDICT) -> None:
        """Let a request pass whose key has this scope.

        :raises MissingKey: it has no key, or none that is known.
        :raises WrongScope: its key is for something else.
        """
        digest = environ.get(DIGEST) or _digest_of(environ)
        if digest is None:
            raise MissingKey("this needs an API key: send it as Authorization: Bearer KEY, or as X-API-Key")
        if monotonic() >= self._due:
            self._look()
        scopes = self._keys.get(digest)
        if scopes is None:
            raise MissingKey("the API key is none that this service knows")
        if scope not in scopes:
            raise WrongScope(f"the API key is not for this: it needs one with the scope {scope}")

    def allows(self, environ: Mapping[str, Any]) -> bool:
        """Whether a request may see what is served."""
        try:
            self.check(environ)
        except (MissingKey, WrongScope):
            return False
        return True

    def _look(self) -> None:
        """Read the file if it has changed; one that cannot be read leaves the keys as they are, and is logged once."""
        self._due = monotonic() + LOOK_SECONDS
        before, self._state = self._state, _state(self._path)
        if self._state == before:
            return
        try:
            self._keys = read_keys(self._path)
        except (InvalidSetting, OSError) as error:
            log.error("API keys not read", extra={"file": self._path, "reason": str(error)})
        else:
            log.info("API keys read", extra={"file": self._path, "keys": len(self._keys)})


def read_keys(path: Path) -> Keys:
    """Read a file of keys.

    :raises InvalidSetting: a line breaks the format, or no line has a key; the sentence shows nothing of the file.
    :raises OSError: the file cannot be read.
    """
    keys: dict[bytes, frozenset[str]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        place = f"EVENKEEL_API_KEYS_FILE: line {number}"
        if len(words) != 2:
            raise InvalidSetting(f"{place} should be a scope, a space and a key")
        scopes = frozenset(words[0].split(","))
        if not scopes <= SCOPES:
            raise InvalidSetting(f"{place} should begin with predict, metrics or predict,metrics")
        if not KEY.fullmatch(words[1]):
            raise InvalidSetting(f"{place} should end with a key of {KEY_RULE}")
        digest = _digest(words[1])
        keys[digest] = keys.get(digest, frozenset()) | scopes
    if not keys:
        raise InvalidSetting("EVENKEEL_API_KEYS_FILE has no key: a line is a scope, a space and a key")
    return keys


def _state(path: Path) -> State | None:
    try:
        status = path.stat()
    except OSError:
        return None
    # Of the times the one that nobody can set: it tells of new content, of new rights and of another file alike.
    return status.st_ctime_ns, status.st_size, status.st_ino


def hide_key(environ: dict[str, Any]) -> None:
    """Put the digest of a request's key in the place of the key: nothing behind this can log the key, or keep it."""
    digest = _digest_of(environ)
    environ.pop("HTTP_X_API_KEY", None)
    environ.pop("HTTP_AUTHORIZATION", None)
    if digest is not None:
        environ[DIGEST] = digest


def _digest_of(environ: Mapping[str, Any]) -> bytes | None:
    """The digest of a request's key. X-API-Key goes first: a proxy may need Authorization for itself."""
    key: str | None = environ.get("HTTP_X_API_KEY")
    if key is None:
        scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        key = token.strip() if scheme.lower() == "bearer" else None
    return _digest(key) if key else None


def _digest(key: str) -> bytes:
    # What is not ASCII becomes a question mark, which no key holds.
    return hashlib.sha256(key.encode("ascii", "replace")).digest()
