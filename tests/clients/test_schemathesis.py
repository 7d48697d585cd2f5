"""The service held against its own description, by a tool that reads nothing else."""

import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.clients


def test_schemathesis_finds_nothing(python: Path, url: str, tmp_path: Path) -> None:
    """All its checks: valid requests are taken, invalid ones refused, and every answer is as described."""
    command = [str(python.parent / "schemathesis"), "run", f"{url}/openapi.json", "--checks", "all"]
    process = subprocess.run(
        [*command, "--max-examples", "20", "--seed", "1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert process.returncode == 0, process.stdout[-8000:]
    assert "No issues found" in process.stdout
