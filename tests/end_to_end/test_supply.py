"""What the project is made of: locks against advisories, and against the platforms of the images."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from scripts.audit import NotAdvisories, Part, Range, advisories, concerns, fix
from scripts.locks import LOCKS, ROOT, Pin, of_images, pins
from scripts.platforms import MACHINES, missing, published, tags

SERVICE = {pin.name: pin for pin in pins(LOCKS / "service.txt")}
FLASK = SERVICE["flask"]


def advisory(identity: str = "GHSA-1", library: str = "Flask", **said: Any) -> dict[str, Any]:
    """A document of OSV that concerns every version of a library before 99.1, unless something else is said."""
    events = [{"introduced": "0"}, {"fixed": "99.1"}]
    part = {"package": {"ecosystem": "PyPI", "name": library}, "ranges": [{"type": "ECOSYSTEM", "events": events}]}
    return {"id": identity, "summary": "A cookie is not signed", "affected": [part | said]}


def audit(file: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "scripts.audit", file.name, *arguments]
    return subprocess.run(command, cwd=file.parent, capture_output=True, text=True, check=False)


def test_an_affected_pin_is_told_with_what_to_type(tmp_path: Path) -> None:
    """By its lock, once where two bodies have published the same; ignored, it is none."""
    file = tmp_path / "advisories.json"
    file.write_text(json.dumps([advisory() | {"aliases": ["CVE-1"]}, advisory("PYSEC-1") | {"aliases": ["CVE-1"]}]))
    run = audit(file)

    assert run.returncode == 1
    assert run.stdout.splitlines() == [
        f"flask {FLASK.version} in dev.txt, service.txt (in an image): GHSA-1, A cookie is not signed",
        "    fixed in 99.1",
        "Type: scripts/lock --upgrade-package 'flask>=99.1'; then scripts/test, and scripts/upgrade where it runs",
    ]
    assert audit(file, "--ignore", "CVE-1").returncode == 0


def test_an_export_is_read_as_it_comes(tmp_path: Path) -> None:
    """A zip of documents, in which other libraries, other ecosystems and what was withdrawn concern nobody."""
    other = advisory("GHSA-2", ranges=[], versions=["3.0.0"], package={"ecosystem": "npm", "name": "flask"})
    withdrawn = advisory("GHSA-3") | {"withdrawn": "2026-01-01T00:00:00Z"}
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as export:
        for one in (advisory("GHSA-1", "django"), other, withdrawn):
            export.writestr(f"{one['id']}.json", json.dumps(one))
    run = audit(tmp_path / "all.zip")

    assert (run.returncode, run.stderr) == (0, "")
    assert re.fullmatch(r"\d+ pins, 2 advisories: none is affected\n", run.stdout)


@pytest.mark.parametrize(
    ("content", "code", "sentence"),
    [
        (None, 66, "advisories.json: No such file or directory"),
        ("{", 65, "advisories.json holds no advisories in the format of OSV"),
        ('{"results": []}', 65, "advisories.json holds no advisories in the format of OSV"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: str | None, code: int, sentence: str) -> None:
    """And never taken for one that names nothing."""
    if content is not None:
        (tmp_path / "advisories.json").write_text(content)
    run = audit(tmp_path / "advisories.json")

    assert (run.returncode, run.stderr) == (code, f"scripts/audit: {sentence}\n")


@pytest.mark.parametrize(
    "document",
    [
        {"id": "X", "affected": "flask"},
        {"id": "X", "affected": [{"package": {"ecosystem": "PyPI"}}]},
        {"id": "X", "affected": [{"package": {"ecosystem": "PyPI", "name": "flask"}, "ranges": [{"events": []}]}]},
        advisory(versions=[1]),
        advisory(package={"ecosystem": "npm", "name": "flask"}),
        {"vulns": []},
        [],
    ],
)
def test_what_names_nothing_by_mistake_is_refused(tmp_path: Path, document: object) -> None:
    """A document that is not as OSV says, one of another ecosystem, and none at all: nothing was audited then."""
    (tmp_path / "advisories.json").write_text(json.dumps(document))
    assert_refused(tmp_path / "advisories.json")


def assert_refused(path: Path) -> None:
    with pytest.raises(NotAdvisories, match=rf"^{re.escape(str(path))}.* ((is )?no |holds no )[^\n]*$"):
        advisories(path)


def test_a_damaged_export_is_refused(tmp_path: Path) -> None:
    """Whatever byte of it is another one, and wherever it is torn: refused in a sentence, or read as it was."""
    whole = tmp_path / "whole.ZIP"
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as export:
        export.mkdir("PyPI")
        export.writestr("PyPI/GHSA-1.json", json.dumps(advisory()))
    data, expected, damaged = whole.read_bytes(), advisories(whole), tmp_path / "damaged.zip"
    others = [data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :] for at in range(len(data)) for bit in (1, 0xFF)]

    for one in (*others, *(data[:at] for at in range(0, len(data), 7))):
        damaged.write_bytes(one)
        try:
            assert advisories(damaged) == expected
        except NotAdvisories:
            continue


def test_what_an_advisory_says_is_one_line(tmp_path: Path) -> None:
    """Null is nothing, and a terminal is told nothing by a summary."""
    file = tmp_path / "advisories.json"
    file.write_text(json.dumps(advisory(versions=None) | {"aliases": None, "summary": "\x1b[2J\nall is well"}))
    run = audit(file)

    assert run.returncode == 1
    assert "GHSA-1, \\x1b[2J\\nall is well\n" in run.stdout


@pytest.mark.parametrize(
    ("version", "concerned"),
    [
        ("0.9", False),
        ("1.0", True),
        ("1.4.9", True),
        ("1.5", False),
        ("2.0rc1", False),
        ("2.0", True),
        ("2.3.post1", False),
    ],
)
def test_versions_are_compared_as_pypi_does(version: str, concerned: bool) -> None:
    """From `introduced` on, before `fixed`, up to `last_affected`."""
    events = [{"introduced": "2.0"}, {"last_affected": "2.3"}, {"introduced": "1.0"}, {"fixed": "1.5"}]
    git = Range(type="GIT", events=[{"introduced": "0"}])
    part = Part(ranges=[Range(type="ECOSYSTEM", events=events), git])
    listed = part.model_copy(update={"versions": ["v" + version, "not-a-version"]})

    assert concerns(part, Version(version)) == concerned
    assert concerns(listed, Version(version))
    assert fix(part, Version(version)) == (Version("1.5") if Version(version) < Version("1.5") else None)


def test_a_pin_without_a_wheel_for_a_platform_is_found() -> None:
    """Also where there is one, whose digest the lock does not hold."""
    pin = Pin("fast", Version("1"), None, frozenset({"for-amd64"}))
    loadable = {platform: next(iter(tags(machine))) for platform, machine in MACHINES.items()}
    wheels = [(frozenset({loadable[platform]}), f"for-{platform}") for platform in MACHINES]

    assert [platform for _, platform in missing([pin], {("fast", pin.version): wheels})] == ["arm64"]


def test_locks_are_read_whole() -> None:
    """Every pin with its digests; those of the images are those that the Dockerfile installs."""
    assert {lock.stem for lock in of_images()} == {"archive", "search", "service", "storage", "trainer"}
    for lock in LOCKS.glob("*.txt"):
        text, read = lock.read_text(), list(pins(lock))
        assert len(read) == text.count("==") - text.count(" == ")
        assert sum(len(pin.digests) for pin in read) == text.count("--hash=sha256:")


@pytest.mark.parametrize(
    ("arguments", "seconds", "sentence"),
    [
        (["--help"], "60", "type scripts/upgrade, or scripts/upgrade IMAGE"),
        (["one", "another"], "60", "type scripts/upgrade, or scripts/upgrade IMAGE"),
        (["one"], "1m", "EVENKEEL_UPGRADE_SECONDS should be a whole number from 1 to 3600, not '1m'"),
        (["one"], "0", "EVENKEEL_UPGRADE_SECONDS should be a whole number from 1 to 3600, not '0'"),
        (["one"], "-1", "EVENKEEL_UPGRADE_SECONDS should be a whole number from 1 to 3600, not '-1'"),
        (["one"], " 5", "EVENKEEL_UPGRADE_SECONDS should be a whole number from 1 to 3600, not ' 5'"),
        (["one"], "5\n6", "EVENKEEL_UPGRADE_SECONDS should be a whole number from 1 to 3600, not '56'"),
        (
            ["one"],
            "9" * 30,
            "EVENKEEL_UPGRADE_SECONDS should be a whole number from 1 to 3600, not '999999999999999999999999999999'",
        ),
    ],
)
def test_an_upgrade_is_refused_before_anything_is_touched(arguments: list[str], seconds: str, sentence: str) -> None:
    """An engine is not even asked."""
    environment = {"PATH": "/usr/bin:/bin", "DOCKER_HOST": "unix:///nowhere", "EVENKEEL_UPGRADE_SECONDS": seconds}
    command = [str(ROOT / "scripts/upgrade"), *arguments]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert (run.returncode, run.stderr, run.stdout) == (64, f"upgrade: {sentence}\n", "")


@pytest.mark.thorough
@pytest.mark.packaging
def test_every_image_can_be_built_for_each_platform() -> None:
    """All that goes into an image has wheels for amd64 and arm64, locked by their digests; the registry says so."""
    locks = of_images()
    wheels = published(locks)
    locked = [pin for lock in locks for pin in pins(lock)]

    assert list(missing(locked, wheels)) == []
    numpy = SERVICE["numpy"]
    (arm,) = [
        digest for of, digest in wheels["numpy", numpy.version] if of & tags("aarch64") and digest in numpy.digests
    ]
    without = Pin(numpy.name, numpy.version, numpy.marker, numpy.digests - {arm})
    assert list(missing([without], wheels)) == [(without, "arm64")]
