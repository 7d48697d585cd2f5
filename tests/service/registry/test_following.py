import logging
import time
from collections.abc import Callable
from errno import EIO, ENOSPC
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from models.repository import ModelRepository
from models.serving import Serving
from service.registry import following, loader
from service.registry.following import Changes, follow
from service.registry.registry import Registry
from tests.service.test_metrics import samples, value

NEVER = 3600.0


def seconds_until(condition: Callable[[], bool]) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < 20
        time.sleep(0.001)
    return time.monotonic() - began


def test_a_change_takes_effect_without_polling(
    registry: Registry, repository: ModelRepository, publish: Callable[..., int]
) -> None:
    """File events alone: versions that are published, choices, a model that is new, a version that is copied."""
    follow(registry, repository, NEVER)
    time.sleep(0.5)
    publish()
    seconds_until(lambda: registry.predictor().version == 2)
    repository.change_serving("penguins", lambda _: Serving(version=1))
    seconds_until(lambda: registry.predictor().version == 1)
    publish(name="birds")
    seconds_until(lambda: registry.versions("birds") == [1])


def test_polling_sees_what_no_event_tells(
    registry: Registry,
    repository: ModelRepository,
    publish: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """On a network mount, or where the machine has no watches left; that is said once."""

    def full() -> None:
        raise OSError(ENOSPC, "No space left on device")

    monkeypatch.setattr(following, "INotify", full)
    follow(registry, repository, 0.05)
    publish()
    seconds_until(lambda: registry.predictor().version == 2)

    messages = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert messages == ["no file events, the repository is only polled"]


def test_a_folder_that_is_not_there_is_no_reason_to_give_up(tmp_path: Path) -> None:
    """Nor one that is a file; those that are there are watched."""
    (tmp_path / "file").touch()
    (tmp_path / "here").mkdir()
    changes = Changes()
    changes.watch([tmp_path / "nowhere", tmp_path / "file", tmp_path / "here"])
    (tmp_path / "here/new").touch()

    began = time.monotonic()
    changes.wait(20)
    assert time.monotonic() - began < 10
    changes.wait(0.01)  # What was told is not told again.
    changes.close()


def looked_at(client: FlaskClient) -> float:
    return value(samples(client.get("/metrics").text), "repository_last_look_seconds")


def test_one_folder_that_cannot_be_watched_or_listed_ends_nothing(
    registry: Registry,
    repository: ModelRepository,
    publish: Callable[..., int],
    client: FlaskClient,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A link that leads to itself (ELOOP), in the place of a model: it is named, the others are followed on."""
    (repository.root / "loop").symlink_to("loop")
    follow(registry, repository, 0.05)
    before = looked_at(client)
    publish()
    seconds_until(lambda: registry.predictor().version == 2)
    seconds_until(lambda: looked_at(client) > before)

    assert abs(looked_at(client) - time.time()) < 5
    assert not registry.followed("loop")
    assert registry.followed("penguins")
    told = [(entry.getMessage(), entry.__dict__.get("model")) for entry in caplog.records]
    assert told.count(("repository not followed", "loop")) == 1
    assert told.count(("folder not watched", None)) == 1


@pytest.mark.parametrize("step", ["watch", "wait"])
def test_no_error_ends_the_thread_that_follows(
    registry: Registry,
    repository: ModelRepository,
    publish: Callable[..., int],
    step: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Wherever in the round it is met: the next round begins all the same."""
    once = iter([OSError(EIO, "Input/output error")])
    work = getattr(Changes, step)

    def fails(self: Changes, *arguments: Any) -> None:
        for error in once:
            raise error
        work(self, *arguments)

    monkeypatch.setattr(Changes, step, fails)
    follow(registry, repository, 0.05)
    publish()
    seconds_until(lambda: registry.predictor().version == 2)
    assert "repository check failed" in [entry.getMessage() for entry in caplog.records]


@pytest.fixture
def fails_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first model that is read cannot be."""
    read = ModelRepository.read

    def fails(*_: object) -> object:
        monkeypatch.setattr(ModelRepository, "read", read)
        raise OSError(EIO, "Input/output error")

    monkeypatch.setattr(ModelRepository, "read", fails)


@pytest.mark.usefixtures("fails_once")
def test_what_has_failed_is_looked_at_again_when_it_is_due(repository: ModelRepository) -> None:
    """However seldom the repository is polled."""
    registry = Registry(repository)
    follow(registry, repository, NEVER)
    seconds_until(lambda: registry.ready)


@pytest.mark.usefixtures("fails_once")
def test_what_is_loaded_at_the_second_try_of_one_round_is_ready(
    repository: ModelRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has failed may be due again before the round is over: then no other round is waited for."""
    monkeypatch.setattr(loader, "back_off", lambda _: 0.0)
    registry = Registry(repository)
    registry.refresh()

    assert registry.versions("penguins") == [1]
    assert registry.ready


def test_what_is_missing_is_named_once(
    tmp_path: Path, repository: ModelRepository, publish: Callable[..., int], caplog: pytest.LogCaptureFixture
) -> None:
    """A repository that is not there, with its path, and a default model that is not published, until it is."""
    root = tmp_path / "nowhere"
    registry = Registry(ModelRepository(root), default_model="birds")
    for _ in range(2):
        registry.refresh()
    (gone,) = caplog.records
    assert gone.getMessage() == "repository not followed"
    assert gone.__dict__["reason"] == f"{root}: No such file or directory"

    caplog.clear()
    registry = Registry(repository, default_model="birds")
    for _ in range(2):
        registry.refresh()
    (missing,) = caplog.records
    assert "default model is not published" in missing.getMessage()
    assert (missing.__dict__["model"], missing.__dict__["published"]) == ("birds", "penguins")

    publish(name="birds")
    registry.refresh()
    assert len(caplog.records) == 1
    assert registry.predictor().card.name == "birds"
