"""A file scored by a process of its own: pipes, terminals, signals and memory."""

import gzip
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.repository import ModelRepository
from tests.conftest import ROOT


def begun(repository: ModelRepository, *arguments: str | Path, **options: Any) -> subprocess.Popen[bytes]:
    """The same in a process of its own."""
    given = [*map(str, arguments), "--model", "penguins", "--repository", str(repository.root)]
    command = [sys.executable, "-m", "evenkeel", "predict", *given]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def test_a_pipe_is_read_once(repository: ModelRepository, penguins: Path) -> None:
    """Standard input, a whole table of it, plain and compressed alike."""
    for data in (penguins.read_bytes(), gzip.compress(penguins.read_bytes())):
        process = begun(repository, "-", stdin=subprocess.PIPE)
        out, err = process.communicate(data, 60)

        assert (process.returncode, err) == (0, b"")
        assert out.count(b"\n") == 345


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("end", [".csv", ".csv.gz", ".parquet"])
def test_whoever_ends_it_leaves_nothing_half_written(
    repository: ModelRepository, penguins: Path, tmp_path: Path, number: signal.Signals, code: int, end: str
) -> None:
    """In the middle of a table that is still coming: the old file stays, and nothing lies beside it."""
    header, *lines = penguins.read_text().splitlines()
    table, folder = tmp_path / "pipe", tmp_path / "out"
    os.mkfifo(table)
    folder.mkdir()
    output = folder / f"out{end}"
    output.write_text("as it was")
    with begun(repository, table, "-o", output) as process, table.open("w") as file:
        file.write("\n".join([header, *lines * 700, ""]))
        file.flush()
        until(lambda: any(path.stat().st_size for path in folder.iterdir() if path != output))
        process.send_signal(number)
        assert process.wait(20) == code
    assert list(folder.iterdir()) == [output]
    assert output.read_text() == "as it was"


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds
        time.sleep(0.01)


def test_a_reader_that_has_seen_enough_ends_it(repository: ModelRepository, penguins: Path, tmp_path: Path) -> None:
    """As `| head -1` does: quietly, with the exit code that a shell knows for it."""
    header, *lines = penguins.read_text().splitlines()
    table = tmp_path / "table.csv"
    table.write_text("\n".join([header, *lines * 200]))
    with begun(repository, table) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"species,")
        process.stdout.close()
        said = process.stderr.read()

    assert (process.returncode, said) == (141, b"")


def test_a_terminal_sees_a_bar(repository: ModelRepository, penguins: Path) -> None:
    """How far, how many, how fast; on stderr, so that the table stays clean."""
    ours, theirs = pty.openpty()
    # Other tests publish others beside it.
    which = ["--model", "penguins", "--repository", str(repository.root)]
    command = [sys.executable, "-m", "evenkeel", "predict", str(penguins), *which]
    process = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=theirs, check=True)
    os.close(theirs)
    shown = os.read(ours, 10_000).decode()
    os.close(ours)

    assert "100%  344 rows" in shown
    assert process.stdout.count(b"\n") == 345


def test_the_encoding_of_the_terminal_changes_no_byte(
    repository: ModelRepository, penguins: Path, tmp_path: Path
) -> None:
    """Text is UTF-8 wherever it goes."""
    header, first, *_ = penguins.read_text().splitlines()
    table = tmp_path / "t.csv"
    table.write_text(f"{header},city\n{first},Łódź\n")
    process = begun(repository, table, env=os.environ | {"PYTHONIOENCODING": "ascii"})

    assert "Łódź" in process.communicate(timeout=60)[0].decode()


def test_memory_does_not_grow_with_the_file(repository: ModelRepository, penguins: Path, tmp_path: Path) -> None:
    """Of some blocks as of ten times as many: less than a seventh more at the peak."""
    header, *lines = penguins.read_text().splitlines()
    code = (
        "import sys; from evenkeel.command_line import main; assert main(sys.argv[1:]) == 0; "
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    )
    peaks = []
    for times in (300, 3000):
        table = tmp_path / "t.csv"
        table.write_text("\n".join([header, *lines * times]))
        arguments: list[Any] = ["predict", table, "--model", "penguins", "--version", "1", "-o", tmp_path / "o.csv"]
        command = [sys.executable, "-c", code, *arguments, "--repository", repository.root]
        peaks.append(int(subprocess.check_output(command, cwd=ROOT)))

    assert peaks[1] < 1.15 * peaks[0], peaks
