"""The service held against its own description, by a tool that reads nothing else."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from models.repository import ModelRepository
from tests.conftest import find_free_port
from tests.end_to_end.conftest import running
from tests.service.test_explain import BACKGROUND, TYPICAL

pytestmark = [pytest.mark.clients, pytest.mark.thorough]

HERE = Path(__file__).parent
KEY = "schemathesis" * 3


def findings(python: Path, url: str, folder: Path, examples: int, *flags: str) -> str:
    """What all its checks have to say: valid requests are taken, invalid ones refused, every answer is as described.

    One check is ours: where a range stands for many statuses, a refusal has one of those that its description lists.
    """
    command = [str(python.parent / "schemathesis"), "run", f"{url}/openapi.json", "--checks", "all"]
    process = subprocess.run(
        [*command, "--max-examples", str(examples), "--seed", "1", *flags],
        cwd=folder,
        env=os.environ | {"SCHEMATHESIS_HOOKS": "described_refusals", "PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return process.stdout[-8000:]


@pytest.fixture
def examples(pytestconfig: pytest.Config) -> int:
    """How many a schema is tried with in the phases that make examples up."""
    return 20 if pytestconfig.getoption("--long") else 8


def test_schemathesis_finds_nothing(python: Path, url: str, tmp_path: Path, examples: int) -> None:
    """In a service that asks for no keys."""
    told = findings(python, url, tmp_path, examples)
    assert "No issues found" in told, told


@pytest.fixture
def explained(store: Path, tmp_path: Path) -> Path:
    """Version 2 has what answers are explained against, which version 1 is too old for."""
    repository = ModelRepository(Path(shutil.copytree(store, tmp_path / "store")))
    model = repository.read("penguins", 1)
    card = model.card.model_copy(update={"typical": TYPICAL, "background": BACKGROUND})
    repository.publish(card, {"model.onnx": model.onnx, "report.html": (store / "penguins/1/report.html").read_bytes()})
    return repository.root


def test_schemathesis_finds_no_way_around_the_keys(
    python: Path, explained: Path, tmp_path: Path, examples: int
) -> None:
    """It leaves the key out and makes others up, for every operation that is described as needing one."""
    (tmp_path / "keys").write_text(f"predict,metrics {KEY}\n")
    with running(explained, find_free_port(), EVENKEEL_API_KEYS_FILE=str(tmp_path / "keys")) as service:
        service.wait()

        known = ("-H", f"Authorization: Bearer {KEY}")
        told = findings(python, service.url, tmp_path, examples, *known)
        assert "No issues found" in told, told
