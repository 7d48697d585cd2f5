import json
from pathlib import Path

import pytest

from models.__main__ import main
from models.card import ModelCard
from models.repository import ModelRepository


@pytest.fixture
def root(repository: ModelRepository, card: ModelCard) -> str:
    for _ in range(2):
        repository.publish(card, {"model.onnx": b"model"})
    return str(repository.root)


def test_list_shows_every_version_and_which_one_serves(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A line a version, under a heading."""
    assert main(["--repository", root, "list"]) == 0

    heading, first, second = capsys.readouterr().out.splitlines()
    assert heading.split() == ["MODEL", "VERSION", "CREATED", "CLASSES", "TEST", "ACCURACY"]
    assert first.split() == ["tides", "1", "2026-11-21", "00:00", "2", "0.9000"]
    assert second.split()[-1] == "serving"


def test_an_empty_repository_says_how_to_fill_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before the first model there is no error, but a way on."""
    assert main(["--repository", str(tmp_path / "none"), "list"]) == 0
    assert "evenkeel fit" in capsys.readouterr().out


def test_show_tells_a_person_what_the_model_takes(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Features with their values, classes, metrics."""
    assert main(["--repository", root, "show", "tides"]) == 0

    shown = capsys.readouterr().out
    assert "tides, version 2" in shown
    assert "height-m: number from 0.5 to 7.25, or missing" in shown
    assert "__class__: one of ebb, flow" in shown
    assert "test: log-loss 0.5000, accuracy 0.9000, 10 rows" in shown


def test_show_commands_no_terminal(
    repository: ModelRepository, card: ModelCard, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names and classes of somebody else's table may hold what clears a screen or renames a window."""
    text = card.model_dump_json()
    for name in ("height-m", "ebb", card.provenance.target, card.provenance.table):
        assert f'"{name}"' in text
        text = text.replace(f'"{name}"', f'"{name}\\u001b]0;x\\u0007\\n\\u202e"')
    repository.publish(ModelCard.model_validate_json(text), {"model.onnx": b"model"})
    assert main(["--repository", str(repository.root), "show", "tides"]) == 0

    shown = capsys.readouterr().out
    assert all(line.isprintable() for line in shown.split("\n"))
    assert shown.count(r"\x1b]0;x\x07\n\u202e") >= 4


def test_show_gives_a_program_the_card(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The card as it stands on disk, of the version asked for."""
    assert main(["--repository", root, "show", "tides", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((Path(root) / "tides/1/card.json").read_bytes())


def test_verify_names_what_is_corrupt(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every version is checked, also after a corrupt one, and the exit code tells."""
    assert main(["--repository", root, "verify"]) == 0
    assert capsys.readouterr().out == "tides 1: intact\ntides 2: intact\n"

    (Path(root) / "tides/1/model.onnx").write_bytes(b"other")
    assert main(["--repository", root, "verify"]) == 65
    captured = capsys.readouterr()
    assert "tides 1: CORRUPT" in captured.out
    assert "tides 2: intact" in captured.out
    assert captured.err == "models: 1 of 2 versions are corrupt; a service refuses them\n"


def test_what_is_corrupt_commands_no_terminal(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither by the name in a card nor by a key in serving.json."""
    card = Path(root) / "tides/1/card.json"
    card.write_text(card.read_text().replace('"name": "tides"', '"name": "\\u001b[31m"', 1))
    (Path(root) / "tides/serving.json").write_text('{"\\u001b[31m": 1}')
    assert main(["--repository", root, "verify"]) == 65
    assert main(["--repository", root, "list"]) == 0

    shown = capsys.readouterr().out
    assert "describes another model, '\\x1b[31m'" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["show", "waves"], 65), (["show", "No Name"], 64), (["verify", "waves"], 65), (["show", "tides", "9"], 65)],
)
def test_a_refusal_is_one_sentence_and_an_exit_code(
    root: str, arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing but the sentence on stderr."""
    assert main(["--repository", root, *arguments]) == code

    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("models: ")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["unknown"], ["show"], ["show", "tides", "01x"], ["show", "tides", "²"]])
def test_wrong_usage_leaves_with_64(root: str, arguments: list[str]) -> None:
    """EX_USAGE, as the trainer and the service do."""
    with pytest.raises(SystemExit, match="64"):
        main(["--repository", root, *arguments])


def test_a_model_that_cannot_be_read_is_named_and_the_others_are_listed(
    root: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that leads to itself, and a file in the place of a version; 74, for the list is not whole."""
    loop = Path(root) / "loop"
    loop.symlink_to(loop)
    (Path(root) / "tides/3").touch()
    sentence = f"models: {loop}: Too many levels of symbolic links\n"

    assert main(["--repository", root, "list"]) == 74
    captured = capsys.readouterr()
    assert [line.split()[:3] for line in captured.out.splitlines()[1:]] == [
        ["tides", "1", "2026-11-21"],
        ["tides", "2", "2026-11-21"],
        ["tides", "3", "corrupt"],
    ]
    assert captured.err == sentence

    (Path(root) / "tides/3").unlink()
    assert main(["--repository", root, "verify"]) == 74
    assert capsys.readouterr() == ("tides 1: intact\ntides 2: intact\n", sentence)
