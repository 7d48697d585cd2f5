"""What is loaded first, who waits for it, and what is tried only once: the real service, with several workers."""

import os
import shutil
import signal
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from models.repository import ModelRepository
from models.serving import Canary, Serving
from service.registry.loader import LONGEST_PAUSE_SECONDS, Loader
from service.registry.registry import Registry
from service.registry.trial import Trial
from tests.end_to_end.conftest import Service, running
from tests.service.processes.test_supervisor import ready, supervised
from tests.service.registry.conftest import Publish, damage
from tests.service.test_metrics import Samples, samples, value

WORKERS = 3


@contextmanager
def started(repository: Path, port: int, stderr: IO[bytes] | None = None, **settings: str) -> Iterator[Service]:
    """A service that listens."""
    with running(repository, port, stderr, EVENKEEL_WORKERS=str(WORKERS), **settings) as service:
        service.wait("/v2/health/live")
        yield service


def metrics(service: Service) -> Samples:
    with urllib.request.urlopen(f"{service.url}/metrics", timeout=5) as response:
        return samples(response.read().decode())


def workers(service: Service) -> list[int]:
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children")
    return [int(child) for child in children.read_text().split()]


def readiness(service: Service) -> int:
    return service.ask("/v2/health/ready")[0]


def test_workers_try_a_version_once_between_them(repository: ModelRepository, publish: Publish, free_port: int) -> None:
    """Good or refused, at the start, when it is published and when a worker is replaced."""
    damage(repository.root / "penguins" / str(publish()))
    with started(repository.root, free_port) as service:
        service.wait()
        publish()
        deadline = time.monotonic() + 20
        while {service.ask("/v1/models/penguins")[1]["version"] for _ in range(30)} != {3}:
            assert time.monotonic() < deadline
        lost = workers(service)[0]
        os.kill(lost, signal.SIGKILL)
        while len(set(workers(service)) - {lost}) < WORKERS and time.monotonic() < deadline:
            time.sleep(0.05)
        for _ in range(60):
            assert readiness(service) == 200
            assert service.ask("/v1/models/penguins")[1]["versions"] == [3, 1]
        read = metrics(service)

    assert value(read, "trials_total", result="good") == 2
    assert value(read, "trials_total", result="refused") == 1
    assert value(read, "trials_total", result="failed") == 0


def test_readiness_comes_to_all_workers_at_once(repository: ModelRepository, free_port: int, tmp_path: Path) -> None:
    """Where the first model is published while all are waiting: once one is ready no other says that it is not."""
    root = tmp_path / "later"
    root.mkdir()
    with started(root, free_port) as service:
        assert {readiness(service) for _ in range(30)} == {503}
        shutil.copytree(repository.root / "penguins", root / ".whole")
        (root / ".whole").rename(root / "penguins")
        service.wait()
        seen = [readiness(service) for _ in range(100)]
        assert seen == [200] * 100
        assert service.ask("/predict", {"instances": [[]]})[0] == 422


def test_a_version_that_is_loaded_slowly_lets_what_serves_serve(
    repository: ModelRepository, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before any other version is looked at, of this model or another, who serves of each is there."""
    for _ in range(3):
        publish()
    publish(name="birds")
    publish(name="birds")
    order: list[tuple[str, int]] = []
    load = Loader._load

    def watched(self: Loader, name: str, version: int, state: str) -> object:
        order.append((name, version))
        return load(self, name, version, state)

    monkeypatch.setattr(Loader, "_load", watched)
    registry = Registry(repository)
    registry.refresh(hurried=True)
    assert order == [("birds", 2), ("penguins", 4)]
    assert [registry.versions(name) for name in ("birds", "penguins")] == [[2], [4]]
    assert registry.ready

    registry.refresh()
    assert order[2:] == [("birds", 1), ("penguins", 3), ("penguins", 2), ("penguins", 1)]


def test_a_canary_is_there_with_what_serves(repository: ModelRepository, publish: Publish) -> None:
    """The same keys are answered by it in every worker, from the first request on."""
    for _ in range(3):
        publish()
    repository.change_serving("penguins", lambda _: Serving(version=3, canary=Canary(version=1, share=0.5), shadow=2))
    registry = Registry(repository)
    registry.refresh(hurried=True)

    assert registry.versions("penguins") == [3, 1]
    assert registry.choice().canary is registry.predictor("penguins", "1")


def test_a_model_that_is_still_tried_keeps_the_service_from_being_ready(
    repository: ModelRepository, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others serve, but requests for it would be refused; what is published later takes readiness from nobody."""
    publish(name="birds")
    check = Trial.check

    def fails(self: Trial, name: str, version: int, state: str) -> str:
        if name == "birds":
            raise OSError(11, "Resource temporarily unavailable")
        return check(self, name, version, state)

    monkeypatch.setattr(Trial, "check", fails)
    registry = Registry(repository, trial=Trial(repository.root, 512))
    registry.refresh()
    assert registry.versions("penguins") == [1]
    assert registry.failed("birds") == {1: "Resource temporarily unavailable"}
    assert not registry.ready
    assert registry.due < time.monotonic() + LONGEST_PAUSE_SECONDS

    monkeypatch.setattr(Trial, "check", check)
    time.sleep(max(0.0, registry.due - time.monotonic()))
    registry.refresh()
    assert registry.ready
    monkeypatch.setattr(Trial, "check", fails)
    (repository.root / "birds").rename(repository.root / "fish")
    registry.refresh()
    assert registry.ready


def test_what_serves_below_a_damaged_pin_is_held_however_old(repository: ModelRepository, publish: Publish) -> None:
    """Though newer versions fill all places: nothing newer than the pin serves while anything below it can."""
    for _ in range(6):
        publish()
    (repository.root / "penguins/serving.json").write_text('{"version": 4}')
    for version in (3, 4):
        damage(repository.root / "penguins" / str(version))
    for most, held in ((1, [7, 2]), (2, [7, 6, 2]), (3, [7, 6, 5, 2]), (4, [7, 6, 5, 2])):
        again = Registry(repository, most_versions=most)
        again.refresh()
        assert again.predictor().version == 2
        assert again.versions("penguins") == held


def test_where_nothing_is_left_below_a_damaged_pin_the_lowest_above_serves(
    repository: ModelRepository, publish: Publish
) -> None:
    """The nearest to what was wanted."""
    for _ in range(6):
        publish()
    (repository.root / "penguins/serving.json").write_text('{"version": 2}')
    for version in (1, 2, 3):
        damage(repository.root / "penguins" / str(version))
    again = Registry(repository, most_versions=1)
    again.refresh()

    assert again.predictor().version == 4
    assert again.versions("penguins") == [7, 4]


def test_a_worker_that_loads_slowly_is_left_in_peace() -> None:
    """It has not served yet, so it does not hang, though it takes many times as long as one that does may."""
    with supervised(workers=2, start="time.sleep(2)") as service:
        first = ready(service)
        assert len(first) == 2
        assert service.answering() == first


def test_a_worker_that_cannot_load_what_others_serve_lets_nobody_in(
    repository: ModelRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for its models; where no other serves it answers at least that it is not ready."""
    registry = Registry(repository, trial=Trial(repository.root, 512))
    registry.join()  # Alone, it need not wait.
    assert not registry.ready
    others = iter([True, True, True, False])
    monkeypatch.setattr("service.registry.coordination.Coordination.others_serve", property(lambda _: next(others)))
    Registry(repository).join()
    assert next(others, None) is None
