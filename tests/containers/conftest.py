"""The compose file on a real engine."""

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import find_free_port

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120.0


def engine_answers() -> bool:
    try:
        return not subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode and (
            not subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
        )
    except FileNotFoundError:
        return False


needs_engine = [
    pytest.mark.containers,
    pytest.mark.thorough,
    pytest.mark.skipif(not engine_answers(), reason="no Docker engine with Compose answers"),
]


def inspect(container: str) -> dict[str, Any]:
    described = subprocess.run(["docker", "inspect", container], capture_output=True, text=True, check=True)
    document: dict[str, Any] = json.loads(described.stdout)[0]
    return document


def build(folder: Path, tag: str) -> str:
    """Build an image that stands in for one of a registry, or for a release; its tag."""
    subprocess.run(["docker", "build", "--quiet", "--tag", tag, str(folder)], check=True, capture_output=True)
    return tag


class Stack:
    """The compose file under a project name of its own, with its own port and its own folder of tables."""

    def __init__(self, tables: Path, **environment: str) -> None:
        self.tables, self.port = tables, find_free_port()
        self.project = f"evenkeel-test-{os.getpid()}"
        own = {"EVENKEEL_TABLES": str(tables), "EVENKEEL_PORT": str(self.port), "COMPOSE_PROJECT_NAME": self.project}
        self.environment = os.environ | own | environment

    def compose(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = ["docker", "compose", "--progress", "quiet", *arguments]
        run = self.run(*command)
        assert run.returncode == 0 or not check, run.stderr
        return run

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the checkout, as somebody would for whom this is the stack."""
        return subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)

    def train(self) -> None:
        """Publish a small model of the example: what is tested is not the training."""
        example = "examples/penguins.csv --target species --name penguins"
        self.compose("run", "--rm", "trainer", "fit", *example.split(), "--members", "1", "--epochs", "20")

    def container(self, service: str) -> str:
        return self.compose("ps", "--all", "--quiet", service).stdout.strip()

    def replicas(self) -> dict[str, dict[str, Any]]:
        """The running containers of the service: what the engine tells of each."""
        found = self.compose("ps", "--quiet", "service").stdout.split()
        return {container: inspect(container) for container in found}

    def inspect(self, service: str) -> dict[str, Any]:
        return inspect(self.container(service))

    def inside(self, service: str, script: str) -> subprocess.CompletedProcess[str]:
        """Run Python in a new container of a service, with everything the compose file says of it."""
        return self.compose(
            "run", "--rm", "--no-deps", "-T", "--entrypoint", "python", service, "-c", script, check=False
        )

    def predict(self, model: str, record: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/v1/models/{model}:predict",
            json.dumps({"instance": record}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=5) as response:
            document: dict[str, Any] = json.loads(response.read())
            return document

    def wait(self, condition: Callable[[], bool], missing: Callable[[], str] | None = None) -> None:
        """Wait until something holds; `missing` says what does not, where the logs do not."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, missing() if missing else self.compose("logs").stdout[-4000:]
            time.sleep(0.2)


@pytest.fixture
def least(pytestconfig: pytest.Config) -> int:
    """So many requests are made during a change that may lose none."""
    return 10_000 if pytestconfig.getoption("--long") else 500


@pytest.fixture(scope="module")
def empty_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Stack]]:
    """A stack that has not been started; it is torn down at the end, whatever came of it."""
    tables = tmp_path_factory.mktemp("tables")
    for folder in (tables, *tables.parents[:2]):
        folder.chmod(0o755)  # pytest's folders are private, and the trainer is another user.
    made = []

    def make(**environment: str) -> Stack:
        made.append(Stack(tables, **environment))
        return made[-1]

    yield make
    for stack in made:
        stack.compose("--profile", "search", "down", "--volumes", "--remove-orphans", check=False)
