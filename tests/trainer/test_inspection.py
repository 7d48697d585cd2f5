import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trainer.command_line import main
from trainer.data.table import read_table

Write = Callable[[str | bytes], Path]


def notes(table: Path, target: str = "y") -> dict[str, tuple[str, list[str]]]:
    """By column: its kind, and the rules of its notes."""
    columns = read_table(table, target).schema.columns
    return {name: (column.kind, [note.partition(":")[0] for note in column.notes]) for name, column in columns.items()}


@pytest.mark.parametrize(
    ("cells", "kind", "rules"),
    [
        (["1", "2.5", "-3e2", ".5", "+7"], "numeric", []),
        (["00123", "7"], "categorical", ["leading zeros, kept as text"]),
        (["0.5", "0", "-0.25"], "numeric", []),
        (["1", "x", "2.5"], "categorical", ["numbers and other texts, kept as text"]),
        (["1,5", "2"], "numeric", []),
        (["1,000", "2,000"], "numeric", ["numbers of which two readings fit"]),
        (["1.000", "2.000"], "numeric", ["numbers of which two readings fit"]),
        (["1.000.000", "2,5"], "numeric", ["numbers with marks or units, read as numbers"]),
        (["1\u202f000", "2 500,5"], "numeric", ["numbers with marks or units, read as numbers"]),
        (["94%", "5 %"], "numeric", ["numbers with marks or units, read as numbers"]),
        (["-$4,966.50", "US$ 3"], "categorical", []),
        (["5 kg", "17 kg", "20"], "numeric", ["numbers with marks or units, read as numbers"]),
        (["5 kg", "17 g"], "categorical", []),
        (["A1", "A2"], "categorical", []),
        (["1", "2", "3", "-"], "numeric", ["texts among numbers, read as missing"]),
        (["2024-01-31", "2024-02-01"], "date", []),
        (["2024-01-31 10:00:00", "2024-02-01T11:30:00Z"], "date", []),
        (["2024-01-31", "2024-02-01", "n.a."], "date", ["texts among dates, read as missing"]),
        (["31.01.2024", "1.2.2024"], "date", []),
        (["31/1/2024", "1/2/2024"], "date", []),
        (["1/31/2024", "1/2/2024"], "date", []),
        (["1/2/2024", "2/3/2024"], "categorical", ["dates of which two readings fit, kept as text"]),
        (["DE", "NA", "FR"], "categorical", ["NA among two-letter codes, read as missing"]),
        (["31.1.2024", "1/2/24"], "categorical", ["dates or times, kept as text"]),
        (["20240131", "20240201"], "numeric", ["dates in eight digits, read as numbers"]),
        (["true", "false"], "boolean", []),
        (["TRUE", "FALSE"], "boolean", []),
        (["yes", "no"], "boolean", []),
        (["t", "f"], "boolean", []),
        (["0", "1"], "boolean", []),
        (["true", "False", "1", "yes"], "categorical", ["booleans in several spellings, kept as text"]),
        (["", "NA", "?"], "ignored", ["no value, ignored"]),
        (["16777216", "16777217"], "numeric", ["whole numbers, some of them alike in 32 bits", "constant"]),
        (["a", "b"], "categorical", []),
        (["=cmd|'/c calc'!A0", "\x1b[31m"], "categorical", []),
    ],
    ids=lambda value: str(value)[:30].encode("unicode_escape").decode(),
)
def test_a_kind_is_decided_by_all_cells_and_never_silently(
    table: Write, cells: list[str], kind: str, rules: list[str]
) -> None:
    """A plain number everywhere is a number; what could have been read in another way is said."""
    rows = (f'"{cells[row % len(cells)]}",{row % 7},{"pq"[row // 20]}' for row in range(40))
    found = notes(table("\n".join(["x,z,y", *rows])))

    assert found["x"] == (kind, rules)


@pytest.mark.parametrize(
    ("cell", "rule"),
    [
        ("0{}9{}", "another text in nearly every row, ignored"),
        ("{}/{}/2024", "dates of which two readings fit, another in nearly every row, ignored"),
        ("{}.{}.24", "dates or times, another in nearly every row, ignored"),
        ("{}5{} or x", "another text in nearly every row, ignored"),
    ],
)
def test_what_is_ignored_is_not_also_said_to_be_kept(table: Write, cell: str, rule: str) -> None:
    """One note, which is true, also where two readings fit."""
    rows = (f"{cell.format(1 + row // 10, 1 + row % 10)},{row % 7},{'pq'[row % 2]}" for row in range(100))

    assert notes(table("\n".join(["x,z,y", *rows])))["x"] == ("ignored", [rule])


def test_the_last_row_counts(table: Write) -> None:
    """A text far below the numbers is seen, and said; many of them make the column one of texts."""
    rows = "\n".join(f"{row % 50},{row % 2}" for row in range(300_000))
    column = read_table(table(f"x,y\n{rows}\nend,1\n"), "y").schema.columns["x"]

    assert (column.kind, column.missing) == ("numeric", ("end",))
    assert column.notes[:1] == ("texts among numbers, read as missing: 'end' 1 (line 300002)",)
    ends = "\n".join(f"end{row},1" for row in range(30))
    assert notes(table(f"x,y\n{rows}\n{ends}\n"))["x"][1][0] == "numbers and other texts, kept as text"


def written(columns: dict[str, list[object]], labels: list[str]) -> str:
    rows = zip(*columns.values(), labels, strict=True)
    return "\n".join([",".join([*columns, "y"]), *(",".join(map(str, row)) for row in rows)])


def test_a_column_that_says_nothing_or_too_much_is_named(table: Write) -> None:
    """Constant, nearly constant, twice the same, row numbers, texts of their own, and the target in disguise."""
    rng = np.random.default_rng(0)
    count = 3000
    labels = [["no", "yes", "maybe"][row % 3] for row in range(count)]
    noise = rng.normal(size=count).round(3).tolist()
    columns: dict[str, list[object]] = {
        "noise": noise,
        "again": noise,
        "constant": [4] * count,
        "nearly": [int(row == 5) for row in range(count)],
        "row": list(range(count)),
        "name": [f"n{row}" for row in range(count)],
        "code": [{"no": "A", "yes": "B", "maybe": "C"}[label] for label in labels],
        "score": [
            {"no": 1, "yes": 2, "maybe": 3}[label] + value / 1e4 for label, value in zip(labels, noise, strict=True)
        ],
        "reason": ["" if label == "no" else rng.integers(9) for label in labels],
        "hint": [label if value > -1 else "?" for label, value in zip(labels, noise, strict=True)],
    }

    assert notes(table(written(columns, labels))) == {
        "noise": ("numeric", []),
        "again": ("numeric", ["the same cells as another column"]),
        "constant": ("numeric", ["constant"]),
        "nearly": ("boolean", ["nearly constant"]),
        "row": ("numeric", ["another whole number in nearly every row"]),
        "name": ("ignored", ["another text in nearly every row, ignored"]),
        "code": ("categorical", ["gives the target away"]),
        "score": ("numeric", ["gives the target away"]),
        "reason": ("numeric", []),
        "hint": ("categorical", []),
    }


def test_missing_cells_can_give_the_target_away(table: Write) -> None:
    """A date of cancellation, which only those have who left."""
    labels = ["left" if row % 3 == 0 else "stayed" for row in range(300)]
    columns: dict[str, list[object]] = {
        "month": [row % 11 + 1 if label == "left" else "" for row, label in enumerate(labels)],
        "age": [row % 61 for row in range(300)],
    }

    assert notes(table(written(columns, labels)))["month"] == ("numeric", ["gives the target away"])
    assert notes(table(written(columns, labels)))["age"] == ("numeric", [])


def test_a_code_column_can_be_constant_to_the_eye_of_a_sample(table: Write) -> None:
    """One other value in 20 000 rows is seen."""
    rows = "\n".join(f"{int(row == 19_990)},{row % 2}" for row in range(20_000))

    assert notes(table(f"x,y\n{rows}"))["x"] == ("boolean", ["nearly constant"])


def test_many_texts_are_capped(table: Write) -> None:
    """The commonest thousand are told apart; the others share a place that no text of the table has."""
    texts = [f"t{row % 1500:04d}" if row < 4000 else f"t{row % 500:04d}" for row in range(6000)]
    path = table("\n".join(["x,y", *(f"{text},{row % 2}" for row, text in enumerate(texts))]))
    rows = read_table(path, "y").examples.rows
    (vocabulary,) = rows.vocabularies

    assert notes(path)["x"] == ("categorical", ["many texts, of which the 1000 commonest count"])
    assert len(vocabulary) == 1001
    spelled = rows.texts()[:, 0]
    shared = next(iter(set(vocabulary) - set(texts)))
    assert {text for text, cell in zip(texts, spelled, strict=True) if cell == shared} == {
        f"t{number:04d}" for number in range(1000, 1500)
    }
    assert all(text == cell for text, cell in zip(texts, spelled, strict=True) if cell != shared)


def test_inspect_prints_and_writes_the_schema(
    penguins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows, classes, a line a column, into the current folder; the file says the same."""
    monkeypatch.chdir(tmp_path)
    assert main(["inspect", str(penguins), "--target", "species"]) == 0

    output = capsys.readouterr().out
    for words in ("344 rows", "Adelie 152, Gentoo 124, Chinstrap 68", "Biscoe, Dream, Torgersen", "32.1 to 59.6"):
        assert words in output
    assert "Written to penguins.schema.toml" in output
    schema = tomllib.loads((tmp_path / "penguins.schema.toml").read_text())
    assert schema["target"] == "species"
    assert schema["columns"]["body_mass_g"] == {
        "kind": "numeric",
        "found": {"different": 94, "missing": 2, "minimum": 2700.0, "maximum": 6300.0},
    }
    assert schema["columns"]["sex"]["found"] == {"different": 2, "missing": 11, "categories": ["female", "male"]}


def test_inspect_writes_over_nothing_unasked(
    penguins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a person has edited stays; the same text twice is no conflict."""
    schema = tmp_path / "mine.toml"
    command = ["inspect", str(penguins), "--target", "species", "--output", str(schema)]
    assert main(command) == 0
    assert main(command) == 0
    original = schema.read_text()
    schema.write_text(original + "# mine\n")

    assert main(command) == 64
    assert f"{schema} is there already and says otherwise" in capsys.readouterr().err
    assert schema.read_text() == original + "# mine\n"
    assert main([*command, "--force"]) == 0
    assert schema.read_text() == original


def test_what_a_table_calls_its_columns_cannot_move_the_terminal(
    table: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Control characters are spelled out, markup is text, and a name of 10 kB is cut."""
    rows = "\n".join(f"\x1b[2J{row % 3},[bold]{row % 4}[/bold],{row},\x1b[3{row % 2}m" for row in range(40))
    path = table(f"\x1b[31mred,[red]b[/red],{'n' * 10_000},y\n{rows}")
    assert main(["inspect", str(path), "--target", "y", "--output", str(tmp_path / "s.toml")]) == 0

    output = capsys.readouterr().out
    assert "\x1b" not in output
    assert r"\x1b[31mred" in output
    assert r"\x1b[30m 20" in output
    assert "[red]b[/red]" in output
    assert "n" * 50 not in output


def test_a_wide_table_takes_a_line_a_kind(table: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody reads 784 lines."""
    names = ",".join(f"p{number}" for number in range(100))
    rows = "\n".join(",".join(str((row * number) % 5) for number in range(100)) + f",{row % 2}" for row in range(30))
    assert main(["inspect", str(table(f"{names},y\n{rows}")), "--target", "y", "--output", str(tmp_path / "s")]) == 0

    assert "p0 … p99, 100 columns" in capsys.readouterr().out
