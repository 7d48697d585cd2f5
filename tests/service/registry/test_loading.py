"""What is loaded and what is kept when the repository is not as it should be."""

import json
import os
import shutil
import threading
from functools import partial

import pytest
from flask.testing import FlaskClient

from models.repository import ModelRepository
from models.serving import Serving
from service.app import create_app
from service.errors import ModelNotFound
from service.prediction.prediction import Bounds
from service.registry.registry import Registry
from tests.service.conftest import LIMIT
from tests.service.registry.conftest import Decide, Publish, damage, errors
from tests.service.test_metrics import samples, value


def test_the_last_good_version_stays_when_only_bad_ones_are_left(
    registry: Registry, repository: ModelRepository, publish: Publish
) -> None:
    """Its own folder deleted, the next one corrupt: as TensorFlow Serving's LastVersionNotRemoved."""
    damage(repository.root / "penguins" / str(publish()))
    shutil.rmtree(repository.root / "penguins/1")
    registry.refresh()

    assert registry.predictor().version == 1


def test_who_serves_is_never_unloaded(
    registry: Registry, repository: ModelRepository, publish: Publish, decide: Decide, client: FlaskClient
) -> None:
    """Neither when its own folder is deleted, nor its model's, nor the whole repository emptied or removed."""
    publish()
    decide(version=2)
    shutil.rmtree(repository.root / "penguins/2")
    registry.refresh()
    assert registry.predictor().version == 2
    shutil.rmtree(repository.root / "penguins")
    registry.refresh()
    assert registry.predictor().version == 2
    read = samples(client.get("/metrics").text)
    assert value(read, "repository_readable") == 1
    assert value(read, "model_followed", model="penguins") == 0
    repository.root.rmdir()
    registry.refresh()
    assert registry.predictor().version == 2
    assert registry.ready
    assert value(samples(client.get("/metrics").text), "repository_readable") == 0


def test_a_repository_that_comes_back_is_followed_again(
    registry: Registry, repository: ModelRepository, publish: Publish, client: FlaskClient
) -> None:
    """As after an unmounted disk is mounted again."""
    publish()
    registry.refresh()
    away = repository.root.with_name("away")
    repository.root.rename(away)
    registry.refresh()
    away.rename(repository.root)
    publish()
    registry.refresh()

    assert registry.predictor().version == 3
    assert value(samples(client.get("/metrics").text), "repository_readable") == 1


def test_a_version_number_with_other_content_is_loaded_anew(
    registry: Registry, repository: ModelRepository, publish: Publish
) -> None:
    """A repository that was removed and filled again begins with version 1; the old version 1 is not taken for it."""
    first = registry.predictor()
    golden = [row.model_dump() for row in first.card.golden]
    publish(golden=golden[:1])
    shutil.rmtree(repository.root / "penguins/1")
    (repository.root / "penguins/2").rename(repository.root / "penguins/1")
    registry.refresh()

    assert registry.predictor().version == 1
    assert registry.predictor() is not first
    assert len(registry.predictor().card.golden) == 1


@pytest.mark.parametrize("stamp", [0, 10**9, 4 * 10**9])
def test_the_time_of_a_file_tells_nothing(
    registry: Registry, repository: ModelRepository, publish: Publish, stamp: int
) -> None:
    """Equal, earlier or later than that of the version before; what is loaded is not loaded again for being touched."""
    for version in (1, publish()):
        folder = repository.root / "penguins" / str(version)
        for path in (folder / "model.onnx", folder / "card.json", folder):
            os.utime(path, (stamp, stamp))
    first = registry.predictor()
    registry.refresh()

    assert registry.predictor().version == 2
    assert registry.predictor("penguins", "1") is first


def test_a_version_that_is_copied_slowly_is_taken_once_it_is_whole(
    registry: Registry, repository: ModelRepository, publish: Publish, caplog: pytest.LogCaptureFixture
) -> None:
    """File by file and piece by piece, as `cp -r` does over a slow network; refused until then, and logged once."""
    publish()
    whole = repository.root.with_name("whole")
    (repository.root / "penguins/2").rename(whole)
    copy = repository.root / "penguins/2"
    copy.mkdir()
    for file in ("card.json", "model.onnx"):
        data = (whole / file).read_bytes()
        for piece in range(4):
            with (copy / file).open("ab") as target:
                target.write(data[piece * len(data) // 4 : (piece + 1) * len(data) // 4])
            for _ in range(2):
                registry.refresh()
            whole_now = (file, piece) == ("model.onnx", 3)
            assert registry.predictor().version == (2 if whole_now else 1)

    assert errors(caplog) == ["model refused"]
    assert not registry.refused("penguins")


def test_a_refused_version_does_not_keep_a_later_one_from_serving(
    registry: Registry, repository: ModelRepository, publish: Publish
) -> None:
    """As TensorFlow Serving's AspireErrorDontUnload: the old one stays through the error, and gives way to the next."""
    damage(repository.root / "penguins" / str(publish()))
    registry.refresh()
    assert registry.predictor().version == 1
    assert list(registry.refused("penguins")) == [2]

    publish()
    registry.refresh()
    assert registry.predictor().version == 3
    shutil.rmtree(repository.root / "penguins/2")
    registry.refresh()
    assert not registry.refused("penguins")


def test_versions_that_are_no_numbers_are_none(
    registry: Registry, repository: ModelRepository, publish: Publish
) -> None:
    """Leading zeros, other digits, other names: TensorFlow Serving and Triton ignore them too."""
    whole = repository.root / "penguins" / str(publish())
    for name in ("003", "three", "٣", "-3", "3.0", ".staging-3"):
        shutil.copytree(whole, repository.root / "penguins" / name)
    registry.refresh()

    assert registry.versions("penguins") == [2, 1]


def pinned(version: int, _: Serving) -> Serving:
    return Serving(version=version)


def test_swaps_while_requests_come_mix_nothing(
    repository: ModelRepository, registry: Registry, publish: Publish, record: dict[str, object]
) -> None:
    """A hundred swaps under four threads: every answer is a 200 of a version that was loaded."""
    publish()
    registry.refresh()
    client_of = create_app(registry, Bounds(LIMIT)).test_client
    done = threading.Event()
    wrong: list[object] = []

    def ask() -> None:
        client = client_of()
        while not done.is_set():
            response = client.post("/predict", json={"instance": record})
            if response.status_code != 200 or json.loads(response.data)["model"]["version"] not in (1, 2):
                wrong.append(response.data)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for turn in range(100):
        repository.change_serving("penguins", partial(pinned, 1 + turn % 2))
        registry.refresh()
    done.set()
    for thread in threads:
        thread.join()

    assert not wrong


def test_an_unloaded_version_is_freed_by_no_request(
    registry: Registry, repository: ModelRepository, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is kept a while for the requests that still use it, and freed by whoever looks at the repository then."""
    first = registry.predictor()
    publish()
    registry.refresh()
    shutil.rmtree(repository.root / "penguins/1")
    registry.refresh()
    with pytest.raises(ModelNotFound):
        registry.predictor("penguins", "1")
    assert [one for _, one in registry._retired] == [first]

    monkeypatch.setattr("service.registry.registry.monotonic", lambda: float("inf"))
    registry.refresh()
    assert not registry._retired
