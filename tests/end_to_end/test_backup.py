"""A volume that is lost under a running service, and restored from a backup."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.conftest import ROOT, Service
from tests.service.conftest import PUBLISHED


def models(*arguments: object) -> None:
    command = [sys.executable, "-m", "models", *map(str, arguments)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


def version(service: Service) -> int:
    status, answer = service.ask("/v1/models/penguins")
    assert status == 200
    serving = [one["version"] for one in answer["lifecycle"] if one["state"] == "serving"]
    return int(serving[0])


@pytest.mark.thorough
def test_a_lost_volume_is_restored_under_a_running_service(serve: Callable[..., Service], tmp_path: Path) -> None:
    """It is ready all the while, serves the version that was pinned, and follows again afterwards."""
    store, backup = tmp_path / "store", tmp_path / "backup"
    shutil.copytree(PUBLISHED, store)
    models("import", archive(tmp_path), "--next", "--repository", store)
    models("promote", "penguins", "1", "--repository", store)
    models("copy", "--all", "--from", store, "--to", backup)
    service = serve(store, EVENKEEL_POLL_SECONDS="0.2")
    service.wait()
    assert version(service) == 1

    shutil.rmtree(store)
    time.sleep(0.5)
    assert (version(service), service.ask("/v2/health/ready")[0]) == (1, 200)
    models("copy", "--all", "--from", backup, "--to", store)
    time.sleep(0.5)
    assert (version(service), service.ask("/v2/health/ready")[0]) == (1, 200)
    models("promote", "penguins", "--newest", "--repository", store)
    deadline = time.monotonic() + 20
    while version(service) != 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def archive(folder: Path) -> Path:
    models("export", "penguins:1", folder / "penguins.tar", "--repository", PUBLISHED)
    return folder / "penguins.tar"
