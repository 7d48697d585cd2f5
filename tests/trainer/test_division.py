"""Splits that a column decides, and a test table of its own."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.tables import contents
from tests.trainer.test_split import examples_of
from trainer.command_line import main
from trainer.data.division import By, Division
from trainer.data.split import Split, split
from trainer.data.table import read_table
from trainer.errors import InvalidTable


def divided(by: By, values: Sequence[float], validation: float = 0.2, test: float = 0.2, members: int = 1) -> Split:
    half = len(values) // 2
    division = Division(by, "column", np.array(values))
    return split(examples_of([half, len(values) - half]), validation, test, np.random.default_rng(0), members, division)


def rows_of(chosen: Split) -> list[list[int]]:
    fold = chosen.folds[0]
    return [fold.train.tolist(), fold.validation.tolist(), chosen.test.tolist()]


@given(
    st.lists(st.integers(0, 8), min_size=10, max_size=60).filter(lambda groups: len(set(groups)) > 2), st.integers(1, 4)
)
def test_no_group_is_in_two_parts(groups: list[int], members: int) -> None:
    """However large they are; every row is in one part of each member, and no part is empty."""
    chosen = divided("group", groups, members=members)

    for fold in chosen.folds:
        parts = [fold.train, fold.validation, chosen.test]
        assert sorted(np.concatenate(parts)) == list(range(len(groups)))
        held = [{groups[row] for row in part} for part in parts]
        assert all(held)
        assert sum(map(len, held)) == len(set(groups))


def test_groups_fill_the_parts_to_their_shares() -> None:
    """Within a group's size, also where one group is half of the table."""
    groups = [0] * 500 + [1 + row // 10 for row in range(500)]
    train, validation, test = rows_of(divided("group", groups))

    assert abs(len(test) - 200) <= 10
    assert abs(len(validation) - 200) <= 10
    assert set(range(500)) <= set(train)


def test_each_member_has_validation_groups_of_its_own() -> None:
    """As it has rows of its own in a random split."""
    chosen = divided("group", [row // 5 for row in range(200)], members=3)

    assert len({tuple(fold.validation) for fold in chosen.folds}) == 3


@given(st.lists(st.floats(-1e6, 1e6), min_size=10, max_size=60).filter(lambda times: len(set(times)) > 2))
def test_the_newest_rows_are_the_test(times: list[float]) -> None:
    """Then come the validation rows; rows of the same time are in the same part."""
    train, validation, test = ([times[row] for row in part] for part in rows_of(divided("time", times)))

    assert max(train) < min(validation) <= max(validation) < min(test)
    assert len(train) + len(validation) + len(test) == len(times)


def test_time_is_split_by_shares() -> None:
    """Where no two rows have the same time, to the row."""
    times = np.random.default_rng(0).permutation(100).tolist()

    assert [len(part) for part in rows_of(divided("time", times, 0.2, 0.3))] == [50, 20, 30]


def test_a_column_names_the_parts() -> None:
    """Whatever the shares."""
    assert rows_of(divided("part", [0, 1, 2, 0, 0, 1, 2, 0, 0, 0])) == [[0, 3, 4, 7, 8, 9], [1, 5], [2, 6]]


@pytest.mark.parametrize(
    ("by", "values", "sentence"),
    [
        ("group", [0] * 6 + [1] * 6, "column 'column' has 2 groups; 3 parts need at least 3"),
        ("time", [0] * 6 + [1] * 6, "column 'column' has 2 different times, too few to split by"),
        ("part", [0] * 6 + [1] * 6, "column 'column' names no row 'test'"),
        ("part", [0] * 6 + [2] * 6, "column 'column' names no row 'validation'"),
    ],
)
def test_too_few_parts_are_refused(by: By, values: list[int], sentence: str) -> None:
    """The sentence names the column and what it lacks."""
    with pytest.raises(InvalidTable, match=sentence):
        divided(by, values)


def written(path: Path, cells: Sequence[object], *, drift: float = 0.0) -> Path:
    """A table of `x`, a text `k`, a column `by` and two classes that follow from x."""
    rng = np.random.default_rng(0)
    lines = ["x,k,by,y"]
    for row, cell in enumerate(cells):
        label = rng.integers(2)
        lines.append(f"{label + rng.normal() / 4 + drift:.3f},{'ab'[row % 2]},{cell},{['no', 'yes'][label]}")
    path.write_text("\n".join(lines))
    return path


def trained(table: Path, *flags: str) -> dict[str, Any]:
    store = table.parent / "store"
    command = ["fit", str(table), "--target", "y", "--name", "m", "--repository", str(store), "--epochs", "2", *flags]
    assert main(command) == 0
    version = max(int(entry.name) for entry in (store / "m").iterdir())
    card: dict[str, Any] = json.loads((store / "m" / str(version) / "card.json").read_bytes())
    return card


def parts(card: dict[str, Any]) -> list[int]:
    return [metrics["rows"] for metrics in card["metrics"].values()]


def names(card: dict[str, Any]) -> list[str]:
    return [feature["name"] for feature in card["features"]]


@pytest.mark.parametrize(
    ("flag", "cells", "expected"),
    [
        ("--split-by", ["train", "Train", "validation", "test", "train"] * 12, [36, 12, 12]),
        ("--group", [f"patient {row // 3}" for row in range(60)], [36, 12, 12]),
        ("--group", [row // 3 for row in range(60)], [36, 12, 12]),
        ("--time", list(range(60)), [36, 12, 12]),
        ("--time", [f"2024-{1 + row // 28:02}-{1 + row % 28:02}" for row in range(60)], [36, 12, 12]),
        ("--time", [f"2024-01-01T{row // 3:02}:{20 * (row % 3):02}:00+02:00" for row in range(60)], [36, 12, 12]),
    ],
)
def test_a_column_splits_and_is_no_feature(tmp_path: Path, flag: str, cells: list[object], expected: list[int]) -> None:
    """It says which rows are which, and nothing about a new row."""
    card = trained(written(tmp_path / "table.csv", cells), flag, "by", "--distil", "false")

    assert parts(card) == expected
    assert names(card) == ["x", "k"]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("9", "10"),
        ("-1e300", "1e300"),
        ("2024-01-09", "2024-01-10"),
        ("2024-01-01T10:00:00+02:00", "2024-01-01T09:00:00Z"),
        ("2024-01-01", "2024-01-01 00:00:01"),
    ],
)
def test_times_are_compared_as_times(tmp_path: Path, earlier: str, later: str) -> None:
    """Ten is after nine, zones count, and no number is rounded to 32 bits."""
    table = written(tmp_path / "table.csv", [later, earlier] * 10)
    division = read_table(table, "y", divide=("time", "by")).division

    assert division is not None
    assert division.values[0] > division.values[1]


def test_a_column_is_kept_where_asked(tmp_path: Path) -> None:
    """A year orders the rows and may say something, too."""
    table = written(tmp_path / "table.csv", [2000 + row // 6 for row in range(60)])

    assert names(trained(table, "--time", "by")) == ["x", "k"]
    assert names(trained(table, "--time", "by", "--keep", "by")) == ["x", "k", "by"]


@pytest.mark.parametrize(
    ("flag", "cell", "sentence"),
    [
        ("--split-by", "trian", "table.csv, line 4, column 'by': 'trian' is none of train, validation and test"),
        ("--split-by", "", "table.csv, line 4, column 'by': a part is missing"),
        ("--group", "NA", "table.csv, line 4, column 'by': a group is missing"),
        ("--time", "yesterday", "table.csv, line 4, column 'by': 'yesterday' is neither a number nor a date such as"),
        ("--time", "inf", "table.csv, line 4, column 'by': a time is infinite"),
        ("--time", "2026-01-31", "table.csv, line 2, column 'by': '0' is a number among dates"),
        ("--time", "", "table.csv, line 4, column 'by': a time is missing"),
    ],
)
def test_a_cell_that_says_nothing_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str, cell: str, sentence: str
) -> None:
    """By its line."""
    cells: list[object] = ["train", "validation", "test"] * 20 if flag == "--split-by" else list(range(60))
    cells[2] = cell
    table = written(tmp_path / "table.csv", cells)

    store = tmp_path / "store"

    assert main(["fit", str(table), "--target", "y", "--name", "m", "--repository", str(store), flag, "by"]) == 65
    assert sentence in capsys.readouterr().err
    assert not store.exists()


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--group", "k", "--time", "by"], "--group and --time are two ways to split one table; choose one"),
        (["--split-by", "by", "--test", "0.1"], "--test is a share, and --split-by names the rows themselves"),
        (["--test-table", "other.csv", "--test", "0.1"], "--test is a share of the table, and --test-table has rows"),
        (["--keep", "k"], "--keep k: only the column of --group or --time is no feature by itself"),
    ],
)
def test_flags_that_contradict_each_other_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], sentence: str
) -> None:
    """Exit code 64, before anything is read."""
    assert main(["fit", "none.csv", "--target", "y", "--name", "m", "--repository", str(tmp_path), *flags]) == 64
    assert sentence in capsys.readouterr().err


def test_a_test_table_is_tested_on_and_not_learned_from(tmp_path: Path) -> None:
    """All of its rows, in any order of columns; the card names it and its digest, and no range comes from it."""
    table = written(tmp_path / "table.csv", ["c"] * 60)
    other = written(tmp_path / "other.csv", ["c", "new"] * 20, drift=100.0)
    lines = [line.split(",") for line in other.read_text().splitlines()]
    other.write_text("\n".join(",".join([*reversed(line), "extra"]) for line in lines))
    card = trained(table, "--test-table", str(other), "--distil", "false")

    assert parts(card) == [48, 12, 40]
    assert names(card) == ["x", "k", "by"]
    assert card["features"][0]["maximum"] < 10
    assert card["features"][2]["categories"] == ["c"]
    assert card["golden"][0]["instance"]["x"] > 50
    provenance = card["provenance"]
    assert provenance["test_table"] == "other.csv"
    assert provenance["test_table_sha256"] != provenance["table_sha256"]


def test_a_test_table_equals_named_parts(tmp_path: Path) -> None:
    """Two files, or one in which a column names the rows of the second: the same scores."""
    both = written(tmp_path / "both.csv", ["train", "train", "validation", "test"] * 20)
    lines = both.read_text().splitlines()
    for name, kept in (("table.csv", lambda line: ",test," not in line), ("other.csv", lambda line: ",test," in line)):
        (tmp_path / name).write_text("\n".join([lines[0], *filter(kept, lines[1:])]))
    one = trained(both, "--split-by", "by")
    two = trained(tmp_path / "table.csv", "--split-by", "by", "--test-table", str(tmp_path / "other.csv"))

    assert one["metrics"] == two["metrics"]


def test_a_test_table_keeps_the_texts_of_the_table(tmp_path: Path) -> None:
    """However many others it has that are commoner there."""
    (tmp_path / "table.csv").write_text("k,y\n" + "a,no\nb,yes\n" * 20)
    others = "".join(f"other {number // 2},no\n" for number in range(2200))
    (tmp_path / "other.csv").write_text(f"k,y\n{others}a,no\nb,yes\n")
    schema = tmp_path / "schema.toml"
    schema.write_text('target = "y"\n[columns.k]\nkind = "categorical"\n')
    table = read_table(tmp_path / "table.csv", "y", schema=schema, test=tmp_path / "other.csv")

    assert table.examples.rows.texts()[-2:].tolist() == [["a"], ["b"]]


@pytest.mark.parametrize(
    ("content", "code", "sentence"),
    [
        ("x,by,y\n1,c,no\n2,c,yes\n", 65, "other.csv has no column 'k', which"),
        ("x,k,by,y\n1,a,c,no\n2,a,c,maybe\n", 65, "other.csv: 'maybe' is no class of"),
        ("x,k,by,y\n1,a,c,no\nx,a,c,yes\n", 65, "other.csv, line 3, column 'x': 'x' is no number"),
        (None, 66, "other.csv: No such file"),
    ],
)
def test_a_test_table_of_another_make_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, code: int, sentence: str
) -> None:
    """The sentence names it, and what it lacks."""
    table, other = written(tmp_path / "table.csv", ["c"] * 60), tmp_path / "other.csv"
    if content is not None:
        other.write_text(content)
    store = tmp_path / "store"
    command = [
        "fit",
        str(table),
        "--target",
        "y",
        "--name",
        "m",
        "--repository",
        str(store),
        "--test-table",
        str(other),
    ]

    assert main(command) == code
    assert sentence in capsys.readouterr().err
    assert contents(store) == {}


def test_the_parts_follow_the_rows_that_have_a_target(tmp_path: Path) -> None:
    """Rows that are left out take their part with them."""
    table = written(tmp_path / "table.csv", ["train", "validation", "test"] * 20)
    lines = table.read_text().splitlines()
    lines[1] = "5,a,test,"
    table.write_text("\n".join(lines))
    read = read_table(table, "y", divide=("part", "by"))

    assert read.division is not None
    assert np.bincount(read.division.values).tolist() == [19, 20, 20]
