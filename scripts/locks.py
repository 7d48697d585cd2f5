"""What the lock files in `requirements/` pin, and which of them go into images."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker
from packaging.version import Version

ROOT = Path(__file__).parents[1]
LOCKS = ROOT / "requirements"


@dataclass(frozen=True)
class Pin:
    """A version of a library, where `marker` holds, and the SHA-256 digests of the files that it may come as."""

    name: str
    version: Version
    marker: Marker | None
    digests: frozenset[str]


def pins(lock: Path) -> Iterator[Pin]:
    """What a lock file of `scripts/lock` pins."""
    for entry in re.split(r"^(?=\S)", lock.read_text(), flags=re.MULTILINE)[1:]:
        requirement, *digests = entry.split(" \\\n")
        pinned, _, marker = requirement.partition(" ; ")
        name, _, version = pinned.partition("==")
        found = frozenset(digest.strip().removeprefix("--hash=sha256:") for digest in digests)
        yield Pin(name, Version(version), Marker(marker) if marker else None, found)


def of_images() -> list[Path]:
    """The locks that a build stage of the Dockerfile installs."""
    installed = re.findall(r"^RUN \./install (.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    return sorted({LOCKS / f"{name}.txt" for names in installed for name in names.split()})
