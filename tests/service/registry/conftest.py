"""Decisions about what serves, and what they are seen by."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from models.repository import ModelRepository
from models.serving import Serving
from service.registry.registry import Registry

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


def damage(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"other")
