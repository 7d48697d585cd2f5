"""What the commands that decide write, and what they refuse."""

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from models.__main__ import main
from models.card import ModelCard
from models.repository import ModelRepository

Run = Callable[..., int]


@pytest.fixture
def run(repository: ModelRepository, card: ModelCard) -> Run:
    """The command line on a repository of four versions."""
    for _ in range(4):
        repository.publish(card, {"model.onnx": b"model"})
    return lambda *arguments: main(["--repository", str(repository.root), *arguments])


def chosen(repository: ModelRepository) -> object:
    return json.loads((repository.root / "tides/serving.json").read_bytes())


def damage(repository: ModelRepository, version: int) -> None:
    (repository.root / f"tides/{version}/model.onnx").write_bytes(b"other")


def test_the_newest_serves_until_somebody_chooses(
    run: Run, repository: ModelRepository, card: ModelCard, capsys: pytest.CaptureFixture[str]
) -> None:
    """A pin holds against newer versions, until it is taken away."""
    assert repository.serving_version("tides") == 4

    assert run("promote", "tides", "2") == 0
    repository.publish(card, {"model.onnx": b"model"})
    assert repository.serving_version("tides") == 2
    assert run("promote", "tides", "--newest") == 0
    assert repository.serving_version("tides") == 5

    assert capsys.readouterr().out == (
        "tides: version 2 is serving (pinned)\n"
        "tides: version 5 is serving, and a newer one will be once it is published\n"
    )


def test_rollback_goes_back_one_version_at_a_time_over_corrupt_ones(
    run: Run, repository: ModelRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each time further; the first version has none before it."""
    damage(repository, 2)
    versions = []
    while run("rollback", "tides") == 0:
        versions.append(repository.serving_version("tides"))

    assert versions == [3, 1]
    assert capsys.readouterr().err == "models: 'tides' has no intact version before 1, which serves\n"


@pytest.mark.usefixtures("run")
def test_a_corrupt_newest_version_does_not_serve(repository: ModelRepository) -> None:
    """The highest intact one does."""
    damage(repository, 4)
    assert repository.serving_version("tides") == 3


def test_a_canary_has_a_share_and_pins_what_serves(run: Run, repository: ModelRepository) -> None:
    """So that it does not come to serve alone by being the newest; it ends when it is promoted, or anything else is."""
    run("promote", "tides", "3")
    assert run("canary", "tides", "4", "--share", "12.5%") == 0
    assert chosen(repository) == {"version": 3, "canary": {"version": 4, "share": 0.125}}
    assert run("promote", "tides", "4") == 0
    assert chosen(repository) == {"version": 4}

    run("canary", "tides", "1", "--share", "0.01")
    assert chosen(repository) == {"version": 4, "canary": {"version": 1, "share": 0.01}}
    run("canary", "tides", "--off")
    assert chosen(repository) == {"version": 4}


def test_a_shadow_stays_whatever_is_promoted(run: Run, repository: ModelRepository) -> None:
    """Unless it is the shadow itself."""
    run("shadow", "tides", "2")
    assert chosen(repository) == {"shadow": 2}
    run("promote", "tides", "3")
    assert chosen(repository) == {"version": 3, "shadow": 2}
    run("promote", "tides", "2")
    assert chosen(repository) == {"version": 2}
    run("shadow", "tides", "1")
    run("shadow", "tides", "--off")
    assert chosen(repository) == {"version": 2}


def test_list_and_show_tell_who_serves(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Serving, canary and shadow."""
    run("promote", "tides", "3")
    run("canary", "tides", "4")
    run("shadow", "tides", "1")
    capsys.readouterr()
    run("list")
    lines = capsys.readouterr().out.splitlines()
    run("show", "tides")

    assert [line.split("0.9000")[1].strip() for line in lines[1:]] == ["shadow", "", "serving (pinned)", "canary (5%)"]
    assert capsys.readouterr().out.startswith("tides, version 3, serving (pinned)\n")


def test_prune_keeps_what_serves_in_any_way(
    run: Run, repository: ModelRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the newest."""
    run("promote", "tides", "1")
    run("shadow", "tides", "2")
    capsys.readouterr()

    assert run("prune", "tides", "--keep", "1") == 0
    assert capsys.readouterr().out == "tides: 3 removed; 1, 2, 4 kept\n"
    assert run("prune", "tides", "--keep", "1") == 0
    assert capsys.readouterr().out == "tides: nothing removed; 1, 2, 4 kept\n"
    assert sorted(entry.name for entry in (repository.root / "tides").iterdir()) == ["1", "2", "4", "serving.json"]


def test_readers_see_a_pruned_version_whole_or_not_at_all(
    run: Run, repository: ModelRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All lose their names before any loses its first file."""
    seen: list[list[int]] = []
    monkeypatch.setattr("models.files.shutil.rmtree", lambda *_, **__: seen.append(repository.versions("tides")))
    run("prune", "tides", "--keep", "2")

    assert seen == [[3, 4], [3, 4]]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["promote", "tides", "9"], 65, "holds no version 9 of 'tides'; its newest are 1, 2, 3, 4\n"),
        (["promote", "waves", "1"], 65, "holds no model 'waves'; it holds tides\n"),
        (["promote", "tides", "2"], 65, "model.onnx of tides version 2 differs from what was published"),
        (["canary", "tides", "2"], 65, "model.onnx of tides version 2 differs from what was published"),
        (["shadow", "tides", "2"], 65, "model.onnx of tides version 2 differs from what was published"),
        (["canary", "tides", "4"], 65, "version 4 of 'tides' already serves; promote another one first"),
        (["shadow", "tides", "4"], 65, "version 4 of 'tides' already serves; promote another one first"),
        (["prune", "waves", "--keep", "1"], 65, "holds no model 'waves'"),
    ],
)
def test_a_refused_decision_changes_nothing(
    run: Run,
    repository: ModelRepository,
    arguments: list[str],
    code: int,
    sentence: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One sentence says why."""
    damage(repository, 2)

    assert run(*arguments) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert sentence in captured.err
    assert not (repository.root / "tides/serving.json").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["promote", "tides"],
        ["promote", "tides", "1", "--newest"],
        ["canary", "tides", "1", "--share", "0"],
        ["canary", "tides", "1", "--share", "101%"],
        ["canary", "tides", "1", "--share", "nan"],
        ["shadow", "tides"],
        ["prune", "tides"],
        ["prune", "tides", "--keep", "0"],
    ],
)
def test_wrong_usage_leaves_with_64(run: Run, arguments: list[str]) -> None:
    """EX_USAGE, before anything is looked at."""
    with pytest.raises(SystemExit, match="64"):
        run(*arguments)


BROKEN = [b"", b"{", b"[]", b'{"pin": 3}', b'{"version": "3"}', b'{"version": 0}', b'{"canary": {"version": 2}}']


@pytest.mark.parametrize("content", [*BROKEN, b'{"canary": {"version": 2, "share": 1.5}}', b'{"shadow": 3.5}'])
@pytest.mark.parametrize(
    "command", [["promote", "tides", "1"], ["rollback", "tides"], ["prune", "tides", "--keep", "1"]]
)
def test_a_broken_choice_is_left_to_whoever_wrote_it(
    run: Run, repository: ModelRepository, content: bytes, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """No command guesses; the sentence names the file, the place and the way out."""
    path = repository.root / "tides/serving.json"
    path.write_bytes(content)

    assert run(*command) == 65
    assert capsys.readouterr().err.startswith("models: serving.json of tides: ")
    assert path.read_bytes() == content
    assert repository.versions("tides") == [1, 2, 3, 4]


def test_a_planted_link_is_not_followed(run: Run, repository: ModelRepository, tmp_path: Path) -> None:
    """Neither symbolic nor hard: what is served is decided in the repository."""
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text('{"version": 3}')
    path = repository.root / "tides/serving.json"
    path.symlink_to(elsewhere)
    assert run("rollback", "tides") == 65

    path.unlink()
    path.hardlink_to(elsewhere)
    assert run("rollback", "tides") == 65


@pytest.mark.usefixtures("run")
def test_deciding_takes_turns_with_publishing_and_with_others(repository: ModelRepository, card: ModelCard) -> None:
    """Twenty decisions at once, between two publishers: each file that is read is whole, and no version is lost."""
    broken: list[Exception] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                repository.serving("tides")
            except Exception as error:
                broken.append(error)

    def decide(version: int) -> None:
        repository.change_serving("tides", lambda chosen: chosen.promoted(version))

    reader = threading.Thread(target=read)
    reader.start()
    work = [threading.Thread(target=decide, args=(1 + turn % 4,)) for turn in range(20)]
    work += [threading.Thread(target=repository.publish, args=(card, {"model.onnx": b"model"})) for _ in range(2)]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    done.set()
    reader.join()

    assert not broken
    assert repository.versions("tides") == [1, 2, 3, 4, 5, 6]
    assert repository.serving("tides").version in {1, 2, 3, 4}
    assert not list((repository.root / "tides").glob(".staging-*"))


def test_a_damaged_version_is_refused_although_it_is_named_already(
    run: Run, repository: ModelRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pinned, canary or shadow: what somebody asks for must be intact, and what nobody asks for may be put right."""
    assert run("canary", "tides", "3") == run("shadow", "tides", "2") == 0
    for version in (2, 3, 4):
        damage(repository, version)
    before = chosen(repository)
    capsys.readouterr()

    for command in (("promote", "tides", "4"), ("canary", "tides", "3"), ("shadow", "tides", "2")):
        assert run(*command) == 65
        assert f"model.onnx of tides version {command[-1]} differs from what was published" in capsys.readouterr().err
        assert chosen(repository) == before
    assert run("shadow", "tides", "--off") == run("canary", "tides", "--off") == run("promote", "tides", "1") == 0
