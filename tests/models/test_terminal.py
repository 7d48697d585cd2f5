"""Programs whose reader goes away, over real pipes."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from models import terminal
from models.card import ModelCard
from models.repository import ModelRepository
from models.terminal import CommandLine, wrapped

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


def shell(redirected: str, *arguments: str, environment: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Run `python -m models` as a shell would: its exit code, and what it said on stdout and stderr."""
    process = subprocess.run(
        ["sh", "-c", f'exec "$@" {redirected}', "sh", sys.executable, "-m", "models", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "", **(environment or {})},
        capture_output=True,
        encoding=(environment or {}).get("PYTHONIOENCODING", "utf-8"),
        check=False,
    )
    return process.returncode, process.stdout, process.stderr


LOST = "models: the output could not be written: No space left on device"


def test_output_on_a_full_disk_is_one_sentence(repository: ModelRepository, card: ModelCard) -> None:
    """Exit code 74; a decision that was made is told, and stands."""
    for _ in range(2):
        repository.publish(card, {"model.onnx": b"model"})
    root = ("--repository", str(repository.root))

    for command in (("list",), ("show", "tides"), ("verify",)):
        assert shell(">/dev/full", *root, *command) == (74, "", f"{LOST}\n")
    assert shell(">/dev/full", "--help") == (74, "", f"{LOST}\n")
    decided = f"{LOST}; tides: version 1 is serving (pinned)\n"
    assert shell(">/dev/full", *root, "promote", "tides", "1") == (74, "", decided)
    assert repository.serving_version("tides") == 1
    repository.change_serving("tides", lambda serving: serving.promoted(None))
    assert shell(">/dev/full", *root, "prune", "tides", "--keep", "1") == (
        74,
        "",
        f"{LOST}; tides: 1 removed; 2 kept\n",
    )


def test_a_refusal_keeps_its_exit_code_where_nothing_can_be_said(repository: ModelRepository, card: ModelCard) -> None:
    """Neither on stderr nor on stdout; of a closed one nobody expects anything."""
    repository.publish(card, {"model.onnx": b"model"})
    root = ("--repository", str(repository.root))

    assert shell("2>/dev/full", *root, "show", "waves") == (65, "", "")
    (repository.root / "tides/1/model.onnx").write_bytes(b"other")
    assert shell(">/dev/full", *root, "verify")[0] == 65
    assert shell(">&-", *root, "list") == (0, "", "")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_what_an_encoding_lacks_is_spelled_out(repository: ModelRepository, card: ModelCard, encoding: str) -> None:
    """As Python spells it for people, as JSON does for programs."""
    classes = ("<=50K", "naïve 🐧")
    repository.publish(card.model_copy(update={"classes": classes}), {"model.onnx": b"model"})
    root, environment = ("--repository", str(repository.root)), {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "1"}
    code, shown, said = shell("", *root, "show", "tides", environment=environment)

    assert (code, said) == (0, "")
    assert ("🐧" if encoding == "utf-8" else "\\U0001f427") in shown
    code, document, said = shell("", *root, "show", "tides", "--json", environment=environment)
    assert (code, said) == (0, "")
    assert tuple(json.loads(document)["classes"]) == classes


def test_what_is_to_be_typed_is_never_broken() -> None:
    """Text goes on between words, further in where asked; a long word and a line of a schema stay whole."""
    lines = wrapped('texts among numbers; kind = "categorical" in a schema reads texts', 30, hanging=2)

    assert lines == ["texts among numbers;", '  kind = "categorical" in a', "  schema reads texts"]
    assert wrapped("a/very/long/path/without-a-blank.csv", 10) == ["a/very/long/path/without-a-blank.csv"]
    assert wrapped("", 10) == [""]


def test_a_command_that_is_wrapped_runs_as_it_is_copied() -> None:
    """On lines of its own, with backslashes, and nothing that is quoted is broken."""
    command = "evenkeel search --repository '/a long/folder of mine' 'our tables/it is long.csv' --target y --name mine"
    lines = wrapped(f"warning: the model is no better than a line; or search: {command}", 60, hanging=2)

    assert lines[0].startswith("warning: ")
    start = next(place for place, line in enumerate(lines) if line.startswith("  evenkeel"))
    assert all(len(line) <= 60 for line in lines)
    assert all(line.endswith(" \\") for line in lines[start:-1])
    copied = "\n".join(lines[start:]).replace("evenkeel", "printf '%s\\n' evenkeel", 1)
    words = subprocess.run(["sh", "-c", copied], capture_output=True, text=True, check=True, timeout=10).stdout
    assert words.splitlines() == shlex.split(command)
    alone = wrapped(command, 60)
    assert all(len(line) <= 60 for line in alone)
    # A flag stays with its value.
    assert shlex.split(" ".join(line.removesuffix(" \\") for line in alone)) == shlex.split(command)
    assert not any(line.split()[-2].startswith("--") for line in alone[:-1] if line.endswith("\\"))


def test_on_a_terminal_no_line_is_too_long(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A result keeps its lines elsewhere."""
    text = "  island: one of " + ", ".join(f"place {number}" for number in range(30))
    terminal.show(text)
    assert capsys.readouterr().out == f"{text}\n"
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    terminal.show(text)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_a_missing_argument_is_wrapped_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    parser = CommandLine(prog="evenkeel inspect")
    with pytest.raises(SystemExit) as left:
        parser.error("the following arguments are required: table, --target")
    said = capsys.readouterr().err
    assert left.value.code == 64
    assert max(map(len, said.splitlines())) <= 80
    assert "\\" not in said
