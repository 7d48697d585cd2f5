"""The service held against its own description, by a tool that reads nothing else."""

import subprocess
from pathlib import Path

import pytest

from tests.conftest import find_free_port
from tests.end_to_end.conftest import running
from tests.service.conftest import PUBLISHED

pytestmark = pytest.mark.clients

KEY = "schemathesis" * 3


def findings(python: Path, url: str, folder: Path, *flags: str) -> str:
    """What all its checks have to say: valid requests are taken, invalid ones refused, every answer is as described."""
    command = [str(python.parent / "schemathesis"), "run", f"{url}/openapi.json", "--checks", "all"]
    process = subprocess.run(
        [*command, "--max-examples", "20", "--seed", "1", *flags],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return process.stdout[-8000:]


def test_schemathesis_finds_nothing(python: Path, url: str, tmp_path: Path) -> None:
    """In a service that asks for no keys."""
    assert "No issues found" in findings(python, url, tmp_path)


def test_schemathesis_finds_no_way_around_the_keys(python: Path, tmp_path: Path) -> None:
    """It leaves the key out and makes others up, for every operation that is described as needing one."""
    (tmp_path / "keys").write_text(f"predict,metrics {KEY}\n")
    with running(PUBLISHED, find_free_port(), EVENKEEL_API_KEYS_FILE=str(tmp_path / "keys")) as service:
        service.wait()

        assert "No issues found" in findings(python, service.url, tmp_path, "-H", f"Authorization: Bearer {KEY}")
