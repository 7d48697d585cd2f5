"""Runs that are killed, interrupted and taken up, as processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from models.repository import ModelRepository

ROOT = Path(__file__).parents[2]


def start(penguins: Path, store: Path, *flags: str) -> subprocess.Popen[str]:
    arguments = [
        "fit",
        str(penguins),
        "--target",
        "species",
        "--name",
        "penguins",
        "--repository",
        str(store),
        "--members",
        "1",
        *flags,
    ]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "trainer", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever runs the tests in the background has SIGINT ignored, which a child would inherit.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def wait_for_epoch(process: subprocess.Popen[str], number: int) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(f"epoch {number:4d} "):
            return
    raise AssertionError(f"it ended before epoch {number}")


LONG = ("--epochs", "150", "--patience", "150", "--dropout", "0.1", "--schedule", "cosine")


def test_a_killed_run_is_taken_up_to_the_same_end(penguins: Path, tmp_path: Path) -> None:
    """kill -9 twice, --resume twice: the model is, byte for byte, that of a run that was left alone."""
    alone = start(penguins, tmp_path / "alone", *LONG)
    alone.communicate()
    store = tmp_path / "store"
    for epoch, flags in ((30, ()), (70, ("--resume",))):
        process = start(penguins, store, *LONG, *flags)
        wait_for_epoch(process, epoch)
        process.kill()
        process.communicate()
        assert len(list((store / ".checkpoints").glob("*.npz"))) == 1
        assert not (store / "penguins").exists()
    process = start(penguins, store, *LONG, "--resume")
    _, errors = process.communicate()

    assert process.returncode == 0
    assert "epoch   70 " not in errors
    first, second = (ModelRepository(root).read("penguins", 1).onnx for root in (tmp_path / "alone", store))
    assert first == second
    assert sorted(entry.name for entry in store.iterdir()) == ["penguins"]


def test_another_run_does_not_take_up_this_one(penguins: Path, tmp_path: Path) -> None:
    """Other settings, another run: it starts from its own first epoch, and the checkpoint stays for who wants it."""
    process = start(penguins, tmp_path, *LONG)
    wait_for_epoch(process, 20)
    process.kill()
    process.communicate()
    other = start(penguins, tmp_path, "--epochs", "2", "--resume")
    _, errors = other.communicate()

    assert "epoch    1 " in errors
    assert len(list((tmp_path / ".checkpoints").glob("*.npz"))) == 1


def test_a_damaged_checkpoint_is_refused(penguins: Path, tmp_path: Path) -> None:
    """With the file's name, and the way out; nothing is published."""
    process = start(penguins, tmp_path, *LONG)
    wait_for_epoch(process, 20)
    process.kill()
    process.communicate()
    (checkpoint,) = (tmp_path / ".checkpoints").glob("*.npz")
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    again = start(penguins, tmp_path, *LONG, "--resume")
    _, errors = again.communicate()

    assert again.returncode == 65
    assert f"{checkpoint} is damaged; remove it to start from the first epoch" in errors
    assert [entry.name for entry in tmp_path.iterdir()] == [".checkpoints"]


def test_ctrl_c_publishes_the_best_so_far(penguins: Path, tmp_path: Path) -> None:
    """The summary says so; what was trained is not lost."""
    process = start(penguins, tmp_path, "--epochs", "100000", "--patience", "100000", "--warm-up", "0")
    wait_for_epoch(process, 20)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=20)

    assert process.returncode == 0
    assert "interrupted; the best so far was" in output
    assert ModelRepository(tmp_path).read("penguins", 1).card.metrics["test"].accuracy > 0.9


@pytest.mark.parametrize("flags", [("--learning-rate", "1e38"), ("--optimizer", "sgd", "--learning-rate", "1e30")])
def test_a_diverged_run_leaves_nothing(penguins: Path, tmp_path: Path, flags: tuple[str, ...]) -> None:
    """One sentence with the way out, exit code 65, and no folder, file or checkpoint."""
    process = start(penguins, tmp_path / "store", *flags)
    _, errors = process.communicate()

    assert process.returncode == 65
    assert errors.splitlines()[-1].startswith("trainer: training diverged in epoch")
    assert "Warning" not in errors
    assert not (tmp_path / "store").exists()
