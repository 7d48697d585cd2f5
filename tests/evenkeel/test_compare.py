import re
from math import comb
from pathlib import Path

import pytest

from evenkeel.commands.compare import mcnemar
from models.repository import ModelRepository
from tests.evenkeel.conftest import Command
from trainer.command_line import main


@pytest.mark.parametrize(
    ("one", "other", "p"), [(0, 0, 1.0), (5, 5, 1.0), (0, 5, 0.0625), (1, 9, 22 / 1024), (10, 0, 2 / 1024)]
)
def test_mcnemars_p_is_the_binomials(one: int, other: int, p: float) -> None:
    """Worked out by hand: twice the tail of a fair coin, at most one."""
    assert mcnemar(one, other) == pytest.approx(p)


def test_mcnemars_p_of_many_rows() -> None:
    """Beyond a thousand rows by logarithms: the same numbers, on both sides of that."""
    for rows, fewer in ((999, 460), (1001, 460), (4000, 1950)):
        exact = 2 * sum(comb(rows, times) for times in range(fewer + 1)) / 2**rows
        assert mcnemar(fewer, rows - fewer) == pytest.approx(exact, rel=1e-9)


@pytest.fixture
def unseen(penguins: Path, tmp_path: Path) -> Path:
    """Rows that no version has learned from: those of the example with other beaks, by next to nothing."""
    header, *lines = penguins.read_text().splitlines()
    other = [re.sub(r"\b(\d\d\.\d)\b", r"\g<1>01", line, count=1) for line in lines]
    path = tmp_path / "unseen.csv"
    path.write_text("\n".join([header, *other]))
    return path


def test_two_versions_on_the_same_rows(command: Command, unseen: Path) -> None:
    """What was set differently, both scores, the rows that changed, and whether that is chance."""
    ended = command("compare", "penguins", "1", "2", unseen)
    lines = [re.split(r"\s{2,}", line.strip()) for line in ended.out.splitlines()]

    assert ended.code == 0
    assert ["--epochs", "1", "20"] in lines
    assert ["--drop", "sex", "-"] in lines
    assert ["feature sex", "-", "categorical"] in lines
    assert not any(cells[0] == "--batch-size" for cells in lines)
    scores = {cells[0]: float(cells[2]) for cells in lines if re.fullmatch(r"version \d", cells[0]) and len(cells) > 4}
    assert scores["version 1"] < 0.9 < scores["version 2"]
    right, wrong = map(int, re.findall(r"right about (\d+) rows .* wrong about (\d+)", ended.out)[0])
    assert right - wrong == round((scores["version 2"] - scores["version 1"]) * 344)
    assert re.search(r"McNemar's p is \d\.\d*e-\d+\. Version 2 is better", ended.out)
    assert ended.out.rstrip().endswith("promote penguins 2")
    shown = [cells for cells in lines if cells[0].isdigit()]
    assert len(shown) == 10
    assert f"and {right + wrong - 10} rows more" in ended.out or "rows more" in ended.out
    classes = ("Adelie", "Chinstrap", "Gentoo")
    assert all(is_ in classes and was in classes and was != becomes for _, is_, was, becomes in shown)


def test_a_version_does_not_differ_from_itself(command: Command, later: Path) -> None:
    """No setting, no row, and nothing beyond chance."""
    out = command("compare", "penguins", "2", "2", later).out

    assert "settings, table and features are the same" in out
    assert "both give the same label to every row" in out
    assert "McNemar's p is 1, no difference beyond chance" in out


@pytest.mark.parametrize("which", ["the table", "its rows elsewhere", "half of them among others"])
def test_rows_that_a_version_learned_from_advise_nothing(
    which: str, command: Command, penguins: Path, later: Path, unseen: Path
) -> None:
    """In whichever file they stand: they are known by their hashes, which the card keeps."""
    lines = penguins.read_text().splitlines()[1:]
    if which.startswith("half"):
        with unseen.open("a") as file:
            file.write("\n" + "\n".join(lines))
    table = {"the table": penguins, "its rows elsewhere": later}.get(which, unseen)
    ended = command("compare", "penguins", "1", "2", table)

    assert ended.code == 0
    share = "about 40%" if which.startswith("half") else "about 80%"
    for version in "12":
        assert f"warning: version {version} learned from {share} of these rows; take a table" in ended.out
    assert "version 1 and version 2 learned from these rows, and do well on them whether or not they do on" in ended.out
    assert ended.out.rstrip().endswith("penguins 1 2 LATER.csv")
    assert "promote" not in ended.out
    said = command("evaluate", "penguins", table).out
    assert f"warning: it was trained on {share} of these rows" in said


def test_without_a_table_each_has_its_own_test_rows(command: Command) -> None:
    """And the last line says how to measure both on the same."""
    out = command("compare", "penguins", "1", "2").out

    assert "version 2         69" in out
    assert out.rstrip().endswith("A table behind the versions measures both on the same rows.")


def test_versions_of_other_classes_cannot_be_compared(
    command: Command, repository: ModelRepository, penguins: Path, tmp_path: Path
) -> None:
    """One sentence, with the way out; nothing half."""
    table = tmp_path / "two.csv"
    table.write_text("\n".join(line for line in penguins.read_text().splitlines() if "Gentoo" not in line))
    fit = ["fit", str(table), "--target", "species", "--name", "penguins", "--repository", str(repository.root)]
    assert main([*fit, "--epochs", "1", "--members", "1"]) == 0
    ended = command("compare", "penguins", "2", "3", table)

    assert ended.code == 65
    evaluate = f"evenkeel evaluate --repository {repository.root} penguins {table} --version 2"
    assert f"do not know the same classes; measure each by itself: {evaluate}" in ended.err
    # The other tests of this session look at the version that serves.
    repository.change_serving("penguins", lambda chosen: chosen.promoted(2))
