"""Who is asked: the canary for its share of the keys, the shadow beside whoever serves."""

from time import monotonic

import pytest
from flask.testing import FlaskClient

from models.repository import ModelRepository
from models.serving import Canary
from service.registry.registry import Registry
from tests.service.registry.conftest import Decide, Publish, answered_by, damage, errors
from tests.service.test_metrics import samples, value


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


def test_another_canary_takes_other_keys(publish: Publish, decide: Decide, repository: ModelRepository) -> None:
    """The same clients do not try out everything: of two canaries' tenths a hundredth is common, as chance has it."""
    publish()
    publish()
    taken = {}
    for version in (2, 3):
        decide(version=1, canary=Canary(version=version, share=0.1))
        fresh = Registry(repository)
        fresh.refresh()
        choice = fresh.choice()
        taken[version] = {key for key in range(5000) if choice.by_key(str(key).encode()).version == version}

    # Four standard deviations.
    assert abs(len(taken[2] & taken[3]) - 50) < 4 * 50**0.5
    assert min(map(len, taken.values())) > 400


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
