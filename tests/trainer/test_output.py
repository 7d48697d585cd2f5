"""Where the words of the trainer go to a disk that is full, to an encoding that lacks them, or come with a Ctrl-C: what
is done is done, and told.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.repository import ModelRepository
from tests.conftest import ROOT
from tests.trainer.tables import PLAIN, QUICK, fit
from trainer.terminal import progress

FULL = "No space left on device"


def trainer(
    *arguments: str, redirected: str = "", environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the trainer as a shell would."""
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirected}', "sh", sys.executable, "-m", "trainer", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "", **(environment or {})},
        capture_output=True,
        encoding=(environment or {}).get("PYTHONIOENCODING", "utf-8"),
        timeout=120,
        check=False,
    )


def fitting(folder: Path, content: str = PLAIN) -> list[str]:
    (folder / "plain.csv").write_text(content)
    where = ["--repository", str(folder / "store"), "--target", "y", "--name", "m"]
    return ["fit", str(folder / "plain.csv"), *where, *QUICK]


def test_a_summary_on_a_full_disk_is_no_failed_training(tmp_path: Path) -> None:
    """Exit code 74, and one sentence that says that the version is published."""
    process = trainer(*fitting(tmp_path), redirected=">/dev/full")

    assert process.returncode == 74
    assert process.stderr.splitlines()[-1] == (
        f"trainer: the output could not be written: {FULL}; version 1 of m is published"
    )
    assert "Traceback" not in process.stderr
    assert ModelRepository(tmp_path / "store").read("m", 1).version == 1


def test_a_log_on_a_full_disk_costs_no_training(tmp_path: Path) -> None:
    """It runs to its end without a line an epoch; the exit code says that words are lost."""
    process = trainer(*fitting(tmp_path), redirected="2>/dev/full")

    assert process.returncode == 74
    assert f"Published in {tmp_path}/store/m/1" in process.stdout
    assert ModelRepository(tmp_path / "store").read("m", 1).version == 1


@pytest.mark.parametrize("command", ["inspect", "lr-find", "--help"])
def test_every_command_tells_of_a_full_disk(penguins: Path, tmp_path: Path, command: str) -> None:
    """Exit code 74 and one sentence."""
    arguments = [str(penguins), "--target", "species"] if command != "--help" else []
    output = ["--output", str(tmp_path / "schema.toml")] if command == "inspect" else []
    process = trainer(command, *arguments, *output, redirected=">/dev/full")

    assert (process.returncode, process.stderr) == (74, f"trainer: the output could not be written: {FULL}\n")


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_what_an_encoding_lacks_is_spelled_out(tmp_path: Path, encoding: str) -> None:
    """A class whose name is no letter of it, in the summary and in what inspect shows."""
    content = PLAIN.replace("yes", "yes 🐧").replace("no", "nö")
    where = {"PYTHONIOENCODING": encoding}
    arguments = fitting(tmp_path, content)
    process = trainer(*arguments, environment=where)

    assert process.returncode == 0, process.stderr
    assert "yes \\U0001f427" in process.stdout
    assert ModelRepository(tmp_path / "store").card("m", 1).classes == ("nö", "yes 🐧")

    inspected = trainer("inspect", arguments[1], "--target", "y", "--output", str(tmp_path / "s"), environment=where)
    assert inspected.returncode == 0, inspected.stderr
    assert "yes 🐧" not in (tmp_path / "s").read_text()
    assert "yes \\U0001f427 24" in inspected.stdout


def test_a_closed_stdout_is_one_that_nobody_wants(tmp_path: Path) -> None:
    """As a daemon may have it."""
    arguments = fitting(tmp_path)
    inspected = trainer("inspect", arguments[1], "--target", "y", "--output", str(tmp_path / "s"), redirected=">&-")

    assert (inspected.returncode, inspected.stderr) == (0, "")


def test_names_are_shown_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Brackets and colons that the library for terminals would take for its own."""
    table = tmp_path / "[x] [bold].csv"
    table.write_text(PLAIN.replace("yes", "[/red]").replace("no", ":dog:"))

    assert fit(table, tmp_path / "store", "--members", "1") == 0
    shown = capsys.readouterr().out
    assert ":dog:, [/red]" in shown
    assert "predicts y from [x] [bold].csv" in shown


@pytest.fixture
def _ctrl_c() -> Iterator[None]:
    """Ctrl-C raises here, also where whoever runs the tests in the background has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_ctrl_c")
def test_ctrl_c_while_a_version_appears_comes_too_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is published, the summary says so, and nothing is left of the checkpoint."""
    real = Path.rename

    def interrupted(path: Path, target: Path) -> Path:
        renamed = real(path, target)
        signal.raise_signal(signal.SIGINT)
        return renamed

    monkeypatch.setattr(Path, "rename", interrupted)
    (tmp_path / "plain.csv").write_text(PLAIN)

    assert fit(tmp_path / "plain.csv", tmp_path / "store", "--members", "1") == 0
    assert f"Published in {tmp_path}/store/m/1" in capsys.readouterr().out
    assert [entry.name for entry in (tmp_path / "store").iterdir()] == ["m"]


@pytest.mark.usefixtures("_ctrl_c")
def test_ctrl_c_in_the_summary_does_not_deny_the_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """130, and what is published."""
    monkeypatch.setattr(progress, "summary", lambda *_: signal.raise_signal(signal.SIGINT))
    (tmp_path / "plain.csv").write_text(PLAIN)

    assert fit(tmp_path / "plain.csv", tmp_path / "store", "--members", "1") == 130
    assert capsys.readouterr().err.splitlines()[-1] == "trainer: interrupted; version 1 of m is published"


def test_a_table_whose_name_is_no_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A byte that is not UTF-8, as old archives have: trained on, inspected, and spelled out on the card."""
    table = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.csv"))
    table.write_text(PLAIN)

    assert fit(table, tmp_path / "store", "--members", "1", "--test-table", str(table)) == 0
    made = ModelRepository(tmp_path / "store").card("m", 1).provenance
    assert (made.table, made.test_table) == ("caf\\xe9.csv", "caf\\xe9.csv")
    assert "predicts y from caf\\xe9.csv" in capsys.readouterr().out

    schema = tmp_path / "schema.toml"
    inspect = trainer("inspect", str(table), "--target", "y", "--output", str(schema))
    assert inspect.returncode == 0, inspect.stderr
    assert '"caf\\\\xe9.csv"' in schema.read_text()
