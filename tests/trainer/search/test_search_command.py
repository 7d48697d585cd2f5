import csv
import json
import os
import pty
import re
import shlex
import subprocess
import sys
from contextlib import suppress
from html import unescape
from pathlib import Path

import pytest

from models.repository import ModelRepository
from tests.trainer.report.pages import check
from trainer.command_line import main
from trainer.search.crew import Crew

ROOT = Path(__file__).parents[3]
# What is compiled takes longer to load than these runs take without it.
SMALL = ("--epochs", "9", "--hidden", "6", "--members", "1", "--compiled", "false", "--jobs", "2")


def search(table: Path, store: Path, *flags: str, target: str = "species") -> int:
    arguments = ["search", str(table), "--target", target, "--name", "penguins", "--repository", str(store)]
    return main([*arguments, *SMALL, *flags])


@pytest.fixture(scope="module")
def store(penguins: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which a search has left a model."""
    root = tmp_path_factory.mktemp("store")
    assert search(penguins, root, "--trials", "16", "--stage", "8", "--seeds", "2") == 0
    return root


def test_a_search_ends_with_a_model_a_leaderboard_and_a_report(store: Path) -> None:
    """The model is served like any other, and its card tells of the search."""
    folder = store / ".searches/penguins"
    card = ModelRepository(store).read("penguins", 1).card
    with (folder / "leaderboard.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))

    assert card.search is not None
    assert card.search.trials == len(lines) == 16
    assert int(lines[0]["trial"]) == card.search.trial
    assert sorted(int(line["trial"]) for line in lines) == list(range(16))
    assert ModelRepository(store).names() == ["penguins"]
    assert sorted(entry.name for entry in folder.iterdir()) == [
        "claims",
        "leaderboard.csv",
        "report.html",
        "study.journal",
    ]


def test_the_report_needs_nothing_beside_it(store: Path) -> None:
    """No script, no address; every chart, and each stage of each parameter."""
    page = (store / ".searches/penguins/report.html").read_text()

    check(page)
    for chart in (
        "Log-loss of each trial",
        "The box of each stage",
        "Parallel coordinates",
        "Learning curves",
    ):
        assert f'aria-label="{chart}"' in page
    assert "16 trials are too few; it takes 40." in page
    assert page.count("stage 2") > 5
    assert "nan" not in page
    assert "inf" not in re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)


def test_the_same_command_does_nothing_twice(
    penguins: Path, store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is trained, nothing is published, and no process is started for it."""
    monkeypatch.setattr(Crew, "_hire", None)
    assert search(penguins, store, "--trials", "16", "--stage", "8", "--seeds", "2") == 0

    captured = capsys.readouterr()
    assert "Published already, version 1" in captured.out
    assert "16 trials" in captured.out
    assert "trial    " not in captured.err
    assert ModelRepository(store).versions("penguins") == [1]


def test_machines_get_one_document(penguins: Path, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The leaderboard, the boxes, the version; importances from forty trials on."""
    assert search(penguins, store, "--trials", "16", "--json") == 0

    document = json.loads(capsys.readouterr().out)
    assert document["version"] == 1
    assert [row["rank"] for row in document["leaderboard"]] == list(range(1, 17))
    assert len(document["boxes"]) == 2
    first, second = (box["learning_rate"] for box in document["boxes"])
    assert first["low"] <= second["low"] <= second["high"] <= first["high"]
    assert document["importances"] == {}


def test_the_leaderboard_begins_with_what_everybody_asks_and_ends_with_the_command(
    penguins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Learning rate, layers, units; and the command trains as it stands, whatever was fixed by a flag."""
    arguments = ["search", str(penguins), "--target", "species", "--name", "p", "--repository", str(tmp_path)]
    fixed = ["--epochs", "4", "--members", "1", "--compiled", "false", "--drop", "year", "--drop", "sex", "--seed", "3"]
    assert main([*arguments, *fixed, "--trials", "6", "--jobs", "1"]) == 0

    output = capsys.readouterr().out
    assert output.split()[:8] == ["trial", "stage", "log-loss", "accuracy", "learning", "rate", "layers", "units"]
    *_, heading, command = output.splitlines()
    assert heading == "Reproduce the best trial with:"
    assert command.startswith(f"evenkeel fit --repository {tmp_path} ")
    assert main([*shlex.split(command)[1:], "--repository", str(tmp_path / "again")]) == 0
    published, again = (ModelRepository(root).card("p", 1) for root in (tmp_path, tmp_path / "again"))
    assert again.metrics == published.metrics
    assert again.provenance.settings == published.provenance.settings


def test_the_best_is_trained_again_by_the_command_in_the_report(store: Path, tmp_path: Path) -> None:
    """The flags that were fixed included: the same scores, to the last digit."""
    page = (store / ".searches/penguins/report.html").read_text()
    command = shlex.split(unescape(re.findall(r"<code class=.block.>(.*?)</code>", page)[0]))
    assert command[:2] == ["evenkeel", "fit"]
    assert main([*command[1:], "--repository", str(tmp_path)]) == 0

    card = ModelRepository(store).card("penguins", 1)
    again = ModelRepository(tmp_path).card("penguins", 1)
    assert card.search is not None
    if card.provenance.settings["restart"] == 0:
        assert again.metrics == card.metrics
    searched = {key: card.provenance.settings[key] for key in ("learning_rate", "dropout", "optimizer", "weight_decay")}
    assert {key: again.provenance.settings[key] for key in searched} == searched


def test_leaders_are_tested_again_on_other_rows(
    penguins: Path, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Yesterday's best is still the best where nothing has changed, whatever the noise; nothing is written."""
    header, *lines = penguins.read_text().splitlines()
    fresh = tmp_path / "fresh.csv"
    fresh.write_text("\n".join([header, *lines[::-1], *lines[:100]]))
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}

    assert search(fresh, store, "--retest", "--leaders", "3", "--seeds", "2", "--json") == 0
    verdict = json.loads(capsys.readouterr().out)
    assert len(verdict["leaders"]) == 3
    assert all(len(leader["log_losses_now"]) == 2 for leader in verdict["leaders"])
    assert verdict["best_then"] == verdict["leaders"][0]["trial"]
    assert "On the new table, trial" in verdict["sentence"]
    assert search(penguins, store, "--retest", "--leaders", "2", "--seeds", "2") == 0
    assert "On the table of the study, trial" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("flags", "code", "sentence"),
    [
        (["--trials", "0"], 64, "--trials should be a whole number from 1 to 1000000, not '0'"),
        (["--jobs", "many"], 64, "--jobs should be a whole number"),
        (["--time-limit", "soon"], 64, "--time-limit should be seconds, or minutes such as 10m"),
        (["--sampler", "guess"], 64, "--sampler should be random, tpe or grid, not 'guess'"),
        (["--stage", "2"], 64, "--stage should be a whole number from 5"),
        (["--sampler", "grid"], 64, "there is nothing to search"),
        (["--space", "{folder}/space.toml"], 64, "no such parameter to search"),
        (["--space", "{folder}/none.toml"], 74, "none.toml: No such file or directory"),
        (["--storage", "mysql://here/study"], 74, "--storage, or EVENKEEL_STORAGE, takes postgresql://"),
        (["--retest"], 64, "there is no study 'penguins'"),
        (["--dropout", "2"], 64, "--dropout should be less than 1, not '2'"),
        (["--beta1", "0.9", "--optimizer", "rmsprop"], 64, "--beta1 means nothing to rmsprop"),
        (["--target", "none"], 65, "has no column 'none'"),
        (["--name", "../up"], 64, "'../up' is no model name"),
    ],
)
def test_bad_input_leaves_one_sentence_and_nothing_else(
    penguins: Path,
    tmp_path: Path,
    flags: list[str],
    code: int,
    sentence: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "space.toml").write_text("learning_speed = { log = [1, 2] }")
    filled = [flag.format(folder=tmp_path) for flag in flags]

    assert search(penguins, tmp_path / "store", *filled) == code
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert not (tmp_path / "store").exists()


def test_without_the_extra_it_says_what_to_install(
    penguins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("trainer.search.commands.find_spec", lambda name: None)

    assert search(penguins, tmp_path) == 64
    assert "search needs optuna: install evenkeel with the extra `search`: " in capsys.readouterr().err


def test_other_commands_do_without_the_extra() -> None:
    """Nothing of the search is imported for `fit`."""
    code = "import sys, trainer.command_line; print([name for name in ('optuna', 'psycopg') if name in sys.modules])"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"


def test_a_terminal_gets_a_progress_bar(penguins: Path, tmp_path: Path) -> None:
    """With the stage, the best so far and the time that is left, instead of a line a trial."""
    controller, terminal = pty.openpty()
    arguments = ["search", str(penguins), "--target", "species", "--name", "p", "--repository", str(tmp_path)]
    command = [sys.executable, "-m", "trainer", *arguments, *SMALL, "--trials", "12", "--seeds", "0"]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=terminal, env=environment)
    os.close(terminal)
    shown = b""
    with suppress(OSError):  # Linux's way to say that the terminal was closed.
        while chunk := os.read(controller, 65536):
            shown += chunk
    os.close(controller)

    assert process.wait() == 0
    assert "━" in shown.decode()
    assert re.search(r"12/12\S* +stage 2 of 2  best 0\.\d{4} by trial \d+  0:00 left", shown.decode())
    assert b"trial    " not in shown


def test_a_pipe_is_refused_before_it_is_searched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The model that is published in the end is trained on the table once more."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    assert search(pipe, tmp_path / "store") == 65
    assert f"{pipe} is a pipe, and a search reads its table twice" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


def test_a_table_whose_name_is_no_text_is_searched(penguins: Path, tmp_path: Path) -> None:
    """The report spells the byte out."""
    table = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.csv"))
    table.write_bytes(penguins.read_bytes())

    assert search(table, tmp_path / "store", "--trials", "2", "--stage", "5", "--seeds", "1") == 0
    assert "caf\\xe9.csv" in (tmp_path / "store/.searches/penguins/report.html").read_text()
    assert ModelRepository(tmp_path / "store").card("penguins", 1).provenance.table == "caf\\xe9.csv"
