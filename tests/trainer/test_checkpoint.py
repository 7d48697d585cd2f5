"""Files that several runs write in one repository, as processes."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from models.replacing import replacing
from models.repository import ModelRepository
from tests.conftest import ROOT
from trainer.command_line import main
from trainer.files import remove_files, replace_file

# Each has process ids of its own, as in a container: both trainers are number 1.
CONTAINER = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child")

# A trainer that comes no further than half of its first checkpoint.
HALF = """
import sys, time
import numpy as np
from trainer.command_line import main

def half(file, **arrays):
    file.write(b"half")
    file.flush()
    print("written", flush=True)
    time.sleep(600)

np.savez = half
main(sys.argv[1:])
"""


def fit(penguins: Path, store: Path, *flags: str) -> list[str]:
    flags = ("--name", "penguins", "--members", "1", "--compiled", "false", *flags)
    return ["fit", str(penguins), "--target", "species", "--repository", str(store), *flags]


@pytest.fixture(scope="module")
def container() -> tuple[str, ...]:
    if not shutil.which("unshare") or subprocess.run([*CONTAINER, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs namespaces for process ids")
    return CONTAINER


def test_two_identical_trainings_in_two_containers_both_publish(
    container: tuple[str, ...], penguins: Path, tmp_path: Path
) -> None:
    """One repository, the same table, settings and process id, at the same time."""
    command = [*container, sys.executable, "-m", "trainer", *fit(penguins, tmp_path, "--epochs", "60")]
    twins = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [twin.communicate(timeout=120)[1].splitlines()[-1] for twin in twins]

    assert [twin.returncode for twin in twins] == [0, 0], said
    repository = ModelRepository(tmp_path)
    first, second = (repository.read("penguins", version).onnx for version in (1, 2))
    assert first == second
    assert [entry.name for entry in tmp_path.iterdir()] == ["penguins"]


def test_what_a_killed_writer_left_goes_and_what_a_living_one_writes_stays(penguins: Path, tmp_path: Path) -> None:
    """The next training in the repository sees to it, whatever it trains."""
    store, other = tmp_path / "store", fit(penguins, tmp_path / "store", "--epochs", "1", "--seed", "1")
    command = [sys.executable, "-c", HALF, *fit(penguins, store)]
    writer = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert writer.stdout is not None
        writer.stdout.readline()
        assert main(other) == 0
        assert len(list((store / ".checkpoints").iterdir())) == 1
    finally:
        writer.kill()
        writer.communicate()
    assert len(list((store / ".checkpoints").iterdir())) == 1
    assert main(other) == 0

    assert [entry.name for entry in store.iterdir()] == ["penguins"]


def test_a_folder_that_another_run_takes_away_is_made_again(tmp_path: Path) -> None:
    """Whoever ends first removes the folder where nothing is in it."""
    path = tmp_path / "folder/.checkpoints/file"
    replace_file(path, "one")
    remove_files(path)
    assert not (tmp_path / "folder").exists()
    replace_file(path, "two")
    with replacing(path) as file:
        remove_files(path, path.with_name("none"))
        file.write(b"three")

    assert path.read_bytes() == b"three"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]
