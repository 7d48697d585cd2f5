"""Whether every pin that goes into an image has a wheel for each platform of the images, with its digest in the lock.

uv asks the registry that it is configured for which files there are; nothing is downloaded.
"""

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename
from packaging.version import Version

from scripts.locks import ROOT, Pin, of_images, pins

PYTHON = (3, 13)
# The C library of the base image, Debian 13, and the oldest that wheels are built for.
NEWEST, OLDEST = 41, 17
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
# Of each version of a library the wheels that there are: their tags, and their digest.
Wheels = dict[tuple[str, Version], list[tuple[frozenset[Tag], str]]]


def tags(machine: str) -> set[Tag]:
    """What the image's Python can load on a machine."""
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(NEWEST, OLDEST - 1, -1)]
    platforms += [f"manylinux2014_{machine}", f"linux_{machine}"]
    return {*cpython_tags(PYTHON, platforms=platforms), *compatible_tags(PYTHON, "cp313", platforms)}


def published(locks: list[Path]) -> Wheels:
    """The wheels of everything that is pinned.

    :raises CalledProcessError: uv cannot ask; it has said why.
    """
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--format", "pylock.toml", "--universal"]
    command += ["--python-version", ".".join(map(str, PYTHON)), "--no-deps", "--generate-hashes", *map(str, locks)]
    answer = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    return {
        (package["name"], Version(package["version"])): [
            (parse_wheel_filename(file_name(wheel["url"]))[3], wheel["hashes"]["sha256"])
            for wheel in package.get("wheels", [])
        ]
        for package in tomllib.loads(answer)["packages"]
    }


def file_name(url: str) -> str:
    return unquote(url.rpartition("/")[2])


def missing(locked: list[Pin], wheels: Wheels) -> Iterator[tuple[Pin, str]]:
    """The pins that cannot be installed, each with the platform on which."""
    for platform, machine in MACHINES.items():
        loadable = tags(machine)
        version = ".".join(map(str, PYTHON))
        here = {"python_version": version, "python_full_version": f"{version}.0", "platform_machine": machine}
        for pin in locked:
            needed = pin.marker is None or pin.marker.evaluate({"sys_platform": "linux", **here})
            files = wheels[pin.name, pin.version] if needed else []
            if needed and not any(digest in pin.digests and loadable & of for of, digest in files):
                yield pin, platform


def main() -> int:
    """Say what is missing. Exit code 1 if anything is, 69 if the registry does not answer."""
    locks = of_images()
    try:
        wheels = published(locks)
    except subprocess.CalledProcessError:
        return 69
    bad = 0
    for lock in locks:
        for pin, platform in missing(list(pins(lock)), wheels):
            bad += 1
            print(
                f"{lock.relative_to(ROOT)}: {pin.name} {pin.version} has no wheel for {platform} with its digest there"
            )
    if bad:
        print("Type scripts/lock; if that changes nothing, require another version in pyproject.toml first.")
        return 1
    count = len({pin.name for lock in locks for pin in pins(lock)})
    print(f"{count} libraries of the images have wheels for {' and '.join(MACHINES)}, locked by their digests")
    return 0


if __name__ == "__main__":
    sys.exit(main())
