"""Models that travel: `export`, `import` and `copy`.

A version keeps its bytes, its card's digest and its number wherever it goes.
"""

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models import files as disk
from models.archive import LARGEST_ARCHIVE, pack, unpack
from models.bundle import Bundle
from models.compression import ending
from models.errors import CorruptModel, InvalidName, ModelError
from models.replacing import replacing
from models.repository import ModelRepository
from models.terminal import noting


def export(repository: ModelRepository, options: argparse.Namespace) -> None:
    """Write one version as an archive, which is there when it is whole, and not before."""
    archive: Path = options.archive
    ending(archive.name)
    bundle = _bundle(repository, *options.model)
    data = pack(bundle, archive.name)
    with disk.saying("nothing was exported", archive), replacing(archive) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    with disk.saying("the archive is whole, but may be lost in a power failure", archive):
        disk.sync_folder(archive.absolute().parent)
    said = f"{bundle.card.name} {bundle.version}: exported to {archive}, {len(data)} bytes"
    with noting(said):
        print(said)


def import_archive(repository: ModelRepository, options: argparse.Namespace) -> None:
    """Publish the version that an archive holds."""
    archive: Path = options.archive
    ending(archive.name)
    if (size := archive.stat().st_size) > LARGEST_ARCHIVE:
        raise CorruptModel(f"{archive} has {size} bytes; an archive has at most {LARGEST_ARCHIVE}")
    _add(repository, unpack(archive.read_bytes(), archive.name), options)


def copy(repository: ModelRepository, options: argparse.Namespace) -> None:
    """Publish a version of one repository in another; or all versions, and the choice of what serves.

    :raises CorruptModel: with `--all`, some versions are not intact; all others are copied.
    """
    source = ModelRepository(options.source) if options.source else repository
    target = ModelRepository(options.target) if options.target else repository
    if source is target:
        raise InvalidName("a copy goes from one repository to another: say --from FOLDER or --to FOLDER")
    if not options.all:
        _add(target, _bundle(source, *options.model), options)
        return
    if options.next or options.hold:
        raise InvalidName("--all copies each version under its number, and what serves; leave out --next and --hold")
    refused = _Refused()
    for name in source.names():
        with refused.passed_over():
            _copy_model(source, target, name, refused)
    if refused.sentences:
        raise CorruptModel(f"all else is copied, but not: {'; '.join(refused.sentences)}")


class _Refused:
    """What could not be copied: passed over, and named in the end."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    @contextmanager
    def passed_over(self) -> Iterator[None]:
        try:
            yield
        except ModelError as error:
            self.sentences.append(str(error))


def _copy_model(source: ModelRepository, target: ModelRepository, name: str, refused: _Refused) -> None:
    """Copy all versions of a model, and which of them serve.

    What serves goes first, and the choice of it behind it: at no moment does another version serve in its place.
    """
    chosen = source.serving(name)
    versions = source.versions(name)[::-1]
    first = [version for version in versions if version in chosen.named]

    def copy_versions(versions: list[int]) -> None:
        for version in versions:
            with refused.passed_over():
                _say(target, name, *target.add(source.bundle(name, version)))

    copy_versions(first)
    with refused.passed_over():
        if chosen != target.serving(name):
            target.change_serving(name, lambda _: chosen)
            print(f"{name}: serving.json copied to {target.root}")
    copy_versions([version for version in versions if version not in first])


def _bundle(repository: ModelRepository, name: str, version: int | None) -> Bundle:
    return repository.bundle(name, version or repository.serving_version(name))


def _add(repository: ModelRepository, bundle: Bundle, options: argparse.Namespace) -> None:
    _say(repository, bundle.card.name, *repository.add(bundle, renumber=options.next, hold=options.hold))


def _say(repository: ModelRepository, name: str, version: int, new: bool) -> None:
    said = f"{name} {version}: {'published in' if new else 'is already in'} {repository.root}"
    with noting(said):
        print(said)
