"""Which pins of the locks are named by advisories in the format of OSV, as osv.dev exports them and pip-audit asks for.

Nothing is fetched: a machine without a network takes the file from one that has it.
"""

import argparse
import sys
import zipfile
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Annotated

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from pydantic import BaseModel, BeforeValidator, TypeAdapter, ValidationError

from models.terminal import spelled_out
from scripts.locks import LOCKS, Pin, of_images, pins

NOT_OSV, NO_FILE = 65, 66
PYPI = "PyPI"
# What may be null in a document of OSV (https://ossf.github.io/osv-schema/) is then empty.
Absent = BeforeValidator(lambda value: value or [])


class NotAdvisories(Exception):
    """A file that holds something else."""


class Range(BaseModel):
    """Between which versions something is wrong; `events` are versions, if they are no commits."""

    type: str
    events: list[dict[str, str]]


class Package(BaseModel):
    """A library, by its name in an ecosystem, such as PyPI."""

    ecosystem: str
    name: str


class Part(BaseModel):
    """What an advisory says of one library."""

    package: Package | None = None
    ranges: Annotated[list[Range], Absent] = []
    versions: Annotated[list[str], Absent] = []


class Advisory(BaseModel):
    """A document of OSV, as far as it is read."""

    id: str
    summary: str | None = None
    withdrawn: str | None = None
    aliases: Annotated[list[str], Absent] = []
    affected: Annotated[list[Part], Absent] = []


class Answer(BaseModel):
    """Several of them, as the API of OSV answers."""

    vulns: list[Advisory]


DOCUMENT: TypeAdapter[Answer | list[Advisory] | Advisory] = TypeAdapter(Answer | list[Advisory] | Advisory)


def advisories(path: Path) -> list[Advisory]:
    """Those of a file, of a zip of files, or of a folder of them, but for what was withdrawn.

    :raises NotAdvisories: one is no document of OSV, or none names a library of PyPI.
    :raises OSError: it cannot be read.
    """
    found: list[Advisory] = []
    for name, text in documents(path):
        try:
            document = DOCUMENT.validate_json(text)
        except ValidationError:
            raise NotAdvisories(f"{name} holds no advisories in the format of OSV") from None
        if isinstance(document, Answer):
            document = document.vulns
        found += document if isinstance(document, list) else [document]
    # A wrong export, or half a download, would otherwise say that all is well.
    if not any(affected(one) for one in found):
        raise NotAdvisories(f"{path} holds no advisory that names a library of PyPI")
    return [one for one in found if not one.withdrawn]


def documents(path: Path) -> Iterator[tuple[str, bytes]]:
    """The text of each document, with a name for it."""
    if path.is_dir():
        for file in sorted(path.glob("*.json")):
            yield str(file), file.read_bytes()
    elif path.suffix.lower() == ".zip":
        data = BytesIO(path.read_bytes())
        try:
            with zipfile.ZipFile(data) as archive:
                for name in archive.namelist():
                    if name.endswith(".json"):
                        yield f"{path}/{name}", archive.read(name)
        # What cannot be unpacked, because it is damaged, encrypted, or packed in another way.
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError):
            raise NotAdvisories(f"{path} is no zip archive, or not whole") from None
    else:
        yield str(path), path.read_bytes()


def affected(advisory: Advisory) -> list[tuple[str, Part]]:
    """Each library of PyPI that an advisory names, by its normalised name, with what is said of it."""
    return [
        (canonicalize_name(part.package.name), part)
        for part in advisory.affected
        if part.package and part.package.ecosystem == PYPI
    ]


def concerns(part: Part, version: Version) -> bool:
    """Whether a version is one of the listed ones, or stands in a range."""
    if version in filter(None, map(as_version, part.versions)):
        return True
    return any(within(events(one), version) for one in part.ranges)


def within(happened: list[tuple[Version, str]], version: Version) -> bool:
    inside = False
    for at, kind in happened:
        if kind == "introduced" and version >= at:
            inside = True
        elif (kind == "fixed" and version >= at) or (kind == "last_affected" and version > at):
            inside = False
    return inside


def events(versions: Range) -> list[tuple[Version, str]]:
    """What happened in a range of versions, in their order; none in one of commits."""
    if versions.type != "ECOSYSTEM":
        return []
    pairs = [(as_version(text), kind) for event in versions.events for kind, text in event.items()]
    return sorted((at, kind) for at, kind in pairs if at)


def as_version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def fix(part: Part, version: Version) -> Version | None:
    """The first version after this one in which it is mended."""
    happened = [event for one in part.ranges for event in events(one)]
    return min((at for at, kind in happened if kind == "fixed" and at > version), default=None)


def findings(
    found: list[Advisory], locked: list[Pin], ignored: set[str]
) -> Iterator[tuple[Pin, Advisory, Version | None]]:
    """Each pin with an advisory that names it, told once where several bodies have published it."""
    told: set[tuple[Pin, str]] = set()
    by_name: dict[str, list[Pin]] = {}
    for pin in locked:
        by_name.setdefault(pin.name, []).append(pin)
    for advisory in sorted(found, key=lambda one: one.id):
        identities = {advisory.id, *advisory.aliases}
        for name, part in affected(advisory):
            for pin in by_name.get(name, []):
                known = {(pin, identity) for identity in identities}
                if not (told & known or identities & ignored) and concerns(part, pin.version):
                    told.update(known)
                    yield pin, advisory, fix(part, pin.version)


def locked() -> dict[Pin, list[str]]:
    """Each pin, with the names of the locks that it stands in."""
    found: dict[Pin, list[str]] = {}
    for lock in sorted(LOCKS.glob("*.txt")):
        for pin in pins(lock):
            found.setdefault(pin, []).append(lock.name)
    return found


def tell(bad: list[tuple[Pin, Advisory, Version | None]], locks: dict[Pin, list[str]]) -> None:
    """Print what is affected, where, and what to type."""
    images = {lock.name for lock in of_images()}
    upgrades = set()
    for pin, advisory, fixed in bad:
        where = ", ".join(locks[pin]) + (" (in an image)" if images & set(locks[pin]) else "")
        print(f"{pin.name} {pin.version} in {where}: {advisory.id}, {spelled_out(advisory.summary or 'no summary')}")
        if fixed:
            print(f"    fixed in {fixed}")
            upgrades.add(f"--upgrade-package '{pin.name}>={fixed}'")
        else:
            print(f"    no fix is known; when it does not concern you: --ignore {advisory.id}")
    if upgrades:
        print(f"Type: scripts/lock {' '.join(sorted(upgrades))}; then scripts/test, and scripts/upgrade where it runs")


def main(arguments: list[str] | None = None) -> int:
    """Exit code 1 if a pin is affected, 65 if the file holds something else, 66 if it cannot be read."""
    parser = argparse.ArgumentParser(
        "scripts/audit",
        description="Hold the locks in requirements/ against advisories. Nothing is fetched.",
        epilog="Exit codes: 0 none is affected, 1 a pin is affected, 65 no advisories, 66 no such file.",
    )
    parser.add_argument("advisories", type=Path, help="a document of OSV, a list, a folder, or the zip of an export")
    parser.add_argument("--ignore", action="append", default=[], metavar="ID", help="an advisory that was looked into")
    options = parser.parse_args(arguments)
    try:
        known = advisories(options.advisories)
    except OSError as error:
        print(f"scripts/audit: {options.advisories}: {error.strerror}", file=sys.stderr)
        return NO_FILE
    except NotAdvisories as error:
        print(f"scripts/audit: {error}", file=sys.stderr)
        return NOT_OSV
    locks = locked()
    bad = list(findings(known, list(locks), set(options.ignore)))
    tell(bad, locks)
    if not bad:
        print(f"{len(locks)} pins, {len(known)} advisories: none is affected")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
