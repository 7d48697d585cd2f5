"""An environment with other people's clients, and a service for them to ask."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from models.repository import ModelRepository
from tests.conftest import find_free_port
from tests.end_to_end.conftest import running
from tests.service.conftest import PUBLISHED

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of that environment."""
    folder = tmp_path_factory.mktemp("clients") / "venv"
    uv = [sys.executable, "-m", "uv", "--quiet"]
    subprocess.run([*uv, "venv", "--python", sys.executable, folder], check=True)
    requirements = f"--requirements={HERE}/requirements.txt"
    subprocess.run([*uv, "pip", "install", "--python", folder / "bin/python", requirements], check=True)
    return folder / "bin/python"


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of the penguins, with a report: every route has an answer."""
    model = ModelRepository(PUBLISHED).read("penguins", 1)
    repository = ModelRepository(tmp_path_factory.mktemp("clients") / "store")
    repository.publish(model.card, {"model.onnx": model.onnx, "report.html": b"<!doctype html><title>penguins</title>"})
    return repository.root


@pytest.fixture(scope="session")
def url(store: Path) -> Iterator[str]:
    """A service of the penguins."""
    with running(store, find_free_port()) as service:
        service.wait()
        yield service.url


@pytest.fixture
def ask(python: Path, url: str) -> Callable[[str], None]:
    """Run one of the scripts beside this file; its assertions are the test."""

    def run(script: str) -> None:
        process = subprocess.run([python, HERE / script, url], capture_output=True, text=True, timeout=60, check=False)
        assert process.returncode == 0, process.stderr

    return run
