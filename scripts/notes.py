"""What a release says of itself: its version, and its section of CHANGELOG.md."""

import re

CHANGELOG = "CHANGELOG.md"
VERSION_FILE = "models/__init__.py"
# Names the wheel.
INSTALL = "docs/install.md"
_VERSION = re.compile(r'^__version__ = "(\d+)\.(\d+)\.(\d+)"$', re.MULTILINE)
_UNRELEASED = "## [Unreleased]\n"
# What whoever upgrades has to do; a release without a word on it is one that nobody thought about.
_UPGRADING = "### Upgrading\n"


class Refused(Exception):
    """No release can be made of this."""


def version_of(text: str) -> str:
    """The version that the file of the version holds."""
    (found,) = _VERSION.findall(text)
    return ".".join(found)


def set_version(text: str, version: str) -> str:
    return _VERSION.sub(f'__version__ = "{version}"', text)


def wheel_name(version: str) -> str:
    return f"evenkeel-{version}-py3-none-any.whl"


def next_versions(current: str) -> list[str]:
    """The next patch, minor and major version."""
    major, minor, patch = map(int, current.split("."))
    return [f"{major}.{minor}.{patch + 1}", f"{major}.{minor + 1}.0", f"{major + 1}.0.0"]


def cut(changelog: str, version: str, date: str) -> str:
    """The CHANGELOG in which what is unreleased is that version's, and nothing is unreleased.

    :raises Refused: nothing is unreleased, or not a word says what an upgrade takes.
    """
    before, heading, after = changelog.partition(_UNRELEASED)
    section = after.partition("\n## [")[0]
    if not heading or not re.search(r"^- ", section, re.MULTILINE):
        raise Refused(f"nothing stands under [Unreleased] in {CHANGELOG}")
    if _UPGRADING not in section:
        raise Refused(
            f"under [Unreleased], {CHANGELOG} has no '### Upgrading'; if an upgrade takes nothing: '- Nothing.'"
        )
    return f"{before}{_UNRELEASED}\n## [{version}] - {date}\n{after}"


def released(changelog: str, version: str) -> str:
    """The section of a version, what an upgrade takes first."""
    _, _, after = changelog.partition(f"## [{version}] - ")
    date, _, body = after.partition("\n")
    parts = re.split(r"^(?=### )", body.partition("\n## [")[0].strip() + "\n", flags=re.MULTILINE)
    ordered = sorted(filter(str.strip, parts), key=lambda part: not part.startswith(_UPGRADING))
    return f"# Evenkeel {version}, {date}\n\n" + "\n".join(part.strip() + "\n" for part in ordered)
