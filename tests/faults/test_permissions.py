"""What a reader or a writer may not touch: each says so in a sentence, and goes on with the rest."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from models.__main__ import main
from models.repository import ModelRepository, PublishedModel
from service.registry.registry import Registry
from tests.service.conftest import NUMBERS

NOBODY = 65534
DENIED = "Permission denied"
MODEL, SERVING, VERSION = "plain", "plain/serving.json", "plain/2"
ONNX, CARD = f"{VERSION}/model.onnx", f"{VERSION}/card.json"

Run = Callable[..., tuple[int, list[str], list[str]]]


@contextmanager
def nobody() -> Iterator[None]:
    """Root may do everything: for a while this process acts as a user who may not."""
    if os.geteuid():
        yield
        return
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@cache
def plain() -> PublishedModel:
    """Read once, as oneself: a checkout may be in a folder where nobody else may go."""
    return ModelRepository(NUMBERS).read("plain", 1)


def publish(repository: ModelRepository) -> int:
    model = plain()
    return repository.publish(model.card, {"model.onnx": model.onnx})


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[ModelRepository]:
    """Two versions, of which the first is pinned, in files that belong to nobody."""
    store = ModelRepository(tmp_path / "store")
    for _ in range(2):
        publish(store)
    store.change_serving("plain", lambda serving: serving.promoted(1))
    paths = [store.root, *store.root.rglob("*")]
    if not os.geteuid():
        for path in paths:
            os.chown(path, NOBODY, NOBODY)
    yield store
    for path in paths:
        path.chmod(0o755)


@pytest.fixture
def run(repository: ModelRepository, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line as nobody: its exit code, and the lines on stdout and stderr."""

    def as_nobody(*arguments: str) -> tuple[int, list[str], list[str]]:
        with nobody():
            code = main(["--repository", str(repository.root), *arguments])
        said = capsys.readouterr()
        return code, said.out.splitlines(), said.err.splitlines()

    assert as_nobody("verify") == (0, ["plain 1: intact", "plain 2: intact"], [])
    return as_nobody


@pytest.mark.parametrize("place", [VERSION, ONNX, CARD])
def test_a_version_that_may_not_be_read_is_named_and_the_other_stays(
    repository: ModelRepository, run: Run, place: str
) -> None:
    """By every command that looks; none that decides takes it, and the next publish succeeds."""
    (repository.root / place).chmod(0)
    file = "model.onnx" if place == ONNX else "card.json"
    sentence = f"{file} of plain version 2 cannot be read: {DENIED}"

    assert run("verify") == (
        65,
        ["plain 1: intact", f"plain 2: CORRUPT, {sentence}"],
        ["models: 1 of 2 versions are corrupt; a service refuses them"],
    )
    code, listed, _ = run("list")
    assert (code, len(listed)) == (0, 3)
    assert run("show", "plain")[0] == 0
    if place != ONNX:
        assert run("show", "plain", "2") == (65, [], [f"models: {sentence}"])
    assert run("promote", "plain", "2") == (65, [], [f"models: {sentence}"])
    assert run("promote", "plain", "--newest")[0] == 0
    with nobody():
        assert repository.serving_version("plain") == 1
        assert publish(repository) == 3
        assert repository.serving_version("plain") == 3


@pytest.mark.parametrize("place", [VERSION, ONNX, CARD, SERVING, MODEL, "."])
def test_a_service_goes_on_with_what_it_may_no_longer_read(repository: ModelRepository, place: str) -> None:
    """Who serves does, and it follows again once it may read."""
    repository.change_serving("plain", lambda serving: serving.promoted(2))
    registry = Registry(repository)
    registry.refresh()
    (repository.root / place).chmod(0)
    with nobody():
        registry.refresh()
        assert registry.predictor("plain").version == 2
        assert registry.followed("plain") == (place in (VERSION, ONNX, CARD))
    (repository.root / place).chmod(0o755)
    repository.change_serving("plain", lambda serving: serving.promoted(1))
    registry.refresh()

    assert registry.predictor("plain").version == 1
    assert registry.followed("plain")
    assert registry.refused("plain") == {}


@pytest.mark.parametrize("place", [VERSION, ONNX, CARD])
def test_a_service_that_starts_refuses_what_it_may_not_read(repository: ModelRepository, place: str) -> None:
    """It serves the other version, though newer ones should, and takes this one once it may."""
    repository.change_serving("plain", lambda serving: serving.promoted(None))
    (repository.root / place).chmod(0)
    registry = Registry(repository)
    with nobody():
        registry.refresh()
        assert registry.predictor("plain").version == 1
        assert DENIED in registry.refused("plain")[2]
    (repository.root / place).chmod(0o755)
    registry.refresh()

    assert registry.predictor("plain").version == 2


def test_a_choice_that_may_not_be_read_is_named_and_not_replaced(repository: ModelRepository, run: Run) -> None:
    """What serves is unknown then: no command decides over it; versions are listed, shown by number and published."""
    (repository.root / SERVING).chmod(0)
    sentence = f"serving.json of plain cannot be read: {DENIED}"

    for arguments in (["show", "plain"], ["promote", "plain", "2"], ["rollback", "plain"], ["shadow", "plain", "2"]):
        assert run(*arguments) == (65, [], [f"models: {sentence}"])
    assert sentence in run("list")[1][-1]
    assert run("show", "plain", "2")[0] == 0
    with nobody():
        assert publish(repository) == 3


@pytest.mark.parametrize("place", [MODEL, "."])
def test_a_folder_that_may_not_be_read_is_named(repository: ModelRepository, run: Run, place: str) -> None:
    """Exit code 74, one sentence, by every command."""
    folder = repository.root / place
    folder.chmod(0)

    for arguments in (["list"], ["verify"], ["show", "plain"], ["promote", "plain", "2"]):
        code, out, sentences = run(*arguments)
        assert (code, out) == (74, [])
        assert [sentence.startswith(f"models: {folder}") for sentence in sentences] == [True]
        assert sentences[0].endswith(DENIED)


def test_a_repository_that_may_not_be_written_is_read(repository: ModelRepository, run: Run) -> None:
    """Readers do not notice; a publisher and a decision say that nothing has changed, and leave nothing."""
    paths = [repository.root, *repository.root.rglob("*")]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    folder = repository.root / MODEL

    assert run("verify")[0] == run("list")[0] == run("show", "plain")[0] == 0
    for decision in (["promote", "plain", "2"], ["shadow", "plain", "2"], ["canary", "plain", "2"]):
        assert run(*decision) == (74, [], [f"models: {folder}: nothing was changed: {DENIED}"])
    with nobody():
        with pytest.raises(PermissionError, match=f"nothing was published: {DENIED}"):
            publish(repository)
        registry = Registry(repository)
        registry.refresh()
    assert registry.predictor("plain").version == 1
    assert sorted(paths) == sorted([repository.root, *repository.root.rglob("*")])
