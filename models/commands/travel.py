"""Models that travel: `export`, `import` and `copy`.

A version keeps its bytes, its card's digest and its number wherever it goes.
"""

import argparse
import os
import time
from pathlib import Path
from typing import NoReturn

from models import files as disk
from models.archive import LARGEST_ARCHIVE, pack, unpack
from models.bucket import BucketRepository
from models.bundle import Bundle
from models.compression import ending
from models.errors import CorruptModel, InvalidName, ModelError, UnknownModel
from models.mirror import Mirror
from models.objects import Objects, is_url
from models.replacing import replacing
from models.repository import ModelRepository
from models.store import Store
from models.terminal import noting, sentence_of, tell


def opened(place: str) -> Store:
    """The repository at a path or a URL.

    :raises InvalidName: it is a URL, and its library is not installed or does not take it.
    """
    return BucketRepository(place) if is_url(place) else ModelRepository(Path(place))


def export(repository: Store, options: argparse.Namespace) -> None:
    """Write one version as an archive, which is there when it is whole, and not before."""
    archive: str = options.archive
    ending(archive)
    bundle = _bundle(repository, *options.model)
    data = pack(bundle, archive)
    if is_url(archive):
        folder, _, name = archive.rpartition("/")
        Objects(folder).put(name, data)
    else:
        _write(Path(archive), data)
    _print(f"{bundle.card.name} {bundle.version}: exported to {archive}, {len(data)} bytes")


def _write(archive: Path, data: bytes) -> None:
    with disk.saying("nothing was exported", archive), replacing(archive) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    with disk.saying("the archive is whole, but may be lost in a power failure", archive):
        disk.sync_folder(archive.absolute().parent)


def import_archive(repository: Store, options: argparse.Namespace) -> None:
    """Publish the version that an archive holds."""
    archive: str = options.archive
    ending(archive)
    data = _downloaded(archive) if is_url(archive) else _read(Path(archive))
    _add(repository, unpack(data, archive.rpartition("/")[2]), options)


def _downloaded(archive: str) -> bytes:
    folder, _, name = archive.rpartition("/")
    found = Objects(folder).get(name, LARGEST_ARCHIVE)
    if found is None:
        raise UnknownModel(f"there is no {archive}")
    return found.data


def _read(archive: Path) -> bytes:
    if (size := archive.stat().st_size) > LARGEST_ARCHIVE:
        raise CorruptModel(f"{archive} has {size} bytes; an archive has at most {LARGEST_ARCHIVE}")
    return archive.read_bytes()


def copy(repository: Store, options: argparse.Namespace) -> None:
    """Publish a version of one repository in another; or all versions, and the choice of what serves.

    :raises CorruptModel: with `--all`, some versions are not intact; all others are copied.
    """
    source = opened(options.source) if options.source else repository
    target = opened(options.target) if options.target else repository
    if source is target:
        raise InvalidName("a copy goes from one repository to another: say --from STORE or --to STORE")
    if not options.all:
        if options.every:
            raise InvalidName("--every goes with --all")
        _add(target, _bundle(source, *options.model), options)
        return
    if options.next or options.hold:
        raise InvalidName("--all copies each version under its number, and what serves; leave out --next and --hold")
    mirror = Mirror(source, target, _print)
    if options.every:
        _follow(mirror, options.every)
    elif refused := mirror.copy():
        raise CorruptModel(f"all else is copied, but not: {'; '.join(refused)}")


def _follow(mirror: Mirror, seconds: float) -> NoReturn:
    """Copy again and again. What is in the way is told once, and once more when it is over."""
    told = ""
    while True:
        try:
            trouble = "; ".join(mirror.copy())
        except (OSError, ModelError) as error:
            trouble = sentence_of(error)
        if trouble != told:
            tell("models", trouble or "copying again")
        told = trouble
        time.sleep(seconds)


def _bundle(repository: Store, name: str, version: int | None) -> Bundle:
    return repository.bundle(name, version or repository.serving_version(name))


def _add(repository: Store, bundle: Bundle, options: argparse.Namespace) -> None:
    _say(repository, bundle.card.name, *repository.add(bundle, renumber=options.next, hold=options.hold))


def _say(repository: Store, name: str, version: int, new: bool) -> None:
    _print(f"{name} {version}: {'published in' if new else 'is already in'} {repository.place}")


def _print(said: str) -> None:
    with noting(said):
        print(said)
