import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from service.app import create_app
from service.errors import REFUSALS
from service.openapi.security import secured
from service.prediction.prediction import Bounds
from service.registry.registry import Registry
from tests.service.conftest import LIMIT


@pytest.fixture
def document(client: FlaskClient) -> dict[str, Any]:
    response = client.get("/openapi.json")
    assert response.json is not None
    assert isinstance(response.json, dict)
    return response.json


def test_every_route_is_described_and_no_other(registry: Registry, document: dict[str, Any]) -> None:
    """Each rule of Flask's map, with the model that is loaded in the place of its name."""
    app: Flask = create_app(registry, Bounds(LIMIT))
    routed = {
        (rule.rule.replace("<parameter:model>", "penguins").replace("<parameter:version>", "1"), method.lower())
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.endpoint not in ("static", "server_slash")
    }
    described = {(path, method) for path, methods in document["paths"].items() for method in methods}

    assert described == routed


def test_each_models_record_is_described_from_its_card(document: dict[str, Any], record: dict[str, Any]) -> None:
    """Names, kinds, what may be missing, ranges and categories of training, and an example."""
    schema = document["components"]["schemas"]["penguins.1"]

    assert list(schema["properties"]) == schema["required"] == list(record)
    assert schema["additionalProperties"] is False
    assert schema["properties"]["year"] == {
        "type": "number",
        "minimum": -3.4028235677973362e38,
        "maximum": 3.4028235677973362e38,
        "description": "2007 to 2009 in training",
    }
    assert schema["properties"]["sex"] == {"type": ["string", "null"], "description": "in training: female, male"}
    assert set(schema["examples"][0]) == set(record)


def test_the_examples_are_answered(client: FlaskClient, document: dict[str, Any]) -> None:
    """Each one that stands in the document, sent as it stands."""
    asked = 0
    for path, methods in document["paths"].items():
        content = methods.get("post", {}).get("requestBody", {}).get("content", {})
        for example in content.get("application/json", {}).get("schema", {}).get("examples", []):
            assert client.post(path, json=example).status_code == 200, path
            asked += 1

    assert asked == 8


def test_every_refusal_is_described(document: dict[str, Any]) -> None:
    """Each status and code word stands with a route that may answer so, those for keys where keys are asked for."""
    document = secured(document)
    described = {
        (int(status), word)
        for methods in document["paths"].values()
        for operation in methods.values()
        for status, answer in operation["responses"].items()
        for word in answer["description"].split(" or ")
    }

    assert {(refusal.status, refusal.code) for refusal in REFUSALS.values()} <= described


def test_versions_and_references(registry: Registry, publish: Callable[..., int], client: FlaskClient) -> None:
    """Every loaded version has paths and a record of its own, and every reference leads somewhere."""
    publish()
    registry.refresh()
    response = client.get("/openapi.json")
    assert response.json is not None

    assert "/v1/models/penguins/versions/2:predict" in response.json["paths"]
    assert {"penguins.1", "penguins.2"} <= set(response.json["components"]["schemas"])
    for name in re.findall(r'"\$ref":"#/components/schemas/([^"]+)"', response.text):
        assert name in response.json["components"]["schemas"]


def test_without_a_default_model_its_routes_are_not_described(registry: Registry, publish: Callable[..., int]) -> None:
    """They would answer 404."""
    publish(name="birds")
    registry.refresh()
    document = create_app(registry, Bounds(LIMIT)).test_client().get("/openapi.json").json

    assert document is not None
    assert "/predict" not in document["paths"]
    assert "/v1/models/birds:predict" in document["paths"]


def test_the_docs_page_needs_nothing_from_elsewhere(client: FlaskClient) -> None:
    """It works without the internet."""
    for path in ("/docs", "/static/docs.js", "/static/page.css"):
        with client.get(path) as response:
            assert response.status_code == 200
            assert not re.search(rb"https?://", response.data)
