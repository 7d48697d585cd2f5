import json
import os
import pty
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from rich.live import Live

from trainer.command_line import main
from trainer.fitting.members import Attempt
from trainer.terminal import epochs
from trainer.training.records import Epoch, Score

ROOT = Path(__file__).parents[2]


def fit(table: Path, store: Path, *flags: str, target: str = "species", name: str = "penguins") -> int:
    arguments = ["fit", str(table), "--target", target, "--name", name, "--repository", str(store), *flags]
    return main(arguments)


def test_the_summary_tells_what_was_made(penguins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows, classes, epochs, metrics, where the model lies and how to serve it; a line an epoch on stderr, if asked."""
    assert fit(penguins, tmp_path / "store", "--epochs", "3", "--members", "1", "--verbose") == 0

    captured = capsys.readouterr()
    assert [line[:10] for line in captured.err.splitlines()[:3]] == ["epoch    1", "epoch    2", "epoch    3"]
    assert captured.err.startswith("epoch    1  loss ")
    for words in (
        "344",
        "5 numeric, 2 categorical",
        "Adelie, Chinstrap, Gentoo",
        "3, best",
        "validation",
        "test",
    ):
        assert words in captured.out
    assert f"Published in {tmp_path}/store/penguins/1" in captured.out
    assert f"evenkeel serve --repository {tmp_path}/store" in captured.out


def test_a_bag_tells_of_its_members(penguins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Which member an epoch belongs to; how many there are, and the epochs of each."""
    assert fit(penguins, tmp_path, "--epochs", "2", "--members", "2", "--distil", "false", "--verbose") == 0

    captured = capsys.readouterr()
    assert [line[:25] for line in captured.err.splitlines()[:4]] == [
        f"member {member} of 2  epoch    {epoch}" for member in (1, 2) for epoch in (1, 2)
    ]
    for words in ("bag of 2; the answer is the mean of theirs", "2, 2; best ", "344"):
        assert words in captured.out


def test_elsewhere_than_on_a_terminal_a_network_is_a_line(
    penguins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What its epochs have come to; a log of five hundred lines would hide the warnings."""
    assert fit(penguins, tmp_path, "--epochs", "3", "--members", "2", "--selection", "false") == 0

    lines = capsys.readouterr().err.splitlines()
    shown = r"member [12] of 2  3 epochs, best [123]: validation log-loss \d\.\d{4}  accuracy \d\.\d{4}"
    assert [bool(re.fullmatch(shown, line)) for line in lines if line.startswith(("member", "epoch"))] == [True, True]


def test_quiet_says_where_the_model_is_and_what_to_be_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And nothing else."""
    table = tmp_path / "dull.csv"
    table.write_text("\n".join(["x,y", *(f"{number % 7},{'ab'[number % 2]}" for number in range(60))]))
    assert fit(table, tmp_path / "store", "--epochs", "2", "--quiet", target="y", name="dull") == 0

    captured = capsys.readouterr()
    assert captured.out == f"Published in {tmp_path}/store/dull/1\n"
    assert captured.err
    assert all(line.startswith("warning: ") for line in captured.err.splitlines())


def test_a_terminal_gets_a_growing_curve(penguins: Path, tmp_path: Path) -> None:
    """A bar an epoch, the highest loss the tallest, and one line that is drawn over; no line an epoch."""
    controller, terminal = pty.openpty()
    arguments = ["fit", str(penguins), "--target", "species", "--name", "p", "--repository", str(tmp_path)]
    command = [sys.executable, "-m", "trainer", *arguments, "--epochs", "5", "--members", "1", "--compiled", "false"]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "80"}
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=terminal, env=environment)
    os.close(terminal)
    shown = b""
    while chunk := _read(controller):
        shown += chunk

    assert process.wait() == 0
    assert b"epoch    1" not in shown
    lines = re.sub("\x1b\\[[^a-zA-Z]*[a-zA-Z]", "", shown.decode()).splitlines()
    assert [line for line in lines if re.fullmatch("█[▁▂▃▄▅▆▇█]{4}", line)], lines
    (course,) = json.loads((tmp_path / "p/1/figures.json").read_bytes())["courses"]
    last = rf"5 epochs, best {course['chosen']}: validation log-loss {min(course['log_loss']):.4f}  acc"
    assert [line for line in lines if re.match(last, line)], lines
    assert "measuring and publishing" in lines  # Drawn last, also where one network is all there is.
    assert "…" not in shown.decode()


def test_between_networks_the_terminal_says_what_is_done() -> None:
    """A candidate's line goes when a network is trained again, and a student has no number of epochs to reach."""
    growing = epochs.Growing(Console(file=StringIO(), force_terminal=True), 100)
    score = Score(rows=8, log_loss=0.5, accuracy=0.75)
    own, without = Epoch(1, 0.4, score), Epoch(1, 0.4, None)

    assert growing.drawn().plain == "training"
    growing.tried(Attempt(2, 3, 0, 1), own)
    assert growing.drawn().plain.startswith("candidate 3 of 3  epoch 1 of 100")
    growing.tried(Attempt(1, 3, 0, 1), own)
    assert [line[:14] for line in growing.drawn().plain.splitlines()] == ["candidate 2 of", "candidate 3 of"]
    growing.tried(Attempt(3, 4, 0, 1), own)
    assert growing.drawn().plain.startswith("candidate 4 of 4")
    growing(1, 2, own)
    assert growing.drawn().plain.endswith("member 2 of 2  epoch 1 of 100  log-loss 0.5000  accuracy 0.7500")
    growing.ended(1, 2)
    assert growing.drawn().plain == "training"
    growing(2, 2, without)
    assert growing.drawn().plain.endswith("student  epoch 1  loss 0.4000")
    growing.ended(2, 2)
    assert growing.drawn().plain == "measuring and publishing"


def test_each_network_of_a_candidate_has_a_line_until_it_is_over() -> None:
    """One line for all of them would jump between their epochs."""
    growing = epochs.Growing(Console(file=StringIO(), force_terminal=True), 100)
    for member in (0, 1):
        growing.tried(Attempt(0, 3, member, 5), Epoch(1 + member, 0.4, Score(rows=8, log_loss=0.5, accuracy=0.75)))

    names = [line.split("  log-loss")[0] for line in growing.drawn().plain.splitlines()]
    assert names == [f"candidate 1 of 3, member {number} of 5  epoch {number} of 100" for number in (1, 2)]
    growing.tried(Attempt(0, 3, 0, 5), None)
    assert growing.drawn().plain.startswith("candidate 1 of 3, member 2 of 5  ")
    growing.tried(Attempt(0, 3, 1, 5), None)
    assert growing.drawn().plain == "training"
    growing.over()
    assert growing.drawn().plain == "measuring and publishing"


def test_a_line_that_stays_is_not_drawn_twice() -> None:
    """What is drawn below it is drawn anew with it, not some moments later."""
    shown = StringIO()
    console = Console(file=shown, force_terminal=True, width=60)
    growing = epochs.Growing(console, 100)
    with Live(growing, console=console, auto_refresh=False, transient=True) as live:
        growing(0, 2, Epoch(1, 0.4, Score(rows=8, log_loss=0.5, accuracy=0.75)))
        live.refresh()
        shown.truncate(0)
        growing.ended(0, 2)

        assert "epoch 1 of" not in shown.getvalue()


def test_what_was_chosen_is_told_apart_from_the_defaults() -> None:
    """A member of the defaults is told of, then one of the candidate in its place; so are those after it."""
    said: list[str] = []
    summing = epochs.Summing(said.append)
    score = Score(rows=8, log_loss=0.5, accuracy=0.75)
    for member, last in ((0, 2), (0, 2), (1, 1), (2, 1)):
        for count in range(1, 1 + last):
            summing(member, 2, Epoch(count, 0.4, score))
        summing.ended(member, 2)

    reached = "epochs, best 1: validation log-loss 0.5000  accuracy 0.7500"
    assert said == [
        f"member 1 of 2  2 {reached}",
        f"member 1 of 2  2 {reached}  as chosen",
        f"member 2 of 2  1 {reached}  as chosen",
        f"student  1 {reached}",
    ]


def test_the_curve_is_never_wider_than_there_is_room_for() -> None:
    """An epoch a bar on a logarithmic scale; of many epochs, means."""
    assert epochs.bars([1.0], 40) == "▁"
    assert epochs.bars([2.0**-place for place in range(8)], 40) == "█▇▆▅▄▃▂▁"
    assert epochs.bars([0.5] * 1000, 40) == "▁" * 40
    falling = epochs.bars([1 / epoch for epoch in range(1, 1001)], 40)
    assert (len(falling), falling[0], falling[-1]) == (40, "█", "▁")
    assert list(falling) == sorted(falling, reverse=True)


def _read(controller: int) -> bytes:
    try:
        return os.read(controller, 65536)
    except OSError:  # Linux's way to say that the terminal was closed.
        return b""


def test_once_trains_only_the_first_time(penguins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A container that is started again does not train again."""
    for _ in range(2):
        assert fit(penguins, tmp_path, "--epochs", "1", "--once") == 0

    assert [entry.name for entry in (tmp_path / "penguins").iterdir()] == ["1"]
    assert "published already, version 1" in capsys.readouterr().out


def test_flags_reach_the_training(penguins: Path, tmp_path: Path) -> None:
    """What was asked for is what the card says was done."""
    flags = ["--hidden", "8,4", "--batch-size", "20", "--epochs", "2", "--seed", "5", "--drop", "year", "--drop", "sex"]
    assert fit(penguins, tmp_path, *flags) == 0

    card = json.loads((tmp_path / "penguins/1/card.json").read_bytes())
    settings = card["provenance"]["settings"]
    assert (settings["hidden"], settings["batch_size"], settings["epochs"], settings["seed"]) == ([8, 4], 20, 2, 5)
    assert "year" not in [feature["name"] for feature in card["features"]]


BAD_TABLES = {
    "empty file": (b"", 65, "is empty"),
    "header only": (b"x,species\n", 65, "no rows"),
    "no such target": (b"x,y\n1,a\n", 65, "has no column 'species'"),
    "one class": (b"x,species\n" + b"1,a\n" * 20, 65, "one class only"),
    "ragged row": (b"x,species\n" + b"1,a\n2,b\n" * 10 + b"3\n", 65, "line 22: expected 2 cells, got 1"),
    "duplicate columns": (b"x,x,species\n1,2,a\n", 65, "both named 'x'"),
    "too few rows": (b"x,species\n1,a\n2,b\n", 65, "has 2 rows with a target; at least 10 are needed"),
}


@pytest.mark.parametrize(("content", "code", "sentence"), BAD_TABLES.values(), ids=BAD_TABLES.keys())
def test_an_unfit_table_publishes_nothing(
    penguins: Path, tmp_path: Path, content: bytes, code: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence, the exit code of bad data, and a repository without a changed byte."""
    store, table = tmp_path / "store", tmp_path / "table.csv"
    fit(penguins, store, "--epochs", "1")
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    capsys.readouterr()
    table.write_bytes(content)

    assert fit(table, store) == code
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before


def test_what_cannot_be_read_leaves_with_66_and_what_cannot_be_written_with_74(
    penguins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing table, a folder for a table; a repository that is a file."""
    assert fit(tmp_path / "none.csv", tmp_path / "store") == 66
    assert fit(tmp_path, tmp_path / "store") == 66
    (tmp_path / "file").touch()
    assert fit(penguins, tmp_path / "file", "--epochs", "1") == 74

    assert f"{tmp_path}/none.csv: No such file or directory" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--batch-size", "0"], "--batch-size should be greater than or equal to 1, not '0'"),
        (["--batch-size", "1"], "--batch-size must be at least 2 with batch norm: one row has no variance"),
        (["--activation", "step"], "--activation should be 'relu', 'leaky_relu', 'elu', 'selu', 'silu', 'sigmoid' or"),
        (["--batch-norm", "yes"], "--batch-norm should be 'before', 'after' or 'none', not 'yes'"),
        (["--dropout", "1"], "--dropout should be less than 1, not '1'"),
        (["--optimizer", "lbfgs"], "--optimizer should be 'sgd', 'momentum', 'nesterov', 'rmsprop', 'adam' or 'adamw'"),
        (["--beta1", "1"], "--beta1 should be less than 1, not '1'"),
        (["--beta2", "0.9", "--optimizer", "sgd"], "--beta2 means nothing to sgd; it belongs to rmsprop, adam, adamw"),
        (["--weight-decay", "-1"], "--weight-decay should be greater than or equal to 0, not '-1'"),
        (["--schedule", "linear"], "--schedule should be 'constant', 'step', 'cosine' or 'coslog4'"),
        (["--warm-up", "1"], "--warm-up should be less than 1, not '1'"),
        (["--patience", "0"], "--patience should be greater than or equal to 1, not '0'"),
        (["--label-smoothing", "1"], "--label-smoothing should be less than 1, not '1'"),
        (["--clip-norm", "0"], "--clip-norm should be greater than 0, not '0'"),
        (["--class-weight", "rare"], "--class-weight should be 'none' or 'balanced', not 'rare'"),
        (["--statistics", "exact"], "--statistics should be 'running', 'population' or 'auto', not 'exact'"),
        (["--epochs", "9" * 20], "--epochs should be less than or equal to 1000000000, not '99"),
        (["--batch-size", "9" * 20], "--batch-size should be less than or equal to 1000000000, not '99"),
        (["--patience", "9" * 20], "--patience should be less than or equal to 1000000000, not '99"),
        (["--one-hot", "9" * 20], "--one-hot should be less than or equal to 1000000000, not '99"),
        (["--epsilon", "1e300"], "--epsilon should be less than or equal to 1, not '1e300'"),
        (["--jobs", ""], "--jobs should be a whole number from 1"),
        (["--encoding", "rot13"], "no encoding is called 'rot13'; say --encoding utf-8"),
        (["--epsilon", "0"], "--epsilon should be greater than 0, not '0'"),
        (["--compiled", "maybe"], "--compiled should be a valid boolean"),
        (["--seed", "-1"], "--seed should be greater than or equal to 0, not '-1'"),
        (["--learning-rate", "nan"], "--learning-rate should be"),
        (["--epochs", "many"], "--epochs should be a valid integer"),
        (["--hidden", "64,-1"], "--hidden should be greater than or equal to 1, not '-1'"),
        (["--validation", "0.5", "--test", "0.5"], "must leave rows to train on"),
        (["--ewma-decay", "1"], "--ewma-decay should be less than 1"),
    ],
)
def test_a_setting_outside_its_range_leaves_with_64(
    penguins: Path, tmp_path: Path, flags: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sentence names the flag, the rule and the value."""
    assert fit(penguins, tmp_path / "store", *flags) == 64
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


def test_a_bad_name_is_refused_before_training(
    penguins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not after an hour of it."""
    assert fit(penguins, tmp_path / "store", name="../up") == 64

    error = capsys.readouterr().err
    assert "'../up' is no model name" in error
    assert "epoch" not in error


@pytest.mark.parametrize(
    "arguments", [[], ["fit"], ["fit", "x.csv", "--target", "y"], ["fit", "x.csv", "--tarjet", "y"]]
)
def test_wrong_usage_leaves_with_64(arguments: list[str]) -> None:
    """EX_USAGE."""
    with pytest.raises(SystemExit, match="64"):
        main(arguments)


def test_lr_find_draws_a_curve_and_suggests(penguins: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A rate between the extremes, as a flag to copy; nothing is published."""
    assert main(["lr-find", str(penguins), "--target", "species"]) == 0

    output = capsys.readouterr().out
    assert "training loss (nats) over learning rate" in output
    assert 1e-4 < float(output.split("--learning-rate ")[1]) < 1e-1
    assert not list(tmp_path.iterdir())


def test_a_weight_column_weighs_and_is_no_feature(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows of weight 0 are as if they were not there."""
    rows = [f"{number},{'ab'[number % 2]},{number % 3}" for number in range(60)]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["x,species,times", *rows]))

    assert fit(table, tmp_path / "store", "--weight", "times", "--epochs", "2", "--members", "1") == 0
    card = json.loads((tmp_path / "store/penguins/1/card.json").read_bytes())
    assert [feature["name"] for feature in card["features"]] == ["x"]
    assert sum(metrics["rows"] for metrics in card["metrics"].values()) == 40
    assert "40" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        (["1", "-2"], "line 3, column 'times': a weight must be 0 or more, not -2.0"),
        (["1", ""], "a weight must be 0 or more, not missing"),
        (["1", "often"], "line 3, column 'times': 'often' is no number"),
        (["0", "2"], "the rows whose weight in column 'times' is not 0 are of one class only ('b')"),
        (["0", "0"], "every weight in column 'times' is 0; at least one row must count"),
    ],
)
def test_unfit_weights_are_refused(
    tmp_path: Path, cells: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sentence names the row and the rule."""
    table = tmp_path / "table.csv"
    table.write_text(
        "\n".join(["x,species,times", *(f"{number},{'ab'[number]},{cell}" for number, cell in enumerate(cells))])
    )

    assert fit(table, tmp_path / "store", "--weight", "times") == 65
    assert sentence in capsys.readouterr().err


def test_statistics_that_disagree_are_warned_of(
    penguins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Dropout makes them; said once for a bag. The card holds both, and what each network reached under each."""
    flags = ("--dropout", "0.6", "--epochs", "8", "--statistics", "auto", "--distil", "false")
    assert fit(penguins, tmp_path, *flags) == 0

    said = re.findall(
        "warning: running and population statistics disagree in ([1-5]) of 5 networks: ",
        capsys.readouterr().err,
    )
    assert len(said) == 1
    frozen = json.loads((tmp_path / "penguins/1/card.json").read_bytes())["frozen_statistics"][0]
    losses = frozen["validation_log_loss"]
    assert frozen["source"] == min(losses, key=losses.get)
    assert abs(losses["running"] - losses["population"]) > 0.01


def test_ctrl_c_before_the_first_epoch_is_over_publishes_nothing(
    penguins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 130, and a sentence that says so."""

    def interrupt(*_: object) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr("trainer.training.fit.train_one_epoch", interrupt)

    assert fit(penguins, tmp_path / "store") == 130
    assert capsys.readouterr().err == "trainer: interrupted; nothing was published\n"
    assert not (tmp_path / "store").exists()
