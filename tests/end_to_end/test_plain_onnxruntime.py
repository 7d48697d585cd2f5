"""The file alone: examples/plain_onnxruntime.py, in environments that hold onnxruntime and numpy only."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from models.repository import ModelRepository
from tests.end_to_end.conftest import ROOT
from trainer.job.job import run
from trainer.settings.config import TrainingConfig

pytestmark = pytest.mark.packaging


def oldest() -> str:
    """The oldest onnxruntime that the service declares."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (declared,) = (re.fullmatch(r"onnxruntime>=([\d.]+)", one) for one in extras["service"] if "onnxruntime" in one)
    assert declared is not None
    return f"onnxruntime=={declared[1]}.*"


@pytest.fixture(scope="module")
def model(penguins: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a model of the penguins."""
    repository = ModelRepository(tmp_path_factory.mktemp("store"))
    outcome = run(TrainingConfig.of(table=penguins, target="species", name="penguins"), repository)
    return repository.root / "penguins" / str(outcome.version) / "model.onnx"


@pytest.mark.thorough
@pytest.mark.parametrize("onnxruntime", ["oldest", "newest"])
def test_a_stranger_can_ask_the_file(onnxruntime: str, model: Path, tmp_path: Path) -> None:
    """The label and the probabilities that the network gives, from the oldest onnxruntime declared and the newest."""
    uv, python = [sys.executable, "-m", "uv", "--quiet"], tmp_path / "venv/bin/python"
    wanted = oldest() if onnxruntime == "oldest" else "onnxruntime"
    subprocess.run([*uv, "venv", "--python", sys.executable, tmp_path / "venv"], check=True)
    subprocess.run([*uv, "pip", "install", "--python", python, wanted, "numpy"], check=True)
    example = ROOT / "examples/plain_onnxruntime.py"
    asked = subprocess.run([python, example, model], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert asked.returncode == 0, asked.stderr
    label, _, probabilities = asked.stdout.partition(" ")
    assert label == "Gentoo"
    assert [float(one) for one in probabilities.strip(" []\n").split(",")][2] > 0.99
