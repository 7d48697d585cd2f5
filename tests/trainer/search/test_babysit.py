import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from models.repository import ModelRepository
from trainer.command_line import main
from trainer.errors import DamagedCheckpoint
from trainer.search.babysit import Control
from trainer.settings.hyperparameters import Hyperparameters

ROOT = Path(__file__).parents[3]
PATIENCE_S = 180.0
# What is compiled takes longer to load than these runs take without it.
LIGHT = ("--compiled", "false")
LONG = ("--epochs", "100000", "--patience", "100000", "--schedule", "constant", "--warm-up", "0")


@contextmanager
def babysitting(penguins: Path, store: Path, *flags: str) -> Iterator[subprocess.Popen[str]]:
    arguments = ["babysit", str(penguins), "--target", "species", "--name", "penguins", "--repository", str(store)]
    process = subprocess.Popen(
        [sys.executable, "-m", "trainer", *arguments, "--verbose", *LIGHT, *LONG, *flags],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(process: subprocess.Popen[str], words: str) -> str:
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        if words in line:
            return line
        said.append(line)
    raise AssertionError(f"it ended without a word of {words!r}:\n{''.join(said)}")


def change(store: Path, before: str, after: str) -> None:
    """Edit the control file as a person would."""
    path = store / ".babysit/penguins/control.toml"
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_settings_change_while_it_runs_and_stand_on_the_card(penguins: Path, tmp_path: Path) -> None:
    """From the next epoch on; a mistake in the file changes nothing, and stop publishes."""
    with babysitting(penguins, tmp_path) as process:
        wait_for(process, "epoch    5 ")
        change(tmp_path, "learning_rate = 0.003", "learning_rate = 0.0005")
        told = wait_for(process, "learning rate 0.0005")
        change(tmp_path, "learning_rate = 0.0005", "learning_rate = -1")
        wait_for(process, "--learning-rate should be greater than 0, not '-1'; nothing was changed")
        change(tmp_path, "learning_rate = -1", "learning_rate = 0.0005\nweight_decay = 0.5\nhidden = 3")
        wait_for(process, "control.toml")
        change(tmp_path, "\nweight_decay = 0.5\nhidden = 3", "")
        change(tmp_path, "weight_decay = 0.02", "weight_decay = 0.1")
        wait_for(process, "weight decay 0.1")
        change(tmp_path, "stop = false", "stop = true")
        output, _ = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 0
    assert "Published in" in output
    provenance = ModelRepository(tmp_path).card("penguins", 1).provenance
    first = int(told.split("from epoch ")[1].split()[0])
    assert provenance.changes[first] == {"learning_rate": 0.0005}
    assert [change for epoch, change in sorted(provenance.changes.items())][1:] == [{"weight_decay": 0.1}]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["penguins"]


def test_a_killed_run_goes_on_with_what_was_changed(penguins: Path, tmp_path: Path) -> None:
    """The same command: the next epoch, the changed settings, the record of the change."""
    with babysitting(penguins, tmp_path) as process:
        wait_for(process, "epoch    5 ")
        change(tmp_path, "learning_rate = 0.003", "learning_rate = 0.0005")
        wait_for(process, "learning rate 0.0005")
        wait_for(process, "epoch   30 ")
    with babysitting(penguins, tmp_path) as process:
        done = int(wait_for(process, "the run goes on after epoch").split()[-1])
        assert process.stderr is not None
        assert process.stderr.readline().startswith(f"epoch {done + 1:4d} ")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE_S)

    assert done >= 30
    assert process.returncode == 0, errors
    (changed,) = ModelRepository(tmp_path).card("penguins", 1).provenance.changes.values()
    assert changed == {"learning_rate": 0.0005}


def test_left_alone_it_is_fit(penguins: Path, tmp_path: Path) -> None:
    """The same bytes."""
    flags = [
        str(penguins),
        "--target",
        "species",
        "--name",
        "penguins",
        "--epochs",
        "12",
        "--members",
        "1",
        "--hidden",
        "8",
        "--selection",
        "false",
    ]
    for command in ("fit", "babysit"):
        assert main([command, *flags, "--repository", str(tmp_path / command)]) == 0

    first, second = (ModelRepository(tmp_path / command).read("penguins", 1).onnx for command in ("fit", "babysit"))
    assert first == second


def test_a_terminal_gets_the_learning_curve(penguins: Path, tmp_path: Path) -> None:
    """Drawn over and over, training and validation."""
    controller, terminal = pty.openpty()
    arguments = ["babysit", str(penguins), "--target", "species", "--name", "p", "--repository", str(tmp_path)]
    command = [sys.executable, "-m", "trainer", *arguments, *LIGHT, "--epochs", "15"]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=terminal, env=environment)
    os.close(terminal)
    shown = b""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            shown += os.read(controller, 65536)
        except OSError:  # Linux's way to say that the terminal was closed.
            break
    os.close(controller)

    assert process.wait() == 0
    assert "log-loss (nats) over epochs" in shown.decode()
    assert "epoch 15" in shown.decode()


def test_a_curve_waits_for_no_compiler() -> None:
    """What draws it is plain numpy, and numba stays what others have loaded."""
    drawn = """
import sys, types
try:
    import numba
except ImportError:  # The trainer alone has none.
    numba = None
from trainer.terminal.progress import _plot
assert "│" in _plot(xs=[1, 2, 3], ys=[1, 3, 2])
from uniplot.pixel_matrix import _render_batch_of_lines
assert isinstance(_render_batch_of_lines, types.FunctionType)
assert sys.modules.get("numba") is numba
"""
    subprocess.run([sys.executable, "-c", drawn], cwd=ROOT, check=True)


def test_one_model_at_a_time(penguins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = [str(penguins), "--target", "species", "--name", "p", "--repository", str(tmp_path / "store")]

    assert main(["babysit", *flags, "--members", "3"]) == 64
    assert "--members should be 1, not 3" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


def test_a_byte_that_is_no_text_changes_nothing(penguins: Path, tmp_path: Path) -> None:
    """The sentence says so, the run goes on, and the file can be put right."""
    path = tmp_path / ".babysit/penguins/control.toml"
    with babysitting(penguins, tmp_path) as process:
        wait_for(process, "epoch    5 ")
        path.write_bytes(b"# caf\xe9\nlearning_rate = 0.1\n")
        assert "can't decode byte 0xe9" in wait_for(process, "control.toml")
        path.unlink()
        path.mkdir()
        assert "Is a directory; nothing was changed" in wait_for(process, "control.toml: Is")
        path.rmdir()
        path.write_text("stop = true\n")
        output, said = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 0, said
    assert "Published in" in output
    assert ModelRepository(tmp_path).card("penguins", 1).provenance.changes == {}


def test_damaged_changes_are_refused(tmp_path: Path) -> None:
    """What a power failure may leave; with the file's name and the way out."""
    (tmp_path / "changes.json").write_bytes(b"\xff")

    with pytest.raises(DamagedCheckpoint, match=r"changes\.json is damaged; remove it"):
        Control(tmp_path, print).take_up(Hyperparameters())
