"""Documents that are the same for all clients are made once for the versions that they tell of."""

import gc
import weakref
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from models.repository import ModelRepository
from service.app import create_app
from service.openapi import schemas
from service.prediction.prediction import Bounds
from service.registry.registry import Registry
from service.routes.kept import Kept
from tests.service.conftest import LIMIT

PATHS = ("/openapi.json", "/v1/models", "/v1/models/penguins", "/v1/models/penguins/versions/1")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was made: a name for each schema of a model, and for each dump of a card."""
    found: list[str] = []

    def spied(what: object, name: str) -> None:
        original = getattr(what, name)

        def noting(*arguments: object, **named: object) -> object:
            found.append(name)
            return original(*arguments, **named)

        monkeypatch.setattr(what, name, noting)

    spied(schemas, "infer_example")
    for module in (
        "service.routes.docs.document",
        "service.routes.models.encode",
    ):
        where, _, name = module.rpartition(".")
        spied(__import__(where, fromlist=[name]), name)
    return found


@pytest.mark.parametrize("path", PATHS)
def test_a_document_is_made_once(registry: Registry, made: list[str], path: str) -> None:
    """However often it is asked for, until another version serves; then it tells of that."""
    client = create_app(registry, Bounds(LIMIT)).test_client()
    first = client.get(path)
    often = len(made)
    assert often
    assert {client.get(path).data for _ in range(5)} == {first.data}
    assert len(made) == often


@pytest.mark.parametrize("path", PATHS[:-1])
def test_a_new_version_is_told(registry: Registry, publish: Callable[..., int], client: FlaskClient, path: str) -> None:
    """By the next request, whatever was kept."""
    before = client.get(path)
    assert publish() == 2
    registry.refresh()
    after = client.get(path)

    assert before.status_code == after.status_code == 200
    assert after.data != before.data
    told = '"version":2' if "v1" in path else "Version 2 serves"
    assert told in after.text
    assert told not in before.text


def test_what_is_kept_keeps_no_version(repository: ModelRepository) -> None:
    """Once a version is unloaded it is gone, and what was made of it."""
    registry = Registry(repository)
    registry.refresh()
    predictor, kept = registry.predictor(), Kept()
    assert kept.get("name", [None, predictor], lambda: b"made") == b"made"
    assert kept.get("name", [None, predictor], lambda: b"again") == b"made"
    assert kept.get("name", [predictor, None], lambda: b"other") == b"other"
    gone = weakref.ref(predictor)
    del registry, predictor
    gc.collect()

    assert gone() is None
    assert not kept._documents
