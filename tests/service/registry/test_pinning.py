"""Which version serves: the newest, or the one that was pinned."""

import logging

import pytest
from flask.testing import FlaskClient

from models.repository import ModelRepository
from models.serving import Canary
from service.registry.registry import Registry
from tests.service.registry.conftest import Decide, Publish, answered_by, damage, errors
from tests.service.test_metrics import samples, value


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


def test_nothing_else_serves_while_a_pinned_version_is_loaded(
    registry: Registry, publish: Publish, decide: Decide, caplog: pytest.LogCaptureFixture
) -> None:
    """Who served goes on until the one that was chosen is there."""
    for _ in range(6):
        publish()
    registry.refresh()
    caplog.set_level(logging.INFO)
    decide(version=2)

    assert [entry.__dict__["serving"] for entry in caplog.records if entry.getMessage() == "model served"] == [2]


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
