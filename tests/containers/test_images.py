"""What the images hold, and what a change of code costs."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from packaging.markers import Marker

from models import __version__
from tests.containers.conftest import ROOT, needs_engine

pytestmark = needs_engine

BASE = "python:3.13-slim-trixie"
# The locks that go into each.
LOCKS = {"service": ("service", "storage"), "trainer": ("trainer", "storage", "archive")}
# Their metadata name no licence.
SILENT = {"protobuf", "pysimdjson"}
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
    labels = {name.removeprefix("org.opencontainers.image."): text for name, text in image["Config"]["Labels"].items()}
    assert labels["title"] == f"evenkeel-{target}"
    assert {"base.name", "description", "licenses", "revision", "version"} <= labels.keys()


@pytest.mark.parametrize("target", ["service", "trainer"])
def test_images_list_what_they_hold(target: str) -> None:
    """Each pin of the locks with its licence, the packages of the base, Python; where the label says."""
    image = build(ROOT, target)
    place = image["Config"]["Labels"]["evenkeel.sbom"]
    listed = json.loads(docker("run", "--rm", "--network=none", "--entrypoint=cat", image["Id"], place))
    components = {component["purl"]: component for component in listed["components"]}
    pins = {pin for lock in LOCKS[target] for pin in pinned(lock)}

    assert listed["bomFormat"] == "CycloneDX"
    assert listed["metadata"]["component"]["purl"] == f"pkg:generic/evenkeel-{target}@{__version__}"
    libraries = {purl for purl in components if purl.startswith("pkg:pypi/")}
    assert {re.sub("[._]", "-", purl.partition("@")[0]) + "@" + purl.partition("@")[2] for purl in libraries} == pins
    unlicensed = {purl for purl in libraries if "licenses" not in components[purl]}
    assert {re.split("[/@]", purl)[1] for purl in unlicensed} <= SILENT
    debian = docker("run", "--rm", "--network=none", "--entrypoint=dpkg-query", image["Id"], "-W", "-f", "x").count("x")
    assert sum(purl.startswith("pkg:deb/debian/") for purl in components) == debian
    assert any(purl.startswith("pkg:generic/python@3.13.") for purl in components)


def pinned(lock: str) -> set[str]:
    """What a lock pins for the image's Python."""
    lines = re.findall(r"^(\S+)==(\S+)(?: ; (.+?))? \\$", (ROOT / f"requirements/{lock}.txt").read_text(), re.MULTILINE)
    here = {"python_full_version": "3.13.0", "python_version": "3.13", "sys_platform": "linux", "os_name": "posix"}
    return {
        f"pkg:pypi/{name}@{version}" for name, version, marker in lines if not marker or Marker(marker).evaluate(here)
    }


def test_each_image_is_baked_for_both_platforms() -> None:
    """By the file for releases: as buildx reads it, each image for amd64 and arm64, with its version."""
    command = ["docker", "buildx", "bake", "--file", "deploy/bake.hcl", "--print"]
    environment = os.environ | {"REGISTRY": "registry.example.com/", "VERSION": "1.2.3"}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    targets = json.loads(run.stdout)["target"]

    assert targets.keys() == {"service", "trainer", "searcher"}
    for name, target in targets.items():
        assert target["platforms"] == ["linux/amd64", "linux/arm64"]
        assert target["tags"] == [f"registry.example.com/evenkeel-{name}:1.2.3"]
        assert (target["target"], target["args"]["VERSION"]) == (name, "1.2.3")


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
