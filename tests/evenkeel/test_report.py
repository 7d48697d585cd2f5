import os
import pty
from pathlib import Path

import pytest

from models.figures import figures_of
from models.repository import ModelRepository
from tests.evenkeel.conftest import Command
from tests.trainer.report.pages import check
from tests.trainer.tables import PLAIN, fit


def test_a_report_goes_to_standard_output(command: Command, repository: ModelRepository) -> None:
    """The very page that fit wrote beside the model, of the version that serves."""
    ended = command("report", "penguins")

    assert ended.code == 0
    assert ended.out.encode() == repository.file("penguins", 2, "report.html")


def test_a_report_goes_into_a_file(command: Command, repository: ModelRepository, tmp_path: Path) -> None:
    """Of any version, replaced in one step."""
    path = tmp_path / "old.html"
    path.write_text("what was there")
    ended = command("report", "penguins", "1", "--output", path)

    assert ended.code == 0
    assert str(path) in ended.out
    assert path.read_bytes() == repository.file("penguins", 1, "report.html")


def test_a_terminal_is_told_to_name_a_file(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred kilobytes of HTML are no answer to a person."""
    controller, terminal = pty.openpty()
    with os.fdopen(terminal, "w") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        ended = command("report", "penguins")
    os.close(controller)

    assert ended.code == 64
    assert "report penguins --output penguins.html" in ended.err.replace("--repository", "").replace("  ", " ") or (
        "penguins --output penguins.html" in ended.err
    )


def test_a_version_without_figures_has_a_report_all_the_same(tmp_path: Path) -> None:
    """From its card, as versions from before there were figures."""
    (tmp_path / "t.csv").write_text(PLAIN)
    assert fit(tmp_path / "t.csv", tmp_path / "store", "--no-report") == 0
    assert sorted(path.name for path in (tmp_path / "store/m/1").iterdir()) == ["card.json", "model.onnx"]
    assert figures_of(ModelRepository(tmp_path / "store"), "m", 1) is None


@pytest.mark.parametrize("arguments", [("nobody",), ("penguins", "9")])
def test_an_unknown_version_is_refused(command: Command, arguments: tuple[str, ...]) -> None:
    """With what there is not."""
    ended = command("report", *arguments)

    assert ended.code == 65
    assert "holds no" in ended.err
    assert not ended.out


def test_changed_figures_are_refused(tmp_path: Path) -> None:
    """Nothing is drawn from numbers that nobody vouches for."""
    (tmp_path / "t.csv").write_text(PLAIN)
    assert fit(tmp_path / "t.csv", tmp_path / "store") == 0
    figures = tmp_path / "store/m/1/figures.json"
    figures.write_bytes(figures.read_bytes().replace(b'"permutations":5', b'"permutations":6'))

    with pytest.raises(Exception, match=r"figures\.json of m version 1"):
        figures_of(ModelRepository(tmp_path / "store"), "m", 1)


def test_two_versions_are_drawn_side_by_side(command: Command, later: Path, tmp_path: Path) -> None:
    """With what differs, both pictures of each kind and, with a table, what both say of its rows."""
    path = tmp_path / "compare.html"
    ended = command("compare", "penguins", "1", "2", later, "--output", path)
    page = path.read_text()

    assert ended.code == 0
    assert f"Drawn side by side in {path}" in ended.out
    check(page)
    assert "version 1 beside version 2" in page
    assert '<th scope="row">--epochs</th>' in page
    assert page.count('aria-label="Log-loss in nats over epochs') == 2
    assert page.count('aria-label="Confusion matrix') == 2
    assert "McNemar" in page


def test_compare_without_output_writes_nothing(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a question."""
    monkeypatch.chdir(tmp_path)

    assert command("compare", "penguins", "1", "2").code == 0
    assert not list(tmp_path.iterdir())
