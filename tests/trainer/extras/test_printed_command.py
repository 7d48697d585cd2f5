"""A printed `evenkeel search` runs, where the extra for searching is installed."""

import io
import re
import shlex
from contextlib import redirect_stderr
from pathlib import Path

import pytest

from models.repository import ModelRepository
from tests.trainer.evaluation.conftest import linear
from trainer.command_line import main


def test_a_printed_command_runs_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the folder, name and target that were typed, quoted for the shell; the card tells no file."""
    folder = tmp_path / "our tables"
    folder.mkdir()
    columns = linear(300)
    lines = [";".join(map(str, cells)) for cells in zip(*columns.values(), strict=True)]
    (folder / "it's.csv").write_text("\n".join(['x;z;what\'s "y"', *lines]) + "\n")
    typed = (str(folder / "it's.csv"), "--target", 'what\'s "y"', "--name", "m", "--delimiter", ";")
    store, err = str(tmp_path / "a store"), io.StringIO()
    monkeypatch.chdir(tmp_path)
    with redirect_stderr(err):
        assert main(["fit", *typed, "--repository", store, "--epochs", "8", "--hidden", "8", "--members", "1"]) == 0

    (command,) = re.findall(r"evenkeel search .*", err.getvalue())
    program, *words = shlex.split(command)
    assert (program, words[0]) == ("evenkeel", "search")
    assert main([*words, "--trials", "1", "--seeds", "0", "--epochs", "1", "--members", "1", "--quiet"]) == 0
    (kept,) = [one for one in ModelRepository(Path(store)).card("m", 1).warnings if "evenkeel" in one]
    assert shlex.split(kept[kept.index("evenkeel") :])[:3] == ["evenkeel", "search", "TABLE"]
    assert "our tables" not in kept
    assert "a store" not in kept
