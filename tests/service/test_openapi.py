import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from models.repository import ModelRepository
from service.app import create_app
from service.errors import REFUSALS
from service.openapi.names import Names, pascal
from service.openapi.security import secured
from service.prediction.prediction import Bounds
from service.registry.registry import Registry
from tests.service.conftest import LIMIT
from tests.service.test_explain import BACKGROUND, TYPICAL

KB = 1000


def described(client: FlaskClient) -> dict[str, Any]:
    document = client.get("/openapi.json").json
    assert isinstance(document, dict)
    return document


@pytest.fixture
def document(client: FlaskClient) -> dict[str, Any]:
    return described(client)


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def resolved(document: dict[str, Any], part: dict[str, Any]) -> Any:
    """What a reference leads to."""
    for key in part.get("$ref", "").split("/")[1:]:
        document = document[key]
    return document if "$ref" in part else part


def test_every_route_is_described_and_no_other(registry: Registry, document: dict[str, Any]) -> None:
    """Each rule of Flask's map, those that ask a model with the name of the one that is loaded."""
    app: Flask = create_app(registry, Bounds(LIMIT))
    routed = {
        (re.sub(r"<parameter:(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.endpoint not in ("static", "server_slash")
    }

    assert {(path.replace("penguins", "{model}"), method) for path, method, _ in operations(document)} == routed
    asking = {path for path, method, _ in operations(document) if "penguins" in path}
    assert asking == {
        path.replace("{model}", "penguins") for path, method in routed if re.search("predict$|explain$|infer$", path)
    } - {"/predict"}


def test_each_models_record_is_described_from_its_card(document: dict[str, Any], record: dict[str, Any]) -> None:
    """Names, kinds, what may be missing, ranges and categories of training; a request has an example."""
    schema = document["components"]["schemas"]["Penguins"]

    assert list(schema["properties"]) == schema["required"] == list(record)
    assert schema["additionalProperties"] is False
    year = {"$ref": "#/components/schemas/Number", "description": "2007 to 2009 in training"}
    assert schema["properties"]["year"] == year
    assert document["components"]["schemas"]["Number"]["maximum"] == 3.4028235677973362e38
    assert schema["properties"]["sex"] == {"type": ["string", "null"], "description": "in training: female, male"}
    asked = resolved(document, document["paths"]["/v1/models/penguins:predict"]["post"]["requestBody"])
    assert set(asked["content"]["application/json"]["example"]["instance"]) == set(record)


def test_the_examples_are_answered(client: FlaskClient, document: dict[str, Any]) -> None:
    """Each one that stands in the document, sent as it stands."""
    asked = 0
    for path, method, operation in operations(document):
        for parameter in operation.get("parameters", []):
            told = resolved(document, parameter)
            path = path.replace(f"{{{told['name']}}}", str(told.get("example")))
        if method == "post":
            body = resolved(document, operation["requestBody"])["content"]["application/json"]["example"]
            assert client.post(path, json=body).status_code == 200, path
            asked += 1
        elif not path.endswith("/report"):
            assert client.get(path).status_code == 200, path

    assert asked == 10


def test_every_refusal_is_described(document: dict[str, Any]) -> None:
    """Each status and code word stands with a route that may answer so, those for keys where keys are asked for: by
    itself, or in the range of its status.
    """
    document = secured(document)
    told = set()
    for _, _, operation in operations(document):
        for status, answer in operation["responses"].items():
            for word in resolved(document, answer)["description"].split(" or "):
                told.add((status, word) if status.isdigit() else tuple(word.split(" ")))

    assert {(str(refusal.status), refusal.code) for refusal in REFUSALS.values()} <= told


def parts(part: Any) -> Iterator[dict[str, Any]]:
    """All objects in a part of the document."""
    if isinstance(part, dict):
        yield part
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from parts(inner)


def test_nothing_that_generators_stumble_over(document: dict[str, Any]) -> None:
    """Names without dots, no `false` in the place of a schema of items, no constant but a text, a type beside each
    constant and enumeration, and an address relative to the document.
    """
    assert document["servers"] == [{"url": "."}]
    for name in document["components"]["schemas"]:
        assert re.fullmatch(r"[A-Z][A-Za-z0-9_]*", name), name
    for part in parts(document["components"]):
        assert part.get("items") is not False
        assert ("prefixItems" in part) <= ("items" in part)
        assert isinstance(part.get("const", ""), str | dict)
        assert isinstance(part.get("const", part.get("enum")), dict | type(None)) or "type" in part, part


def test_every_answer_is_described(document: dict[str, Any]) -> None:
    """Its members, whatever the protocol; what a client reads as a description of its own is just an object."""
    for path, _, operation in operations(document):
        for answer in operation["responses"].values():
            for media in resolved(document, answer).get("content", {}).values():
                assert path == "/openapi.json" or media["schema"] != {"type": "object"}, path


def test_versions_share_what_they_have_alike(registry: Registry, publish: Callable[..., int]) -> None:
    """No path is one version's own; a version that asks for other features has schemas of its own, and every reference
    leads somewhere.
    """
    paths = described(create_app(registry, Bounds(LIMIT)).test_client())["paths"]
    publish()
    registry.refresh()
    client = create_app(registry, Bounds(LIMIT)).test_client()
    both = described(client)

    assert list(both["paths"]) == list(paths)
    assert "Version 2 serves; also loaded: 1" in both["tags"][0]["description"]
    assert not [name for name in both["components"]["schemas"] if re.match("PenguinsV[0-9]", name)]
    card = registry.predictor("penguins").card
    features = tuple(one.model_copy(update={"nullable": False}) for one in card.features)
    publish(features=features, drift=None, golden=[one for one in card.golden if None not in one.instance.values()])
    registry.refresh()
    response = client.get("/openapi.json")
    document = described(client)
    asked = document["components"].get("requestBodies", {})

    assert {"Penguins", "PenguinsV2", "PenguinsV2Prediction"} <= set(document["components"]["schemas"])
    version = document["paths"]["/v1/models/penguins/versions/{version}:predict"]["post"]["requestBody"]
    assert "PenguinsV2Instance" in json.dumps(version)
    assert "PenguinsV2" not in json.dumps(document["paths"]["/v1/models/penguins:predict"]) + json.dumps(asked)
    for kind, name in re.findall(r'"\$ref":"#/components/(\w+)/([^"]+)"', response.text):
        assert name in document["components"][kind]


def test_a_version_that_explains_less_asks_for_more(registry: Registry, publish: Callable[..., int]) -> None:
    """Where an older version has no typical row, a request to any version has to give a reference; one to what serves
    need not.
    """
    publish(typical=TYPICAL, background=BACKGROUND)
    registry.refresh()
    schemas = described(create_app(registry, Bounds(LIMIT)).test_client())["components"]["schemas"]

    assert schemas["PenguinsQuestion"]["required"] == ["instance"]
    assert schemas["PenguinsVersionsQuestion"]["required"] == ["instance", "reference"]
    assert "explain" in schemas["PenguinsInstance"]["properties"]
    assert "explain" not in schemas["PenguinsVersionsInstance"]["properties"]


def test_ten_models_are_described_in_less_than_150_kb(repository: ModelRepository, publish: Callable[..., int]) -> None:
    """As they are sent, before they are compressed."""
    for number in range(2, 11):
        publish(name=f"penguins-{number}")
    registry = Registry(repository, "penguins")
    registry.refresh()
    response = create_app(registry, Bounds(LIMIT)).test_client().get("/openapi.json")

    assert len(registry.serving) == 10
    assert len(response.data) < 150 * KB


def test_no_two_schemas_have_a_name() -> None:
    """Whatever models are called: also where one's name is another's with what a schema adds, in any case."""
    names = Names(["Problem", "ModelCard"])
    given = [names.give(pascal(name)) for name in ("a-b", "a_b", "penguins", "penguins-prediction", "problem", "model")]

    assert given == ["AB", "AB_2", "Penguins", "PenguinsPrediction_2", "Problem_2", "Model"]


def test_without_a_default_model_its_routes_are_not_described(registry: Registry, publish: Callable[..., int]) -> None:
    """They would answer 404."""
    publish(name="birds")
    registry.refresh()
    document = described(create_app(registry, Bounds(LIMIT)).test_client())

    assert "/predict" not in document["paths"]
    assert "/v1/models/birds:predict" in document["paths"]


def test_a_client_that_has_the_description_gets_none(
    client: FlaskClient, registry: Registry, publish: Callable[..., int]
) -> None:
    """Until it changes; what is sent is compressed where that is accepted."""
    first = client.get("/openapi.json")
    known = {"If-None-Match": first.headers["ETag"]}
    again = client.get("/openapi.json", headers=known)
    assert (again.status_code, again.data) == (304, b"")
    packed = client.get("/openapi.json", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(packed.data) < len(first.data) / 5
    publish()
    registry.refresh()

    assert client.get("/openapi.json", headers=known).status_code == 200


def test_the_docs_page_needs_nothing_from_elsewhere(client: FlaskClient) -> None:
    """It works without the internet."""
    for name in (
        "/docs",
        *(f"/static/{one}" for one in ("docs.js", "operation.js", "schema.js", "samples.js", "page.css")),
    ):
        with client.get(name) as response:
            assert response.status_code == 200
            assert not re.search(rb"https?://", response.data)
