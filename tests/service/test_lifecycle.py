"""What of a repository serves, in which role, and what happens when the repository is not as it should be."""

import json
import logging
import os
import shutil
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from flask.testing import FlaskClient

from models.repository import ModelRepository
from models.serving import Canary, Serving
from service.app import create_app
from service.errors import ModelNotFound
from service.registry import Registry
from tests.service.conftest import LIMIT
from tests.service.test_metrics import samples, value

Publish = Callable[..., int]
Decide = Callable[..., None]


@pytest.fixture
def decide(repository: ModelRepository, registry: Registry) -> Decide:
    """Write serving.json, and let the registry look."""

    def write(**chosen: Any) -> None:
        repository.change_serving("penguins", lambda _: Serving(**chosen))
        registry.refresh()

    return write


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def answered_by(client: FlaskClient, record: object, path: str = "/predict", key: str | None = None) -> int:
    headers = {} if key is None else {"X-Request-Key": key}
    response = client.post(path, json={"instance": record}, headers=headers)
    assert response.json is not None
    assert response.status_code == 200, response.json
    version: int = response.json["model"]["version"]
    return version


def test_a_pinned_version_serves_whatever_is_published(
    registry: Registry, publish: Publish, decide: Decide, client: FlaskClient, record: object
) -> None:
    """Up and down; without the pin the newest serves again."""
    publish()
    publish()
    for pin, serves in ((1, 1), (3, 3), (2, 2), (None, 3)):
        decide(version=pin)
        assert answered_by(client, record) == serves

    decide(version=2)
    publish()
    registry.refresh()
    assert answered_by(client, record) == 2
    assert answered_by(client, record, "/v1/models/penguins/versions/4:predict") == 4


def test_a_version_that_is_named_is_loaded_however_old(registry: Registry, publish: Publish, decide: Decide) -> None:
    """Besides the newest ones; and is unloaded when nothing names it any more."""
    for _ in range(6):
        publish()
    registry.refresh()
    assert registry.versions("penguins") == [7, 6, 5, 4]

    decide(version=2, canary=Canary(version=3, share=0.5), shadow=1)
    assert registry.versions("penguins") == [7, 6, 5, 4, 3, 2, 1]
    assert registry.predictor().version == 2

    decide()
    assert registry.versions("penguins") == [7, 6, 5, 4]
    assert registry.predictor().version == 7


def test_a_restart_serves_what_was_chosen(repository: ModelRepository, publish: Publish, decide: Decide) -> None:
    """The choice stands on disk."""
    publish()
    decide(version=1)
    again = Registry(repository)
    again.refresh()

    assert again.predictor().version == 1


@pytest.mark.parametrize("content", [b"", b"{", b'{"version": "1"}', b'{"pin": 1}', b'{"version": 1, "share": 2}'])
def test_a_choice_that_cannot_be_read_leaves_the_last_one(
    content: bytes,
    registry: Registry,
    repository: ModelRepository,
    publish: Publish,
    decide: Decide,
    client: FlaskClient,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One line in the log and a gauge tell; new versions are loaded all the same."""
    decide(version=1)
    (repository.root / "penguins/serving.json").write_bytes(content)
    publish()
    for _ in range(3):
        registry.refresh()

    assert registry.predictor().version == 1
    assert registry.versions("penguins") == [2, 1]
    assert errors(caplog) == ["repository not followed"]
    assert value(samples(client.get("/metrics").text), "model_followed", model="penguins") == 0

    (repository.root / "penguins/serving.json").write_text('{"version": 2}')
    registry.refresh()
    assert registry.predictor().version == 2
    assert value(samples(client.get("/metrics").text), "model_followed", model="penguins") == 1


def test_a_pinned_version_that_is_refused_leaves_who_served(
    registry: Registry, repository: ModelRepository, publish: Publish, decide: Decide
) -> None:
    """After a restart, the highest version below the pin: it says that newer ones should not serve."""
    for _ in range(3):
        publish()
    registry.refresh()
    decide(version=3)
    damage(repository.root / "penguins/3")
    damage(repository.root / "penguins/4")
    registry.refresh()
    assert registry.predictor().version == 3  # As it was loaded.

    publish()
    again = Registry(repository)
    again.refresh()
    assert again.predictor().version == 2
    assert again.versions("penguins") == [5, 2, 1]


def damage(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"other")


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


def test_a_canary_gets_its_share_of_the_keys(publish: Publish, decide: Decide, registry: Registry) -> None:
    """Within what chance allows of 20 000 keys: four standard deviations."""
    publish()
    decide(version=1, canary=Canary(version=2, share=0.05))
    choice = registry.choice()
    taken = sum(choice.by_key(f"user-{number}".encode()).version == 2 for number in range(20_000))

    assert abs(taken - 1000) < 4 * (20_000 * 0.05 * 0.95) ** 0.5


def test_a_larger_share_takes_more_keys_and_gives_none_back(
    publish: Publish, decide: Decide, repository: ModelRepository
) -> None:
    """The same in every process, whatever it has served before."""
    publish()
    before: set[int] = set()
    for share in (0.01, 0.05, 0.3, 0.9, 1.0):
        decide(version=1, canary=Canary(version=2, share=share))
        fresh = Registry(repository)
        fresh.refresh()
        taken = {key for key in range(500) if fresh.choice().by_key(str(key).encode()).version == 2}
        assert before <= taken
        before = taken
    assert len(before) == 500


def test_a_request_key_decides_and_without_one_the_body(
    publish: Publish, decide: Decide, client: FlaskClient, record: dict[str, object]
) -> None:
    """Also on Flask's own way; a version that is named is answered by that one."""
    publish()
    decide(version=1, canary=Canary(version=2, share=0.5))
    by_key = {key: answered_by(client, record, key=key) for key in map(str, range(20))}
    by_body = {mass: answered_by(client, record | {"body_mass_g": mass}) for mass in range(4000, 4020)}

    assert set(by_key.values()) == set(by_body.values()) == {1, 2}
    for key, version in by_key.items():
        assert answered_by(client, record | {"body_mass_g": 4100}, key=key) == version
        assert answered_by(client, record, "/v1/models/penguins/versions/1:predict", key) == 1
    for mass, version in by_body.items():
        assert answered_by(client, record | {"body_mass_g": mass}, "/v1/models/penguins:predict") == version


def test_a_canary_or_shadow_of_other_features_is_refused(
    registry: Registry,
    publish: Publish,
    decide: Decide,
    client: FlaskClient,
    record: object,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A request that is right for one must be right for the other; said once, not for every request."""
    publish(classes=["a", "b", "c"])
    for _ in range(3):
        decide(version=1, canary=Canary(version=2, share=1.0), shadow=2)
        assert answered_by(client, record) == 1

    assert registry.versions("penguins") == [2, 1]
    assert len(errors(caplog)) == 1
    assert "neither canary nor shadow" in errors(caplog)[0]


def test_whoever_asks_sees_what_each_version_is_there_for(
    repository: ModelRepository, publish: Publish, decide: Decide, client: FlaskClient
) -> None:
    """Serving, canary, shadow, loaded or refused, with the reason and without a path."""
    for _ in range(3):
        publish()
    damage(repository.root / "penguins" / str(publish()))
    decide(version=1, canary=Canary(version=2, share=0.25), shadow=3)
    shown = client.get("/v1/models/penguins").json
    read = samples(client.get("/metrics").text)

    assert shown is not None
    assert shown["version"] == 1
    assert shown["lifecycle"] == [
        {
            "version": 5,
            "state": "refused",
            "reason": "model.onnx of penguins version 5 differs from what was published; publish the model again",
        },
        {"version": 4, "state": "loaded"},
        {"version": 3, "state": "shadow"},
        {"version": 2, "state": "canary", "share": 0.25},
        {"version": 1, "state": "serving"},
    ]
    assert value(read, "versions_refused", model="penguins") == 1
    assert value(read, "model_share", model="penguins", version="1") == 0.75
    assert value(read, "model_share", model="penguins", version="2") == 0.25


def test_a_shadow_is_asked_what_the_serving_version_is_asked(
    publish: Publish, decide: Decide, client: FlaskClient, record: dict[str, object]
) -> None:
    """By every request without a version; one of the same weights differs in nothing."""
    publish()
    decide(version=2, shadow=1)
    for rows in (1, 3):
        assert client.post("/predict", json={"instances": [record] * rows}).json["model"]["version"] == 2  # type: ignore[index]
    client.post("/v1/models/penguins/versions/2:predict", json={"instance": record})
    read = samples(client.get("/metrics").text)
    deadline = monotonic() + 20
    while value(read, "shadow_requests_total") < 2 and monotonic() < deadline:
        read = samples(client.get("/metrics").text)

    assert value(read, "shadow_requests_total") == 2
    assert value(read, "shadow_rows_total") == 4
    assert value(read, "shadow_disagreements_total") == 0
    assert value(read, "shadow_difference_total") == 0
    assert value(read, "shadow_seconds_total") > 0
    assert value(read, "shadow_dropped_total") == value(read, "shadow_failed_total") == 0


def pinned(version: int, _: Serving) -> Serving:
    return Serving(version=version)


def test_swaps_while_requests_come_mix_nothing(
    repository: ModelRepository, registry: Registry, publish: Publish, record: dict[str, object]
) -> None:
    """Three hundred swaps under four threads: every answer is a 200 of a version that was loaded."""
    publish()
    registry.refresh()
    client_of = create_app(registry, LIMIT).test_client
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
    for turn in range(300):
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

    monkeypatch.setattr("service.registry.monotonic", lambda: float("inf"))
    registry.refresh()
    assert not registry._retired
