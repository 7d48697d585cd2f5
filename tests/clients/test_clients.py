"""Clients of other makers, unmodified, against a running service."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = [pytest.mark.clients, pytest.mark.thorough]

SCRIPTS = (
    "with_tritonclient.py",
    "with_tritonclient_aio.py",
    "with_kserve.py",
    "with_kserve_resources.py",
    "with_mlflow.py",
    "with_pandas.py",
)


def test_grafana_knows_every_field_of_the_dashboard(python: Path) -> None:
    """By its own types: Grafana itself cannot be had here."""
    run = subprocess.run(
        [python, Path(__file__).parent / "with_grafana.py"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_client_of_other_makers_works_unmodified(ask: Callable[[str], None], script: str) -> None:
    """Each script is written as the client's own documentation shows, and asserts what it gets."""
    ask(script)
