"""What `deploy/kubernetes` makes: its folders, built by kubectl's own kustomize."""

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/kubernetes"
Resource = dict[str, Any]


@cache
def build(folder: Path) -> list[Resource]:
    """The resources of a folder, as `kubectl apply --kustomize` sends them."""
    return kubectl("kustomize", str(folder))


def kubectl(*arguments: str) -> list[Resource]:
    """What it prints; nothing that needs a cluster."""
    program = Path(sys.executable).parent / "kubectl"
    printed = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert printed.returncode == 0, printed.stderr
    return list(yaml.safe_load_all(printed.stdout))


def one(resources: Iterable[Resource], kind: str, name: str = "") -> Resource:
    (found,) = (each for each in resources if each["kind"] == kind and each["metadata"]["name"].startswith(name))
    return found


def pod_templates(resources: Iterable[Resource]) -> Iterator[Resource]:
    """Metadata and spec of every pod that will be made."""
    for resource in resources:
        if resource["kind"] == "Deployment":
            yield resource["spec"]["template"]
        elif resource["kind"] == "CronJob":
            yield resource["spec"]["jobTemplate"]["spec"]["template"]
        elif resource["kind"] == "ServingRuntime":
            yield {"metadata": {"name": "kserve"}, "spec": resource["spec"]}


def below(value: Any, key: str) -> Iterator[Any]:
    """Every value of a key, however deep."""
    if isinstance(value, dict):
        for name, part in value.items():
            if name == key:
                yield part
            yield from below(part, key)
    elif isinstance(value, list):
        for part in value:
            yield from below(part, key)


def environment(pod: Resource, resources: Iterable[Resource]) -> dict[str, str]:
    """The variables of a pod's only container, those of Secrets by an example."""
    (container,) = pod["spec"]["containers"]
    given: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        if "configMapRef" in source:
            given |= one(resources, "ConfigMap", source["configMapRef"]["name"])["data"]
    for variable in container.get("env", ()):
        given[variable["name"]] = variable.get("value", "secret")
    return given


def megabytes(quantity: str) -> int:
    """Of a quantity in Mi or Gi."""
    number, unit = re.fullmatch(r"(\d+)(Mi|Gi)", quantity).groups()  # type: ignore[union-attr]
    return int(number) << (10 if unit == "Gi" else 0)
