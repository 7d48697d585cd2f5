"""Make a release: a commit with its version and notes, wheel and images with their digests in dist/, and a tag.

All of it is made of a copy of the last commit, in a folder of its own. Branch, tag and dist/ change when everything has
succeeded, and not at all with --dry-run.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from scripts import programs
from scripts.locks import ROOT
from scripts.notes import (
    CHANGELOG,
    INSTALL,
    VERSION_FILE,
    Refused,
    cut,
    next_versions,
    released,
    set_version,
    version_of,
    wheel_name,
)

IMAGES = ("service", "trainer", "searcher")
REFUSED = 65


@dataclass(frozen=True)
class Release:
    """A release that is being made: its version, the copy it is made of, and the folder for what it consists of."""

    version: str
    copy: Path
    out: Path

    @property
    def tag(self) -> str:
        return f"v{self.version}"

    def run(self, *command: str, **environment: str) -> None:
        """Run a command in the copy; CalledProcessError if it failed, which has said why."""
        programs.run(command, self.copy, os.environ | environment)

    def read(self, *command: str) -> str:
        """What a command prints, run in the copy.

        :raises CalledProcessError: as in `run`.
        """
        return programs.run(command, self.copy, os.environ, read=True)

    def image(self, name: str) -> str:
        return f"evenkeel-{name}:{self.version}"


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def check(release: Release) -> None:
    """Format, lint, types, imports; wheels for each platform."""
    release.run("scripts/check")
    release.run("scripts/platforms")


def test(release: Release) -> None:
    """Every test that CI runs."""
    release.run("scripts/test", "--all")


def wheel(release: Release) -> None:
    release.run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(release.out))


def images(release: Release) -> None:
    """The images for this machine, what each of them holds, and their digests."""
    platform = release.read("docker", "version", "--format", "{{.Server.Os}}/{{.Server.Arch}}")
    variables = {
        "VERSION": release.version,
        "REVISION": release.read("git", "rev-parse", "HEAD"),
        "PLATFORMS": platform,
    }
    release.run("docker", "buildx", "bake", "--file", "deploy/bake.hcl", "--load", "--progress", "quiet", **variables)
    digests = {}
    for name in IMAGES:
        image = release.image(name)
        cat = ("--network=none", "--entrypoint=cat", image, "/usr/share/sbom.cdx.json")
        (release.out / f"evenkeel-{name}.cdx.json").write_text(release.read("docker", "run", "--rm", *cat) + "\n")
        digests[image] = {platform: release.read("docker", "image", "inspect", "--format", "{{.Id}}", image)}
    (release.out / "images.json").write_text(json.dumps(digests, indent=1) + "\n")


STEPS: dict[str, Callable[[Release], None]] = {"check": check, "test": test, "wheel": wheel, "images": images}


def refuse(version: str, left_out: set[str]) -> None:
    """Look whether a release can be made at all, before the first minute is spent.

    :raises Refused: it cannot, and why.
    """
    current = version_of((ROOT / VERSION_FILE).read_text())
    *others, last = next_versions(current)
    if version not in (*others, last):
        raise Refused(f"after {current} comes {', '.join(others)} or {last}, not {version[:64]}")
    if unknown := left_out - STEPS.keys():
        raise Refused(f"there is no step {min(unknown)[:64]!r}: {', '.join(STEPS)}")
    if git("tag", "--list", f"v{version}"):
        raise Refused(f"the tag v{version} exists; a release is never made again: take the next version")
    if changed := git("status", "--porcelain").splitlines():
        names = ", ".join(line.split(maxsplit=1)[1] for line in changed[:5])
        raise Refused(f"the tree is not clean, commit or stash first: {names}")
    if not git("branch", "--show-current"):
        raise Refused("no branch is checked out: git switch main")
    if (ROOT / "dist" / version).exists():
        raise Refused(f"dist/{version} exists; move it away")
    cut((ROOT / CHANGELOG).read_text(), version, "")
    if "images" not in left_out and not engine_answers():
        raise Refused("no Docker engine with buildx answers, which the images need; for a try: --without images")


def engine_answers() -> bool:
    both = "docker version && docker buildx version"
    return subprocess.run(["sh", "-c", both], capture_output=True, check=False).returncode == 0


@contextmanager
def copy_of_the_last_commit(folder: Path) -> Iterator[Path]:
    """A worktree, which is gone afterwards whatever happens."""
    git("worktree", "add", "--quiet", "--detach", str(folder))
    try:
        yield folder
    finally:
        git("worktree", "remove", "--force", str(folder))


def write_notes(release: Release) -> str:
    """Commit the version and the cut CHANGELOG; the commit."""
    today = datetime.now(UTC).date().isoformat()
    changelog, version_file, install = (release.copy / name for name in (CHANGELOG, VERSION_FILE, INSTALL))
    changelog.write_text(cut(changelog.read_text(), release.version, today))
    current = version_of(version_file.read_text())
    version_file.write_text(set_version(version_file.read_text(), release.version))
    install.write_text(install.read_text().replace(wheel_name(current), wheel_name(release.version)))
    release.run("git", "commit", "--quiet", "--all", "--message", f"Release {release.version}")
    (release.out / "NOTES.md").write_text(released(changelog.read_text(), release.version))
    return release.read("git", "rev-parse", "HEAD")


def write_digests(out: Path) -> None:
    """SHA256SUMS, as `sha256sum --check` reads it."""
    lines = [f"{sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in sorted(out.iterdir())]
    (out / "SHA256SUMS").write_text("".join(lines))


def publish(release: Release, commit: str, left_out: set[str]) -> None:
    """Set the tag, let the branch go on to the commit, and put what was made into dist/; or do nothing."""
    message = f"Evenkeel {release.version}" + (f"\n\nMade without: {', '.join(sorted(left_out))}" if left_out else "")
    made = ROOT / "dist" / release.version
    # Nobody ends it in between.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    with ExitStack() as undo:
        git("tag", "--annotate", release.tag, "--message", message, commit)
        undo.callback(git, "tag", "--delete", release.tag)
        release.out.rename(made)
        undo.callback(made.rename, release.out)
        git("merge", "--quiet", "--ff-only", commit)
        undo.pop_all()


def make(version: str, left_out: set[str], *, dry_run: bool) -> None:
    """:raises CalledProcessError: a step failed; nothing of the release is left."""
    (ROOT / "dist").mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix=f".{version}-", dir=ROOT / "dist") as out,
        tempfile.TemporaryDirectory(prefix="evenkeel-release-") as folder,
        copy_of_the_last_commit(Path(folder, "copy")) as copy,
    ):
        release = Release(version, copy, Path(out, version))
        release.out.mkdir()
        try:
            commit = write_notes(release)
            for name, step in STEPS.items():
                if name not in left_out:
                    print(f"release: {name} …", flush=True)
                    step(release)
            write_digests(release.out)
            print((release.out / "SHA256SUMS").read_text(), end="")
            if not dry_run:
                publish(release, commit, left_out)
        except BaseException:
            remove_images(release)
            raise
        if dry_run:
            remove_images(release)


def remove_images(release: Release) -> None:
    """Where there are any."""
    if shutil.which("docker"):
        names = [release.image(name) for name in IMAGES]
        subprocess.run(["docker", "image", "rm", *names], capture_output=True, check=False)


def main(arguments: list[str] | None = None) -> int:
    """Exit code 65 where no release can be made of this, 1 if a step failed."""
    parser = argparse.ArgumentParser(
        "scripts/release",
        description="Make a release of the last commit: CHANGELOG, checks, tests, wheel, images, digests, tag.",
        epilog="Nothing is pushed. If a step fails, or with --dry-run, branch, tags and dist/ stay as they are.",
    )
    parser.add_argument("version", metavar="X.Y.Z")
    parser.add_argument("--dry-run", action="store_true", help="all but the last step: nothing is left")
    parser.add_argument("--without", default="", metavar="STEP,STEP", help=f"leave out some of {', '.join(STEPS)}")
    options = parser.parse_args(arguments)
    left_out = set(filter(None, options.without.split(",")))
    programs.end_by_signals()
    try:
        refuse(options.version, left_out)
        make(options.version, left_out, dry_run=options.dry_run)
    except Refused as refusal:
        print(f"scripts/release: {refusal}", file=sys.stderr)
        return REFUSED
    except subprocess.CalledProcessError as failed:
        print(
            f"scripts/release: {' '.join(failed.cmd[:3])} failed; branch, tags and dist/ are as before", file=sys.stderr
        )
        return 1
    except KeyboardInterrupt:
        return 130
    if options.dry_run:
        print(f"release: it can be made: scripts/release {options.version}")
    else:
        branch, made = git("branch", "--show-current"), f"dist/{options.version}"
        print(f"release: made, {made} holds it; publish it by: git push origin {branch} v{options.version}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
