import logging
import time
from collections.abc import Callable
from errno import ENOSPC
from pathlib import Path

import pytest

from models.repository import ModelRepository
from models.serving import Serving
from service.registry import following
from service.registry.following import Changes, follow
from service.registry.registry import Registry

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
