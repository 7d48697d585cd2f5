"""Objects in object storage: S3 and what speaks like it, Google Cloud Storage, Azure.

The only module that knows obstore. Where the storage is and what opens it stands in the environment, in the names that
its own tools have: AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ALLOW_HTTP and so on;
credentials may be kept in the file that AWS_SHARED_CREDENTIALS_FILE names.
"""

import errno
import os
import re
from collections.abc import Iterator, Sequence
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from models.errors import InvalidName
from models.extras import way_to

SCHEMES = ("s3://", "gs://", "az://")
# What passes within seconds is tried again; an outage is told. A large file may take its time, if it comes at all.
RETRIES, RETRY_TIME = 4, timedelta(seconds=20)
TIMEOUTS = {"connect_timeout": "5s", "read_timeout": "20s", "timeout": "1h"}
# What a storage answers, in words that say what to do; and what kind of a system's error it is, of which those in
# models.files.LASTING last until somebody changes something.
REASONS = (
    (r"status code: 5|SlowDown", errno.EIO, "the storage is overloaded or out of order"),
    (
        r"169\.254\.|metadata\.google",
        errno.EACCES,
        "there are no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ),
    (
        r"no whole profile",
        errno.EACCES,
        "AWS_SHARED_CREDENTIALS_FILE names no file with aws_access_key_id and aws_secret_access_key",
    ),
    (
        r"status code: 40[13]|PermissionDenied|Unauthenticated|redential",
        errno.EACCES,
        "these credentials may not do that; look at AWS_ACCESS_KEY_ID",
    ),
    (r"status code: 404", errno.ENOENT, "there is no such bucket; make it, or correct the name"),
    (
        r"scheme is not allowed|BadScheme",
        errno.EACCES,
        "this endpoint has no TLS; AWS_ALLOW_HTTP=true permits that",
    ),
    (r"HTTP error|timed out|Timeout", errno.EIO, "the storage does not answer; look at AWS_ENDPOINT_URL"),
)  # After so long credentials that are kept in a file are read again.
RENEWED = timedelta(minutes=5)
# Where a wrong one would end the library, not the request.
ENDPOINTS = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AWS_ENDPOINT_URL_S3")

# What stands in headers, where the library would end the program for what cannot stand there.
KEY = re.compile(r"[!-~]+")
REGION = re.compile(r"[A-Za-z0-9._-]+")
SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
WORDS = dict.fromkeys(("AWS_REGION", "AWS_DEFAULT_REGION"), (REGION, "a region such as eu-central-1"))
WORDS |= dict.fromkeys(SECRETS, (KEY, "one word of ASCII"))
# One letter is a drive of Windows.
OTHER_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def is_url(text: str) -> bool:
    """Whether a place is object storage, and not a folder.

    :raises InvalidName: it is another URL, or holds what may open the storage; the sentence does not.
    """
    if not text.startswith(SCHEMES):
        if OTHER_URL.match(text):
            raise InvalidName(
                f"'{text.partition(':')[0]}:' begins no place of models: give a folder, or a URL that begins with "
                f"{', '.join(SCHEMES)}; AWS_ENDPOINT_URL is for the address of a storage"
            )
        return False
    if "@" in text or "?" in text:
        raise InvalidName("the URL of object storage holds no credentials; set AWS_ACCESS_KEY_ID and its kind")
    return True


@dataclass(frozen=True)
class Object:
    """What was read, and the tag that it had then."""

    data: bytes
    tag: str | None


class Entry(NamedTuple):
    """An object in a listing: its name, its tag, and how many bytes it has."""

    name: str
    tag: str
    size: int


class Objects:
    """Objects below one URL, by the rest of their names.

    :raises InvalidName: the library is not installed, or the URL is none that it takes.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._store, self._obstore = _opened(self.url)

    def get(self, name: str, most: int) -> Object | None:
        """One object; None where there is none.

        :raises OSError: the storage refuses, or the object has more than `most` bytes.
        """
        with self._told():
            try:
                found = self._obstore.get(self._store, name)
            except FileNotFoundError:
                return None
            if found.meta["size"] > most:
                raise OSError(errno.EFBIG, f"{name} has more than {most} bytes", self.url)
            return Object(bytes(found.bytes()), found.meta["e_tag"])

    def put(self, name: str, data: bytes) -> None:
        """Write an object, whatever was there. It is there when it is whole, and not before.

        :raises OSError: the storage refuses.
        """
        with self._told():
            self._obstore.put(self._store, name, data, use_multipart=False)

    def put_if(self, name: str, data: bytes, tag: str | None) -> bool:
        """Write an object only where the one with this tag is still there, or without a tag where none is.

        :return: whether it was; of several who try, one gets True.
        :raises OSError: the storage refuses.
        """
        mode = "create" if tag is None else {"e_tag": tag}
        lost = (self._obstore.exceptions.AlreadyExistsError, self._obstore.exceptions.PreconditionError)
        with self._told():
            try:
                self._obstore.put(self._store, name, data, mode=mode, use_multipart=False)
            except (*lost, FileNotFoundError):
                return False
            return True

    def remove(self, names: Sequence[str]) -> None:
        """Remove objects, whether they are there or not.

        :raises OSError: the storage refuses; some of them may be gone.
        """
        with self._told():
            for name in names:
                self._obstore.delete(self._store, name)

    def look(self, folder: str = "") -> list[Entry]:
        """All objects, or those below a folder; a request for each thousand of them.

        :raises OSError: the storage refuses.
        """
        with self._told():
            pages = self._obstore.list(self._store, prefix=folder or None, chunk_size=1000)
            return sorted(Entry(one["path"], one["e_tag"] or "", one["size"]) for page in pages for one in page)

    def list(self, folder: str = "") -> list[str]:
        """The names of what `look` finds."""
        return [entry.name for entry in self.look(folder)]

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Let what the storage refuses be one sentence that names it."""
        try:
            yield
        except (self._obstore.exceptions.BaseError, FileNotFoundError, TimeoutError, PermissionError) as error:
            text = f"{type(error).__name__} {error}"
            known = ((code, said) for pattern, code, said in REASONS if re.search(pattern, text))
            # A query may hold what opens the storage.
            code, reason = next(known, (errno.EIO, re.sub(r"\?\S*", "", text.partition("\n")[0])[:200]))
            raise OSError(code, reason, self.url) from None


def _opened(url: str) -> tuple[Any, Any]:
    try:
        obstore, store = import_module("obstore"), import_module("obstore.store")
    except ModuleNotFoundError:
        raise InvalidName(f"object storage needs obstore: {way_to('storage')}") from None
    is_url(url)
    for name, (rule, kind) in WORDS.items():
        if (given := os.environ.get(name)) and not rule.fullmatch(given):
            raise InvalidName(f"{name} should be {kind}, without a blank or the end of a line")
    for name in ENDPOINTS:
        if (given := os.environ.get(name)) and not _is_endpoint(given):
            raise InvalidName(f"{name} should be an address such as https://s3.example.com, not {given[:64]!r}")
    retries = {"max_retries": RETRIES, "retry_timeout": RETRY_TIME}
    # The options of the client, given here, are no longer read from the environment.
    client = {**TIMEOUTS, "allow_http": os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true")}
    others = {"credential_provider": _from_file} if url.startswith("s3://") and _kept_in_file() else {}
    try:
        return store.from_url(url, client_options=client, retry_config=retries, **others), obstore
    except (obstore.exceptions.BaseError, ValueError) as error:
        raise InvalidName(
            f"'{url[:200]}' cannot be used as object storage: {str(error).splitlines()[0][:200]}"
        ) from None


def _file() -> Path:
    """Where Amazon's own tools keep credentials."""
    return Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or os.path.expanduser("~/.aws/credentials"))  # noqa: PTH111


def _kept_in_file() -> bool:
    """Whether credentials are in a file. Those tools look at variables first, and at a token of the cloud's."""
    others = ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
    named = bool(os.environ.get("AWS_SHARED_CREDENTIALS_FILE"))
    return not os.environ.get(others[0]) and (named or (_file().is_file() and not any(map(os.environ.get, others))))


def _from_file() -> dict[str, object]:
    """The credentials in the file, which is read again now and then: somebody may renew them."""
    path, profile = _file(), os.environ.get("AWS_PROFILE") or "default"
    parser = ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text())
        found = parser[profile]
        if not all(map(KEY.fullmatch, (value for key, value in found.items() if key.upper() in SECRETS))):
            raise ValueError
        return {
            "access_key_id": found["aws_access_key_id"],
            "secret_access_key": found["aws_secret_access_key"],
            "token": found.get("aws_session_token"),
            "expires_at": datetime.now(UTC) + RENEWED,
        }
    except (OSError, ValueError, KeyError, ConfigParserError):
        # Without what was read, of which a line may be a secret.
        raise PermissionError(f"credentials: {path} has no whole profile '{profile}'") from None


def _is_endpoint(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and not parts.username
    except ValueError:
        return False
