"""What the images hold, and what a change of code costs."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.containers.conftest import ROOT, needs_engine

pytestmark = needs_engine

BASE = "python:3.13-slim-trixie"
# On a base of at most 130 MB; a larger one adds what it has more.
MOST_MEGABYTES = {"service": 230, "trainer": 300}
UNWANTED = """
import importlib.util, os, pathlib, shutil, stat
print([name for name in ("pip", "ensurepip", "setuptools", "pytest") if importlib.util.find_spec(name)])
print([name for name in ("pip", "pip3", "gcc", "cc", "strip", "ld", "git", "curl", "wget") if shutil.which(name)])
print(list(pathlib.Path("/var/lib/apt/lists").glob("*")))
print([path for folder in ("/usr", "/bin", "/sbin", "/opt", "/app", "/etc", "/var")
       for path, _, names in os.walk(folder) for name in names
       if os.path.isfile(full := os.path.join(path, name)) and os.lstat(full).st_mode & (stat.S_ISUID | stat.S_ISGID)])
"""


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout.strip()


def build(context: Path, target: str) -> dict[str, Any]:
    """Build an image from a folder; what the engine tells of it."""
    image: dict[str, Any] = json.loads(docker("inspect", docker("build", "--quiet", "--target", target, str(context))))[
        0
    ]
    return image


@pytest.mark.parametrize("target", ["service", "trainer"])
def test_images_are_small_and_hold_no_tools(target: str) -> None:
    """No pip, no compiler, no package lists, nothing that is setuid or setgid; a user without rights."""
    image, (base,) = build(ROOT, target), json.loads(docker("inspect", BASE))

    assert image["Size"] / 1e6 <= MOST_MEGABYTES[target] + max(0, base["Size"] / 1e6 - 130)
    run = ("run", "--rm", "--network=none", "--entrypoint=python", image["Id"], "-c", UNWANTED)
    assert docker(*run).splitlines() == ["[]"] * 4
    assert image["Config"]["User"] == "10001:10001"
    assert "org.opencontainers.image.title" in image["Config"]["Labels"]


def test_a_change_of_code_keeps_the_libraries(tmp_path: Path) -> None:
    """Only the layer of the code that has changed is another one."""
    for name in ("models", "trainer", "service", "evenkeel", "requirements", "deploy", "scripts"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "store"))
    for name in ("Dockerfile", ".dockerignore"):
        shutil.copy2(ROOT / name, tmp_path / name)
    layers = []
    # Neither was built before: whole images may come from another time, with another copy of the same base.
    for change in (uuid4(), uuid4()):
        with (tmp_path / "service/app.py").open("a") as code:
            code.write(f"\n# {change}\n")
        layers.append(build(tmp_path, "service")["RootFS"]["Layers"])

    assert layers[0][:-1] == layers[1][:-1]
    assert layers[0][-1] != layers[1][-1]
