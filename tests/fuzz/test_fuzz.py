"""What a fuzzer may not find: the seeds and old findings one by one, and a second of search."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.fuzz.targets import CASES, TARGETS

HERE = Path(__file__).parent
SHORT_S, LONG_S = 1, 900


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_old_findings_break_no_promise(name: str) -> None:
    """Each is answered, or refused in the words that its reader has for it."""
    seeds = list(TARGETS[name].seeds())
    findings = [path.read_bytes() for path in sorted((CASES / name).glob("*"))]
    assert seeds
    for data in [b"", *seeds, *findings]:
        TARGETS[name].run(data)


@pytest.fixture(scope="session")
def atheris(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the fuzzer is imported from."""
    folder = tmp_path_factory.mktemp("atheris")
    install = [sys.executable, "-m", "uv", "--quiet", "pip", "install", "--python", sys.executable]
    options = ["--only-binary", ":all:", "--target", str(folder), "--requirements", str(HERE / "requirements.txt")]
    process = subprocess.run([*install, *options], capture_output=True, text=True, check=False)
    if process.returncode:
        pytest.skip("there is no atheris for this Python or machine")
    return folder


@pytest.mark.clients
@pytest.mark.thorough
@pytest.mark.parametrize("name", TARGETS)
def test_a_search_finds_nothing(atheris: Path, tmp_path: Path, pytestconfig: pytest.Config, name: str) -> None:
    """Guided by coverage, for a second, which is thousands of inputs, or for a quarter of an hour; no input is slow or
    large in memory.
    """
    seconds = LONG_S if pytestconfig.getoption("--long") else SHORT_S
    environment = os.environ | {"PYTHONPATH": str(atheris), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE / "drive.py"), name, str(seconds), str(tmp_path)]
    process = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    found = {path.name: path.read_bytes()[:2000] for path in tmp_path.glob("*-*")}
    assert process.returncode == 0, (found, process.stderr[-3000:])
    assert "stat::number_of_executed_units" in process.stderr
