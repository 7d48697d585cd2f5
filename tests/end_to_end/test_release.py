"""`scripts/release`, in a clone: whole or not at all."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from models import __version__
from scripts.notes import CHANGELOG, INSTALL, Refused, cut, next_versions, released, wheel_name
from tests.containers.conftest import needs_engine
from tests.end_to_end.conftest import ROOT

PATCH, MINOR, _ = next_versions(__version__)
UNRELEASED = "# Changes\n\n## [Unreleased]\n\n### Added\n\n- A.\n\n### Upgrading\n\n- U.\n"
NOTES = f"{UNRELEASED}\n## [{__version__}] - 2025-01-01\n\n- O.\n"
IDENTITY = {f"GIT_{who}_{what}": "tests@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


class Clone:
    """A clone of this checkout, with what has been changed in it, on a branch of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        subprocess.run(["git", "clone", "--quiet", "--no-tags", ROOT, path], check=True)
        # The file that stands here is the one that is tested, committed or not.
        shutil.copytree(ROOT / "scripts", path / "scripts", dirs_exist_ok=True)
        shutil.copy(ROOT / "deploy/bake.hcl", path / "deploy")
        shutil.copy(ROOT / "Dockerfile", path)
        (path / ".venv").symlink_to(ROOT / ".venv")
        (path / "CHANGELOG.md").write_text(NOTES)
        self.git("checkout", "--quiet", "-b", "tested")
        self.commit()

    def git(self, *arguments: str) -> str:
        command, environment = ["git", *arguments], os.environ | IDENTITY
        return subprocess.run(
            command, cwd=self.path, env=environment, capture_output=True, text=True, check=True
        ).stdout.strip()

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "A change")

    def release(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command, environment = ["scripts/release", *arguments], os.environ | IDENTITY
        return subprocess.run(command, cwd=self.path, env=environment, capture_output=True, text=True, check=False)

    def state(self) -> tuple[str, ...]:
        """Whatever a release changes."""
        dist = sorted(str(path.relative_to(self.path)) for path in self.path.glob("dist/*"))
        return (
            *map(self.git, ("branch", "tag")),
            self.git("rev-parse", "HEAD"),
            self.git("status", "--porcelain"),
            self.git("worktree", "list"),
            *dist,
        )


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return Clone(tmp_path_factory.mktemp("release") / "clone")


@pytest.fixture
def clone(pristine: Clone) -> Iterator[Clone]:
    """The clone, which is afterwards as it was before."""
    start = pristine.git("rev-parse", "HEAD")
    yield pristine
    pristine.git("checkout", "--quiet", "tested")
    pristine.git("reset", "--quiet", "--hard", start)
    for tag in pristine.git("tag").split():
        pristine.git("tag", "--delete", tag)
    shutil.rmtree(pristine.path / "dist", ignore_errors=True)


def test_a_release_is_made_whole(clone: Clone) -> None:
    """A commit on the branch, a tag on it, and in dist/ a wheel of that version with notes and digests."""
    before = clone.git("rev-parse", "HEAD")
    run = clone.release(MINOR, "--without", "check,test,images")

    assert run.returncode == 0, run.stderr
    assert run.stdout.endswith(f"publish it by: git push origin tested v{MINOR}\n")
    assert clone.git("rev-parse", f"v{MINOR}^{{commit}}", "HEAD^").split() == [clone.git("rev-parse", "HEAD"), before]
    assert clone.git("tag", "--list", "--format=%(contents)").split("\n\n")[1] == "Made without: check, images, test"
    assert clone.git("status", "--porcelain") == ""
    assert f'__version__ = "{MINOR}"' in (clone.path / "models/__init__.py").read_text()
    assert wheel_name(MINOR) in (clone.path / INSTALL).read_text()
    made = clone.path / "dist" / MINOR
    assert (made / "NOTES.md").read_text().startswith(f"# Evenkeel {MINOR}, 20")
    wheel = made / wheel_name(MINOR)
    assert f'__version__ = "{MINOR}"'.encode() in zipfile.ZipFile(wheel).read("models/__init__.py")
    assert digests(made) == {wheel.name, "NOTES.md"}


def digests(made: Path) -> set[str]:
    """The files that SHA256SUMS lists, each of which has that digest."""
    lines = (made / "SHA256SUMS").read_text().splitlines()
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    assert all(hashlib.sha256((made / name).read_bytes()).hexdigest() == digest for name, digest in listed.items())
    return set(listed)


@pytest.mark.parametrize(
    ("arrange", "version", "sentence"),
    [
        ("true", "9.9.9", f"after {__version__} comes .*, not 9.9.9"),
        ("true", f"v{MINOR}", f"after {__version__} comes .*, not v{MINOR}"),
        (f"git tag v{MINOR}", MINOR, f"the tag v{MINOR} exists"),
        ("echo >> LICENSE; touch new", MINOR, "the tree is not clean, commit or stash first: LICENSE, new"),
        ("git checkout -q --detach", MINOR, "no branch is checked out: git switch main"),
        (f"mkdir -p dist/{MINOR}", MINOR, f"dist/{MINOR} exists; move it away"),
        ("sed -i /^-/d CHANGELOG.md; git commit -qam -", MINOR, r"nothing stands under \[Unreleased\] in CHANGELOG.md"),
        ("sed -i s/Upgrading/U/ CHANGELOG.md; git commit -qam -", MINOR, ".* has no '### Upgrading'; .*"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_release_is_refused(clone: Clone, arrange: str, version: str, sentence: str) -> None:
    """At once, in a sentence, and nothing is touched."""
    subprocess.run(["sh", "-ec", arrange], cwd=clone.path, env=os.environ | IDENTITY, check=True)
    before = clone.state()
    run = clone.release(version, "--without", "check,test,images")

    assert run.returncode == 65
    assert re.fullmatch(f"scripts/release: {sentence}.*\n", run.stderr)
    assert clone.state() == before
    (clone.path / "new").unlink(missing_ok=True)


def test_a_failing_step_leaves_nothing(clone: Clone) -> None:
    """Here the wheel cannot be built; nor does a dry run that succeeds leave anything."""
    dry = clone.state()
    succeeded = clone.release(PATCH, "--dry-run", "--without", "check,test,images")
    after_dry = clone.state()
    clone.git("rm", "--quiet", "README.md")
    clone.commit()
    before = clone.state()
    run = clone.release(PATCH, "--without", "check,test,images")

    assert (succeeded.returncode, after_dry) == (0, dry), succeeded.stderr
    assert run.returncode == 1
    assert run.stderr.endswith("failed; branch, tags and dist/ are as before\n")
    assert clone.state() == before


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGHUP])
def test_whoever_ends_a_release_ends_its_step(clone: Clone, end: signal.Signals, tmp_path: Path) -> None:
    """With all that the step has started, asked twice; nothing is left."""
    started = tmp_path / "started"
    (clone.path / "scripts/check").write_text(f"#!/bin/sh\nsleep 600 & echo $! > {started}\nwait\n")
    clone.commit()
    before = clone.state()
    command = ["scripts/release", PATCH, "--without", "test,images"]
    with subprocess.Popen(command, cwd=clone.path, env=os.environ | IDENTITY, stdout=subprocess.DEVNULL) as release:
        while not (started.exists() and started.read_text().endswith("\n")):
            assert release.poll() is None
            time.sleep(0.05)
        release.send_signal(end)
        release.send_signal(end)

    assert release.returncode == 128 + end
    assert clone.state() == before
    wait_for_the_end(started)


@pytest.mark.thorough
def test_a_step_that_fails_leaves_no_process(clone: Clone, tmp_path: Path) -> None:
    """As tests do that are ended in the middle: what they had started goes with them."""
    started = tmp_path / "started"
    (clone.path / "scripts/check").write_text(f"#!/bin/sh\nsleep 600 & echo $! > {started}\nexit 3\n")
    clone.commit()
    run = clone.release(PATCH, "--without", "test,images")

    assert run.returncode == 1
    wait_for_the_end(started)


def wait_for_the_end(started: Path) -> None:
    """Of a process, by the file that holds its number: as soon as its parent of now has seen that it ended."""
    deadline = time.monotonic() + 60
    while Path(f"/proc/{started.read_text().strip()}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.thorough
def test_the_branch_that_has_gone_on_is_not_released(clone: Clone) -> None:
    """Where somebody commits while the release is made, it is not made, and there is no tag."""
    hook = clone.path / ".git/hooks/reference-transaction"
    # When the tag is about to be set, the branch already has another commit.
    hook.write_text(
        f'#!/bin/sh\n[ "$1" = committed ] && grep -q refs/tags/v{PATCH} || exit 0\nrm "$0"\n'
        f"cd {clone.path} && git commit -q --allow-empty -m meanwhile\n"
    )
    hook.chmod(0o755)
    run = clone.release(PATCH, "--without", "check,test,images")

    assert run.returncode == 1
    assert "Not possible to fast-forward" in run.stderr
    assert clone.git("log", "-1", "--format=%s") == "meanwhile"
    assert clone.git("tag") == ""


def test_notes_say_first_what_an_upgrade_takes() -> None:
    """The section of the version alone; what is unreleased afterwards is nothing."""
    made = cut(NOTES, "1.0.0", "2026-11-26")

    assert released(made, "1.0.0") == "# Evenkeel 1.0.0, 2026-11-26\n\n### Upgrading\n\n- U.\n\n### Added\n\n- A.\n"
    assert "## [Unreleased]\n\n## [1.0.0] - 2026-11-26\n\n### Added\n" in made
    with pytest.raises(Refused, match="nothing stands under"):
        cut(made, "1.0.1", "2026-11-27")


def test_this_checkout_can_be_released() -> None:
    """Its CHANGELOG has the sections, and the docs name the wheel of the present version."""
    assert wheel_name(__version__) in (ROOT / INSTALL).read_text()
    changelog, version = (ROOT / CHANGELOG).read_text(), MINOR
    # A release runs the tests when its own section is cut, and nothing is unreleased.
    if f"## [Unreleased]\n\n## [{__version__}] - " in changelog:
        version = __version__
    else:
        changelog = cut(changelog, MINOR, "2026-11-26")
    assert "\n### Added\n" in released(changelog, version)


class TestWithImages:
    pytestmark = needs_engine

    def test_images_of_a_release_say_so(self, clone: Clone) -> None:
        """Each has version and commit as labels, and dist/ what it holds; a dry run leaves no image."""
        names = [f"evenkeel-{name}:{PATCH}" for name in ("service", "trainer", "searcher")]
        list_images = ["docker", "image", "inspect", *names]
        try:
            dry = clone.release(PATCH, "--dry-run", "--without", "check,test")
            left = subprocess.run(list_images, capture_output=True, check=False)
            run = clone.release(PATCH, "--without", "check,test")
            images = json.loads(subprocess.run(list_images, capture_output=True, check=False).stdout)
        finally:
            subprocess.run(["docker", "image", "rm", *names], capture_output=True, check=False)
        made = clone.path / "dist" / PATCH
        digest_of = json.loads((made / "images.json").read_text())

        assert (dry.returncode, run.returncode) == (0, 0), dry.stderr + run.stderr
        assert json.loads(left.stdout) == []
        for name, image in zip(names, images, strict=True):
            assert image["Config"]["Labels"]["org.opencontainers.image.version"] == PATCH
            assert image["Config"]["Labels"]["org.opencontainers.image.revision"] == clone.git("rev-parse", "HEAD")
            assert list(digest_of[name].values()) == [image["Id"]]
            parts = json.loads((made / f"{name.partition(':')[0]}.cdx.json").read_text())
            assert parts["metadata"]["component"]["version"] == PATCH
        assert len(digests(made)) == 6
