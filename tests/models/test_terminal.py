"""Programs whose reader goes away, over real pipes."""

import subprocess
import sys
from pathlib import Path

import pytest

from models.card import ModelCard
from models.repository import ModelRepository

ROOT = Path(__file__).parents[2]


def unread(*command: str) -> tuple[int, str]:
    """Run Python with nobody at the other end of its output; its exit code, and what it said on stderr."""
    process = subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    return process.wait(20), said


def test_a_list_that_nobody_reads_ends_quietly(repository: ModelRepository, card: ModelCard) -> None:
    """As `python -m models list | head` does."""
    repository.publish(card, {"model.onnx": b"model"})

    assert unread("-m", "models", "--repository", str(repository.root), "list") == (141, "")


@pytest.mark.parametrize("lines", [1, 100_000])
def test_however_much_is_printed(lines: int) -> None:
    """Noticed as the output is written, or not before the program ends."""
    program = f"""
import sys
from models.terminal import run
sys.exit(run("printer", lambda: print("line\\n" * {lines}), {{OSError: 74}}))
"""
    assert unread("-c", program) == (141, "")


def test_another_broken_pipe_is_no_reader_that_left() -> None:
    """A connection that the other side closed is told, and leaves with its own code."""
    program = """
import os, sys
from models.terminal import run
reader, writer = os.pipe()
os.close(reader)
sys.exit(run("writer", lambda: os.write(writer, b"x"), {OSError: 74}))
"""
    process = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)

    assert (process.returncode, process.stderr) == (74, "writer: Broken pipe\n")
