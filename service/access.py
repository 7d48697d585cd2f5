"""Access by API key: a file says which keys there are and what each is for; it is read anew when it changes.

A line of the file is a scope and a key, `predict KEY`, `metrics KEY` or `predict,metrics KEY`; # begins a comment, by
which the log names the key. Of its keys only the SHA-256 digests are kept. They are looked up by digest: whoever can
time that learns nothing of a key.
"""

import hashlib
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

from service.errors import InvalidSetting, MissingKey, WrongScope

log = logging.getLogger(__name__)

PREDICT, METRICS = "predict", "metrics"
SCOPES = frozenset({PREDICT, METRICS})
# What RFC 6750 lets a bearer token consist of; 32 hexadecimal digits are 128 bits.
KEY = re.compile(r"[A-Za-z0-9._~+/=-]{32,256}", re.ASCII)
KEY_BYTES = re.compile(KEY.pattern.encode(), re.ASCII)
KEY_RULE = "32 to 256 letters, digits and -._~+/="
BOM = b"\xef\xbb\xbf"
LINE = re.compile(rb"(?P<words>[^\r\n#]*)(?:#(?P<comment>[^\r\n]*))?(?:\r\n|\r|\n|\Z)")
WORD = re.compile(rb"\S+")
LOOK_SECONDS = 1.0

# Where a WSGI environment has the digest of the request's API key, in the place of the key.
DIGEST = "evenkeel.key"

# So much of a comment names a key, or of the digest of one that has none.
LONGEST_NAME, NAME_DIGITS = 64, 12


class Key(NamedTuple):
    """What a key is for, and what the log calls it."""

    scopes: frozenset[str]
    name: str


# Keys by their digests.
Keys = Mapping[bytes, Key]
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
        key = self._keys.get(digest)
        if key is None:
            raise MissingKey("the API key is none that this service knows")
        if scope not in key.scopes:
            raise WrongScope(f"the API key is not for this: it needs one with the scope {scope}")

    def name(self, environ: Mapping[str, Any]) -> str | None:
        """What the log calls the key of a request: its comment, else a part of its digest; None where it has no key."""
        digest = environ.get(DIGEST) or _digest_of(environ)
        if digest is None:
            return None
        key = self._keys.get(digest)
        return key.name if key is not None else _short(digest)

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
    """Read a file of keys. No key is left in memory: what is read is looked at in its place, and wiped.

    :raises InvalidSetting: a line breaks the format, or no line has a key; the sentence shows nothing of the file.
    :raises OSError: the file cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        text = bytearray(os.fstat(file.fileno()).st_size)
        try:
            # One that grows meanwhile is read anew soon.
            file.readinto(text)
            keys = _parse(text)
        finally:
            text[:] = bytes(len(text))
    if not keys:
        raise InvalidSetting("EVENKEEL_API_KEYS_FILE has no key: a line is a scope, a space and a key")
    return keys


def _parse(text: bytearray) -> dict[bytes, Key]:
    keys: dict[bytes, Key] = {}
    start = len(BOM) if text.startswith(BOM) else 0
    for number, line in enumerate(LINE.finditer(text, start), start=1):
        words = [word.span() for word in WORD.finditer(text, *line.span("words"))]
        if not words:
            continue
        place = f"EVENKEEL_API_KEYS_FILE: line {number}"
        if len(words) != 2:
            raise InvalidSetting(f"{place} should be a scope, a space and a key")
        scopes = frozenset(text[slice(*words[0])].decode(errors="replace").split(","))
        if not scopes <= SCOPES:
            raise InvalidSetting(f"{place} should begin with predict, metrics or predict,metrics")
        if not KEY_BYTES.fullmatch(text, *words[1]):
            raise InvalidSetting(f"{place} should end with a key of {KEY_RULE}")
        with memoryview(text) as view, view[slice(*words[1])] as key:
            digest = hashlib.sha256(key).digest()
        comment = (line["comment"] or b"").decode(errors="replace").strip()[:LONGEST_NAME]
        before = keys.get(digest, Key(frozenset(), comment or _short(digest)))
        keys[digest] = Key(before.scopes | scopes, before.name)
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


def _short(digest: bytes) -> str:
    return f"sha256:{digest.hex()[:NAME_DIGITS]}"


def _digest(key: str) -> bytes:
    # What is not ASCII becomes a question mark, which no key holds.
    return hashlib.sha256(key.encode("ascii", "replace")).digest()
