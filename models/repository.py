"""The model repository: published models on disk, each version a folder that appears whole or not at all.

    <root>/<model>/<version>/model.onnx
    <root>/<model>/<version>/card.json
    <root>/<model>/serving.json             which versions serve, where somebody chose; replaced in one step

A publisher writes into a staging folder beside the versions and renames it; it may be killed at any instruction, and
readers see the old state or the new. Published versions never change. Readers take no lock.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from models import files as disk
from models import staging
from models.bundle import MODEL, Bundle, check_file, first_fault, listed, read_card
from models.card import FileDigest, ModelCard
from models.errors import CorruptModel, InvalidName, UnreadableModel
from models.naming import NAME, SERVING, VERSION, check_name, taken
from models.objects import is_url
from models.seal import CARD, sealed
from models.serving import Serving
from models.store import Store

DEFAULT_ROOT = Path("models/store")


@dataclass(frozen=True)
class PublishedModel:
    """One version as it was read: its card, the bytes that the card vouches for, and the digest of card.json itself."""

    card: ModelCard
    version: int
    onnx: bytes
    digest: str


class ModelRepository(Store):
    """Reads and publishes models under one root folder."""

    def __init__(self, root: Path) -> None:
        """A folder, which need not be there yet."""
        self.root = root

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "ModelRepository":
        """The folder that EVENKEEL_REPOSITORY names, `models/store` under the working directory without it.

        :raises InvalidName: it is the URL of object storage.
        """
        place = environment.get("EVENKEEL_REPOSITORY") or str(DEFAULT_ROOT)
        if is_url(place):
            raise InvalidName(f"EVENKEEL_REPOSITORY is {place}, which is no folder; models.remote.opened reads it")
        return cls(Path(place))

    @property
    def place(self) -> Path | str:
        return self.root

    def exists(self) -> bool:
        return self.root.exists()

    def check_writable(self, name: str) -> None:
        """See before a long training whether a version of a model may be published. A folder says so by itself: what
        is saved of the run lies in it too.

        :raises OSError: it may not, and that lasts until somebody changes it.
        """

    def names(self) -> list[str]:
        """The models with at least one version, or with a folder that cannot be listed; sorted.

        :raises OSError: the root cannot be read; a missing root is not an empty one.
        """
        return sorted(
            entry.name for entry in os.scandir(self.root) if NAME.fullmatch(entry.name) and self._is(entry.name)
        )

    def versions(self, name: str) -> list[int]:
        """The published versions of one model, ascending; empty when there is no such model."""
        try:
            entries = [entry.name for entry in self._folder(name).iterdir()]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(int(entry) for entry in entries if VERSION.fullmatch(entry))

    def serving(self, name: str) -> Serving:
        """What somebody chose to serve; nothing in particular where there is no serving.json.

        :raises CorruptModel: the file cannot be read.
        """
        path = self._folder(name) / SERVING
        if not path.exists() and not path.is_symlink():
            return Serving()
        try:
            return Serving.model_validate_json(disk.read(path, f"{SERVING} of {name}", most=disk.LARGEST_TEXT))
        except ValidationError as error:
            reason = (
                f"{SERVING} of {name}: {first_fault(error)}; correct the file, or remove it to serve the newest version"
            )
            raise CorruptModel(reason) from None

    def card(self, name: str, version: int) -> ModelCard:
        """Read the card of one version.

        :raises UnknownModel: there is no such version.
        :raises CorruptModel: the card cannot be read, or is another model's.
        """
        return self._card(name, version)[0]

    def digest(self, name: str, version: int) -> str:
        """The digest of a version's card, which vouches for its other files.

        :raises CorruptModel: the card cannot be read.
        """
        return disk.sha256(self._card(name, version)[1])

    def read(self, name: str, version: int) -> PublishedModel:
        """Read one version and check every file against the digests of its card.

        :raises UnknownModel: there is no such version.
        :raises CorruptModel: a file is missing or differs from what was published.
        """
        bundle = self.bundle(name, version)
        return PublishedModel(bundle.card, version, bundle.files[MODEL], bundle.digest)

    def bundle(self, name: str, version: int) -> Bundle:
        """All files of one version, each checked against its digest.

        :raises UnknownModel: there is no such version.
        :raises CorruptModel: a file is missing or differs from what was published.
        """
        card, data = self._card(name, version)
        folder = self._folder(name) / str(version)
        files = {file: self._checked(folder, file, digest) for file, digest in listed(card, version).items()}
        return Bundle(card, version, {CARD: data, **files})

    def file(self, name: str, version: int, file: str) -> bytes | None:
        """One file of a version, checked against its digest; None where the card lists none of that name.

        :raises UnknownModel: there is no such version.
        :raises CorruptModel: the card cannot be read, or the file is missing or differs from what was published.
        """
        digest = self.card(name, version).files.get(file)
        return None if digest is None else self._checked(self._folder(name) / str(version), file, digest)

    def publish(self, card: ModelCard, files: Mapping[str, bytes], *, hold: bool = False) -> int:
        """Publish the next version of `card.name` and return its number.

        The digests of `files`, and of the card itself, are added to the card. Publishers of one model take turns. With
        `hold` the version that serves is pinned first: there is no moment at which the new one serves.

        :raises InvalidName: the card's name breaks the grammar.
        :raises ModelError: with `hold`, there is nothing that serves.
        :raises OSError: the disk refused; the sentence says whether nothing is visible, or a version that the disk did
            not confirm.
        """
        folder = self._folder(card.name)
        with staging.publishing(folder):
            return self._publish(folder, {**files, CARD: sealed(card, files)}, hold)

    def add(self, bundle: Bundle, *, renumber: bool = False, hold: bool = False) -> tuple[int, bool]:
        """Publish a version that was published elsewhere, byte for byte; return its number, and whether it is new here.

        It keeps its number, or with `renumber` gets the next one. Where it is already, it stays; where it is corrupt,
        it is replaced.

        :raises TakenVersion: another model was published under its number.
        :raises ModelError: with `hold`, there is nothing that serves.
        :raises OSError: as for `publish`.
        """
        folder = self._folder(bundle.card.name)
        with staging.publishing(folder):
            if not renumber and self.holds(folder.name, bundle.version, bundle.digest):
                with disk.saying(f"version {bundle.version} may be lost in a power failure", folder):
                    disk.sync_folder(folder)
                return bundle.version, False
            version = self._publish(folder, bundle.files, hold, None if renumber else bundle.version)
            with suppress(OSError):  # Of the corrupt one, which the next writer else removes.
                disk.remove_abandoned(folder)
            return version, True

    def holds(self, name: str, version: int, digest: str) -> bool:
        """Whether a version, by the digest of its card, is here and whole.

        :raises TakenVersion: another one is here.
        :raises CorruptModel: it cannot be told, for what is here cannot be read.
        """
        path = self._folder(name) / str(version) / CARD
        data = disk.read(path, f"{CARD} of {name} version {version}", most=disk.LARGEST_TEXT) if path.exists() else b""
        try:
            read_card(data, name, version)
        except CorruptModel:
            return False
        if disk.sha256(data) != digest:
            raise taken(self.root, name, version)
        try:
            self.bundle(name, version)
        except UnreadableModel:
            raise
        except CorruptModel:
            return False
        return True

    def _publish(self, folder: Path, contents: Mapping[str, bytes], hold: bool, version: int | None = None) -> int:
        """Publish under a number, in the place of what is corrupt there; without a number, under the next one."""
        with disk.saying(staging.NOTHING, folder), self._held(folder) if hold else nullcontext():
            replacing = version is not None
            version = version or max(self.versions(folder.name), default=0) + 1
            staging.put(folder, version, contents, replacing)
        with disk.saying(f"version {version} is published, but may be lost in a power failure", folder):
            disk.sync_folder(folder)
        return version

    @contextmanager
    def _held(self, folder: Path) -> Iterator[None]:
        """Pin what serves; where what follows fails, nothing stays pinned that was not before."""
        before = self.serving(folder.name)
        if before.version is not None:
            yield
            return
        path = folder / SERVING
        was_there = path.exists()
        disk.replace(path, before.model_copy(update={"version": self.highest_intact(folder.name)}).to_json().encode())
        try:
            yield
        except BaseException:
            with suppress(OSError):
                # A full disk lets a file be removed, and no canary or shadow needs one that was not there.
                path.unlink() if not was_there else disk.replace(path, before.to_json().encode())
            raise

    def change_serving(self, name: str, change: Callable[[Serving], Serving], asked_for: int | None = None) -> Serving:
        """Replace serving.json by what `change` makes of it; publishers and other changes wait.

        :param asked_for: a version that must be intact even if serving.json names it already.
        :raises UnknownModel: there is no such model, or no such version of it.
        :raises CorruptModel: serving.json cannot be read, or a version that is new in it is not intact.
        :raises OSError: the disk refused; the sentence says whether nothing has changed, or what did may be lost.
        """
        with self._changing(name) as folder:
            before = self.serving(name)
            after = change(before)
            for version in {*after.named} - ({*before.named} - {asked_for}):
                self.read(name, version)
            with disk.saying(staging.UNCHANGED, folder):
                disk.replace(folder / SERVING, after.to_json().encode())
            with disk.saying(f"{SERVING} is changed, but the change may be lost in a power failure", folder):
                disk.sync_folder(folder)
        return after

    def prune(self, name: str, keep: int) -> tuple[list[int], list[int]]:
        """Remove all but the `keep` newest versions and those that serve in some way; return what went and what stays.

        :raises UnknownModel: there is no such model.
        :raises CorruptModel: serving.json cannot be read.
        :raises OSError: the disk refused; the sentence says which version stays, or that the removal may not last.
        """
        with self._changing(name) as folder:
            removed, stay = self.kept(name, keep)
            staging.remove(folder, removed)
        return removed, stay

    @contextmanager
    def _changing(self, name: str) -> Iterator[Path]:
        if not self.versions(name):
            raise self.unknown(name)
        folder = self._folder(name)
        with staging.changing(folder):
            yield folder

    def _is(self, name: str) -> bool:
        try:
            return bool(self.versions(name))
        except OSError:
            return True

    def _folder(self, name: str) -> Path:
        check_name(name)
        return self.root / name

    def _card(self, name: str, version: int) -> tuple[ModelCard, bytes]:
        folder = self._folder(name) / str(version)
        if not folder.is_dir():
            raise self.unknown(name, version)
        data = disk.read(folder / CARD, f"{CARD} of {name} version {version}", most=disk.LARGEST_TEXT)
        return read_card(data, name, version), data

    def _checked(self, folder: Path, file: str, digest: FileDigest) -> bytes:
        where = f"{file} of {folder.parent.name} version {folder.name}"
        if Path(file).name != file:
            raise CorruptModel(f"{where} lies outside the version's folder")
        data = disk.read(folder / file, where, exact=digest.bytes)
        check_file(data, digest, where)
        return data
