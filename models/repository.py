"""The model repository: published models on disk, each version a folder that appears whole or not at all.

    <root>/<model>/<version>/model.onnx
    <root>/<model>/<version>/card.json

A publisher writes into a staging folder beside the versions and renames it; it may be killed at any instruction, and
readers see the old state or the new. Published versions never change. Readers take no lock.
"""

import fcntl
import hashlib
import os
import re
import shutil
import stat
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from models.card import FileDigest, ModelCard
from models.errors import CorruptModel, InvalidName, UnknownModel

NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}", re.ASCII)
VERSION = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
LARGEST_FILE = 1 << 30
DEFAULT_ROOT = Path("models/store")
CARD = "card.json"
BLANK = "0" * 64
DIFFERS = "differs from what was published; publish the model again"


@dataclass(frozen=True)
class PublishedModel:
    """One version as it was read: its card, and the bytes that the card vouches for."""

    card: ModelCard
    version: int
    onnx: bytes


class ModelRepository:
    """Reads and publishes models under one root folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "ModelRepository":
        """The repository that EVENKEEL_REPOSITORY names, `models/store` under the working directory without it."""
        return cls(Path(environment.get("EVENKEEL_REPOSITORY") or DEFAULT_ROOT))

    def names(self) -> list[str]:
        """The models with at least one version, sorted.

        :raises OSError: the root cannot be read; a missing root is not an empty one.
        """
        return sorted(
            entry.name for entry in os.scandir(self.root) if NAME.fullmatch(entry.name) and self.versions(entry.name)
        )

    def versions(self, name: str) -> list[int]:
        """The published versions of one model, ascending; empty when there is no such model."""
        try:
            entries = [entry.name for entry in self._folder(name).iterdir()]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(int(entry) for entry in entries if VERSION.fullmatch(entry))

    def serving_version(self, name: str) -> int:
        """The version that a service should answer with: the highest.

        :raises UnknownModel: the model has no version.
        """
        versions = self.versions(name)
        if not versions:
            raise UnknownModel(f"the repository {self.root} holds no model '{name}'")
        return versions[-1]

    def card(self, name: str, version: int) -> ModelCard:
        """Read the card of one version.

        :raises UnknownModel: there is no such version.
        :raises CorruptModel: the card cannot be read, or is another model's.
        """
        folder = self._folder(name) / str(version)
        if not folder.is_dir():
            raise UnknownModel(f"the repository {self.root} holds no version {version} of '{name}'")
        data = _read(folder / CARD)
        try:
            card = ModelCard.model_validate_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"]) or "the file"
            raise CorruptModel(f"card.json of {name} version {version}: {place}: {first['msg']}") from None
        if card.name != name:
            raise CorruptModel(f"card.json of {name} version {version} describes another model, '{card.name}'")
        # Cards from before they held their own digest have none to check.
        if CARD in card.files and _digest_of_card(data, card.files[CARD].sha256) != card.files[CARD]:
            raise CorruptModel(f"{CARD} of {name} version {version} {DIFFERS}")
        return card

    def read(self, name: str, version: int) -> PublishedModel:
        """Read one version and check every file against the digests of its card.

        :raises UnknownModel: there is no such version.
        :raises CorruptModel: a file is missing or differs from what was published.
        """
        card = self.card(name, version)
        if "model.onnx" not in card.files:
            raise CorruptModel(f"card.json of {name} version {version} lists no model.onnx")
        folder = self._folder(name) / str(version)
        files = {file: digest for file, digest in card.files.items() if file != CARD}
        contents = {file: self._checked(folder, file, digest) for file, digest in files.items()}
        return PublishedModel(card, version, contents["model.onnx"])

    def publish(self, card: ModelCard, files: Mapping[str, bytes]) -> int:
        """Publish the next version of `card.name` and return its number.

        The digests of `files`, and of the card itself, are added to the card. Publishers of one model take turns.

        :raises InvalidName: the card's name breaks the grammar.
        :raises OSError: the disk refused; the sentence says whether nothing is visible, or a version that the disk did
            not confirm.
        """
        folder = self._folder(card.name)
        contents = {**files, CARD: _card_with_digests(card, files)}
        with _saying("nothing was published", folder):
            _make_folder(folder)
        with _exclusive(folder):
            with _saying("nothing was published", folder):
                _remove_abandoned(folder)
                version = self._put(folder, contents)
            with _saying(f"version {version} is published, but may be lost in a power failure", folder):
                _sync_folder(folder)
        return version

    def _put(self, folder: Path, contents: Mapping[str, bytes]) -> int:
        staging = folder / f".staging-{uuid.uuid4().hex}"
        try:
            staging.mkdir()
            for file, data in contents.items():
                _write(staging / file, data)
            _sync_folder(staging)
            version = max(self.versions(folder.name), default=0) + 1
            # A rename onto an existing version fails (it is not empty), so nothing published is ever replaced.
            staging.rename(folder / str(version))
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            with suppress(OSError):
                folder.rmdir()  # Only a model that never had a version leaves its folder empty.
            raise
        return version

    def _folder(self, name: str) -> Path:
        if not NAME.fullmatch(name):
            raise InvalidName(
                f"'{name[:64]}' is no model name: at most 64 of a-z, 0-9, '-' and '_', the first a letter"
            )
        return self.root / name

    def _checked(self, folder: Path, file: str, digest: FileDigest) -> bytes:
        where = f"{file} of {folder.parent.name} version {folder.name}"
        if Path(file).name != file:
            raise CorruptModel(f"{where} lies outside the version's folder")
        data = _read(folder / file)
        if len(data) != digest.bytes or _sha256(data) != digest.sha256:
            raise CorruptModel(f"{where} {DIFFERS}")
        return data


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _card_with_digests(card: ModelCard, files: Mapping[str, bytes]) -> bytes:
    """The text of card.json, with the digest of each file and its own."""
    digests = {file: FileDigest(bytes=len(data), sha256=_sha256(data)) for file, data in files.items()}
    own = FileDigest(bytes=0, sha256=BLANK)
    while True:
        text = card.model_copy(update={"files": {**digests, CARD: own}}).to_json().encode()
        if len(text) == own.bytes:
            return text.replace(_stated(BLANK), _stated(_sha256(text)))
        own = FileDigest(bytes=len(text), sha256=BLANK)


def _digest_of_card(data: bytes, stated: str) -> FileDigest:
    """The digest that a card should state of itself: that of its text with zeros in the digest's place."""
    return FileDigest(bytes=len(data), sha256=_sha256(data.replace(_stated(stated), _stated(BLANK))))


def _stated(sha256: str) -> bytes:
    # With the key in front, as no text that a card quotes can hold it.
    return f'"sha256": "{sha256}"'.encode()


def _read(path: Path) -> bytes:
    # Not following links and not blocking keeps a planted link or FIFO from reaching further than the repository.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        where = f"{path.name} of {path.parent.parent.name} version {path.parent.name}"
        raise CorruptModel(f"{where} cannot be read: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_FILE:
            raise CorruptModel(f"{path.name} is not a regular file of at most {LARGEST_FILE} bytes")
        return file.read()


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _make_folder(folder: Path) -> None:
    """Make a folder and its parents, each durable before anything is put into it."""
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    for parent in reversed(missing):
        parent.mkdir(exist_ok=True)
        _sync_folder(parent.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; the kernel lets go of it when the holder dies, however it dies."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with _saying("nothing was published", folder):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        with suppress(OSError):
            os.close(descriptor)


@contextmanager
def _saying(what: str, folder: Path) -> Iterator[None]:
    """Let the disk's refusal, whichever call it met, say what became of the version."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, f"{what}: {error.strerror}", str(folder)) from None


def _remove_abandoned(folder: Path) -> None:
    """Remove staging folders of publishers that died; whoever holds the lock is the only living one."""
    for staging in folder.glob(".staging-*"):
        shutil.rmtree(staging, ignore_errors=True)
