"""`explain`: what a model goes by, and one row's reasons, without a service."""

import io
import json
import re
from pathlib import Path

import pytest

from evenkeel.commands.bars import WIDTH, Bar, bars
from models.figures import figures_of
from models.repository import ModelRepository
from service.app import create_app
from service.prediction.prediction import Bounds
from service.registry.registry import Registry
from tests.evenkeel.conftest import Command

ROW = {
    "island": "Biscoe",
    "bill_length_mm": 45.1,
    "bill_depth_mm": 14.5,
    "flipper_length_mm": 215,
    "body_mass_g": 5000,
    "sex": None,
    "year": 2007,
}


@pytest.fixture
def explain(command: Command) -> Command:
    return lambda *arguments: command("explain", "penguins", *arguments)


def test_a_row_is_explained_as_the_service_does(explain: Command, repository: ModelRepository) -> None:
    """The same bytes, with the row by name or by position, against what the card has or a given row."""
    registry = Registry(repository)
    registry.refresh()
    client = create_app(registry, Bounds(1 << 16)).test_client()
    other = ROW | {"island": "Dream", "bill_length_mm": 50.0}
    for row in (ROW, list(ROW.values())):
        for flags, more in (([], {}), (["--reference", json.dumps(other)], {"reference": other})):
            ended = explain(json.dumps(row), "--json", *flags)
            served = client.post("/v1/models/penguins/versions/2:explain", json={"instance": row, **more})
            assert (ended.code, ended.err) == (0, "")
            assert json.loads(ended.out) == served.json


def test_bars_say_what_adds_to_the_answer(explain: Command) -> None:
    """The largest first, each with its value and the reference's; what they add makes up the difference."""
    ended = explain(json.dumps(ROW | {"island": "Bouvet"}))
    first, second, *lines = ended.out.splitlines()
    answer = re.fullmatch(r"penguins, version 2: Gentoo, probability (0\.\d{4}|1\.0000)", first)
    before = re.match(r"In the typical row it has (0\.\d{4});", second)
    rows = [re.match(r"  (\w+) +(\S+) +(\S+) +([+-]\d\.\d{4})", line) for line in lines]
    adds = {row[1]: (row[2], row[3], float(row[4])) for row in rows if row}
    sizes = [abs(added) for _, _, added in adds.values()]

    assert answer is not None
    assert before is not None
    assert sizes == sorted(sizes, reverse=True)
    assert sum(added for _, _, added in adds.values()) == pytest.approx(float(answer[1]) - float(before[1]), abs=5e-4)
    assert adds["bill_depth_mm"][0] == "14.5"
    assert adds["sex"][0] == "missing"
    assert all(len(line) <= WIDTH for line in ended.out.splitlines() if not line.startswith("warning"))
    assert "warning: island: training has not seen 'Bouvet'" in ended.out
    assert "\x1b" not in ended.out


def test_a_row_of_a_table_is_one_as_json(explain: Command, penguins: Path, later: Path) -> None:
    """Counted from 1 beneath the header; columns that are no features are passed over."""
    record = ROW | {"island": "Torgersen", "bill_length_mm": 39.1, "bill_depth_mm": 18.7}
    record |= {"flipper_length_mm": 181, "body_mass_g": 3750, "sex": "male"}

    assert explain("--table", penguins, "--row", 1).out == explain(json.dumps(record)).out
    assert explain("--table", later, "--row", 344).out == explain(json.dumps(record)).out


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["{"], 64, "ROW is not JSON"),
        (["examples/penguins.csv"], 64, "is a file; say --table examples/penguins.csv --row 1 for its first row"),
        (["Biscoe"], 64, "ROW is a row as JSON, not 'Biscoe'; write {feature: value}, or [value, …] in order"),
        (["--table", "examples", "--row", "1"], 66, "examples: Is a directory; name a file in it: "),
        (["[1]"], 65, "the instance must have 7 values"),
        (['{"island": 1}'], 65, "feature 'bill_length_mm' is missing"),
        ([json.dumps(ROW), "--reference", "median"], 64, "--reference is a row as JSON, not 'median'; write {feature"),
        ([json.dumps(ROW), "--reference", "[2]"], 65, "in the reference, the instance must have 7 values"),
        ([json.dumps(ROW), "--reference", "background"], 65, "train it with --background and a number"),
        ([json.dumps(ROW), "--version", "9"], 65, "version 9"),
        (["--reference", "typical"], 64, "--reference and --json need a row"),
        (["--json"], 64, "--reference and --json need a row"),
        (["--row", "3"], 64, "--table and --row belong together"),
        (["--table", "examples/penguins.csv"], 64, "--table and --row belong together"),
        ([json.dumps(ROW), "--table", "examples/penguins.csv", "--row", "3"], 64, "the row is given twice"),
        (["--table", "examples/penguins.csv", "--row", "345"], 64, "has 344 rows; say a number from 1 to 344"),
        (["--table", "examples/penguins.csv", "--row", "0"], 64, "has 344 rows; say a number from 1 to 344"),
        (["--table", "nowhere.csv", "--row", "1"], 66, "nowhere.csv"),
    ],
)
def test_what_cannot_be_explained_is_said_in_a_sentence(
    explain: Command, arguments: list[str], code: int, sentence: str
) -> None:
    """The rule and the way out, and an exit code."""
    ended = explain(*arguments)

    assert ended.code == code, ended
    assert sentence in ended.err
    assert ended.err.count("\n") == 1


def test_a_broken_row_of_a_table_is_named_with_its_line(explain: Command, penguins: Path, tmp_path: Path) -> None:
    """As `predict` does."""
    lines = penguins.read_text().splitlines()
    lines[3] = lines[3].replace("Torgersen,", "Torgersen,wide", 1)
    broken = tmp_path / "broken.csv"
    broken.write_text("\n".join(lines))
    ended = explain("--table", broken, "--row", 3)

    assert ended.code == 65
    assert "line 4, feature 'bill_length_mm'" in ended.err
    assert explain("--table", broken, "--row", 2).code == 0


class Terminal(io.StringIO):
    """A terminal with an encoding."""

    def __init__(self, encoding: str = "utf-8", tty: bool = False) -> None:
        super().__init__()
        self._encoding, self._tty = encoding, tty

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def isatty(self) -> bool:
        return self._tty


ROWS = [Bar(("one", "x"), "+0.5000", 0.5), Bar(("名前がとても長いのでここで切られる", "y"), "-0.2500", -0.25)]


@pytest.mark.parametrize(("encoding", "mark"), [("utf-8", "█"), ("latin-1", "#")])
def test_bars_are_as_long_as_their_values(monkeypatch: pytest.MonkeyPatch, encoding: str, mark: str) -> None:
    """Right and left of one zero, in characters that the terminal has; wide characters take two cells."""
    monkeypatch.setattr("sys.stdout", Terminal(encoding))
    _, plus, minus = bars(("name", "value", "adds"), ROWS)
    wide = sum(one > "⺀" for one in minus)

    assert plus.count(mark) == pytest.approx(2 * minus.count(mark), abs=1)
    assert minus.rindex(mark) + wide + 1 == plus.index(mark)
    assert len(plus) <= WIDTH
    assert len(plus) >= WIDTH - 2


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for files, nor where NO_COLOR is set."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("sys.stdout", Terminal())
    assert "\x1b" not in "".join(bars(("name", "value", "adds"), ROWS))
    monkeypatch.setattr("sys.stdout", Terminal(tty=True))
    assert "\x1b[32m" in "".join(bars(("name", "value", "adds"), ROWS))
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in "".join(bars(("name", "value", "adds"), ROWS))


def test_importances_are_those_of_the_report(explain: Command, repository: ModelRepository) -> None:
    """In falling order, each with its interval."""
    figures = figures_of(repository, "penguins", 2)
    ended = explain()
    rows = re.findall(r"^  (\w+) +([+-]\d\.\d{4})  ([+-]\d\.\d{4}) to ([+-]\d\.\d{4})", ended.out, re.MULTILINE)

    assert figures is not None
    assert ended.code == 0
    assert f"of {figures.rows} test rows" in ended.out
    assert rows == [
        (one.feature, f"{one.mean:+.4f}", f"{one.interval[0]:+.4f}", f"{one.interval[1]:+.4f}")
        for one in figures.importance
    ]
    assert all(len(line) <= WIDTH for line in ended.out.splitlines())


def test_a_version_without_figures_says_how_to_get_some(command: Command, repository: ModelRepository) -> None:
    """As those of earlier releases are, and those of `fit --no-report`."""
    model = repository.read("penguins", 2)
    repository.publish(model.card.model_copy(update={"name": "bare"}), {"model.onnx": model.onnx})
    ended = command("explain", "bare")

    assert ended.code == 64
    assert "bare version 1 was published without figures" in ended.err
    assert "without --no-report; or give a row to explain" in ended.err
