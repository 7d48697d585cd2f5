"""Runs that are killed or interrupted, as processes, and taken up."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from models.repository import ModelRepository
from trainer.command_line import main

ROOT = Path(__file__).parents[2]


def arguments(penguins: Path, store: Path, *flags: str) -> list[str]:
    """What is compiled takes longer to load than these runs take without it."""
    usual = ["fit", str(penguins), "--target", "species", "--name", "penguins", "--members", "1"]
    return [*usual, "--compiled", "false", "--repository", str(store), *flags]


def start(penguins: Path, store: Path, *flags: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "trainer", *arguments(penguins, store, "--verbose", *flags)],
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
    said = []
    for line in process.stderr:
        if line.startswith(f"epoch {number:4d} "):
            return
        said.append(line)
    raise AssertionError(f"it ended before epoch {number}:\n{''.join(said)}")


def kill_after(epoch: int, penguins: Path, store: Path, *flags: str) -> None:
    process = start(penguins, store, *flags)
    wait_for_epoch(process, epoch)
    process.kill()
    process.communicate()


LONG = ("--epochs", "150", "--patience", "150", "--dropout", "0.1", "--schedule", "cosine")


@pytest.fixture(scope="module")
def killed(penguins: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run that was killed after its twentieth epoch left behind."""
    store = tmp_path_factory.mktemp("killed") / "store"
    kill_after(20, penguins, store, *LONG)
    return store


def test_a_killed_run_is_taken_up_to_the_same_end(
    killed: Path, penguins: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """kill -9 twice, --resume twice: the model is, byte for byte, that of a run that was left alone."""
    assert main(arguments(penguins, tmp_path / "alone", *LONG)) == 0
    store = Path(shutil.copytree(killed, tmp_path / "store"))
    kill_after(70, penguins, store, *LONG, "--resume")
    assert len(list((store / ".checkpoints").glob("*.npz"))) == 1
    assert not (store / "penguins").exists()
    capfd.readouterr()
    assert main(arguments(penguins, store, "--verbose", *LONG, "--resume")) == 0

    assert not re.search("^epoch   70 ", capfd.readouterr().err, re.MULTILINE)
    first, second = (ModelRepository(root).read("penguins", 1).onnx for root in (tmp_path / "alone", store))
    assert first == second
    assert sorted(entry.name for entry in store.iterdir()) == ["penguins"]


def test_another_run_does_not_take_up_this_one(
    killed: Path, penguins: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Other settings, another run: it starts from its own first epoch, and the checkpoint stays for who wants it."""
    store = Path(shutil.copytree(killed, tmp_path / "store"))
    assert main(arguments(penguins, store, "--verbose", "--epochs", "2", "--resume")) == 0

    assert "epoch    1 " in capfd.readouterr().err
    assert len(list((store / ".checkpoints").glob("*.npz"))) == 1


def test_a_damaged_checkpoint_is_refused(
    killed: Path, penguins: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """With the file's name, and the way out; nothing is published."""
    store = Path(shutil.copytree(killed, tmp_path / "store"))
    (checkpoint,) = (store / ".checkpoints").glob("*.npz")
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])

    assert main(arguments(penguins, store, *LONG, "--resume")) == 65
    assert f"{checkpoint} is damaged; remove it to start from the first epoch" in capfd.readouterr().err
    assert [entry.name for entry in store.iterdir()] == [".checkpoints"]


def test_ctrl_c_publishes_the_best_so_far(penguins: Path, tmp_path: Path) -> None:
    """The summary says so; what was trained is not lost."""
    process = start(penguins, tmp_path, "--epochs", "100000", "--patience", "100000", "--warm-up", "0")
    wait_for_epoch(process, 20)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=20)

    assert process.returncode == 0
    assert "interrupted; best so far" in output
    assert ModelRepository(tmp_path).read("penguins", 1).card.metrics["test"].accuracy > 0.9


@pytest.mark.parametrize("flags", [("--learning-rate", "1e38"), ("--optimizer", "sgd", "--learning-rate", "1e30")])
def test_a_diverged_run_leaves_nothing(
    penguins: Path, tmp_path: Path, flags: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    """One sentence with the way out, exit code 65, and no folder, file or checkpoint."""
    assert main(arguments(penguins, tmp_path / "store", *flags)) == 65

    errors = capfd.readouterr().err
    assert errors.splitlines()[-1].startswith("trainer: training diverged in epoch")
    assert "Warning" not in errors
    assert not (tmp_path / "store").exists()
