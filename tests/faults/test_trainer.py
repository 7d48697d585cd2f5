"""The whole trainer, killed while it publishes."""

import signal
from pathlib import Path

import pytest

from tests.faults.conftest import Publisher, fit, leftovers, whole_versions


def test_a_trainer_killed_within_its_publish_leaves_whole_versions(
    tracer: Publisher, penguins: Path, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """At each sync before the rename it has published nothing, at the one behind it everything; the same command then
    publishes.
    """
    store = tmp_path / "store"
    tracer.publish(store)
    # It syncs model.onnx, figures.json, report.html, card.json, their folder, and behind the rename the model's folder.
    for sync in range(1 if pytestconfig.getoption("--long") else 5, 7):
        killed = fit(penguins, store, "strace", "-qq", "-o", "/dev/null", "-e", f"inject=fsync:signal=KILL:when={sync}")
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert whole_versions(store) == ([1] if sync < 6 else [1, 2])
        assert bool(leftovers(store)) == (sync < 6)

    assert fit(penguins, store).returncode == 0
    assert whole_versions(store) == [1, 2, 3]
    assert not leftovers(store)
