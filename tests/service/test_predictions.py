import json
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from models.repository import ModelRepository
from service.app import create_app
from service.prediction.prediction import Bounds
from service.registry.registry import Registry
from tests.service.conftest import LIMIT, with_codes

Record = dict[str, Any]


def test_one_instance_is_answered(client: FlaskClient, record: Record) -> None:
    """Model and version, label, its probability, and the softmax probability of every class."""
    response = client.post("/predict", json={"instance": record})

    assert response.status_code == 200
    assert response.json is not None
    assert response.json["model"] == {"name": "penguins", "version": 1}
    prediction = response.json["prediction"]
    assert prediction["label"] == "Gentoo"
    assert list(prediction["probabilities"]) == ["Adelie", "Chinstrap", "Gentoo"]
    assert prediction["probability"] == max(prediction["probabilities"].values())
    assert sum(prediction["probabilities"].values()) == pytest.approx(1)
    assert "warnings" not in prediction


def test_golden_rows_come_out_as_published(client: FlaskClient, repository: ModelRepository) -> None:
    """Over HTTP, with missing values among them, within float32 rounding of the network that trained."""
    card = repository.card("penguins", 1)
    response = client.post("/predict", json={"instances": [row.instance for row in card.golden]})

    assert response.json is not None
    for prediction, row in zip(response.json["predictions"], card.golden, strict=True):
        assert list(prediction["probabilities"].values()) == pytest.approx(row.probabilities, abs=1e-5)


@pytest.mark.parametrize("path", ["/predict", "/v1/models/penguins:predict", "/v1/models/penguins/versions/1:predict"])
def test_every_way_to_ask_gives_the_same_answer(client: FlaskClient, record: Record, path: str) -> None:
    """By default, by name, by name and version."""
    expected = client.post("/predict", json={"instance": record}).data

    assert client.post(path, json={"instance": record}).data == expected


def test_an_answer_does_not_depend_on_the_other_instances(client: FlaskClient, record: Record) -> None:
    """A row alone and the same row among others get the same answer."""
    others = [record | {"bill_length_mm": 32 + index / 10} for index in range(12)]
    alone = client.post("/predict", json={"instance": record}).json
    among = client.post("/predict", json={"instances": [*others, record]}).json

    assert alone is not None
    assert among is not None
    assert among["predictions"][-1]["probabilities"] == pytest.approx(alone["prediction"]["probabilities"], rel=1e-6)


def test_a_missing_value_is_imputed(client: FlaskClient, record: Record) -> None:
    """Null is answered where training has seen missing values, and changes the answer."""
    full = client.post("/predict", json={"instance": record}).json
    without = client.post("/predict", json={"instance": record | {"bill_length_mm": None, "sex": None}}).json

    assert full is not None
    assert without is not None
    assert without["prediction"]["label"] == "Gentoo"
    assert without != full


def test_an_unseen_category_is_answered_with_a_warning(client: FlaskClient, record: Record) -> None:
    """Never an error, and never in silence."""
    response = client.post("/predict", json={"instance": record | {"island": "Bouvet" * 20}})

    assert response.status_code == 200
    assert response.json is not None
    (warning,) = response.json["prediction"]["warnings"]
    assert (warning["feature"], warning["code"]) == ("island", "unseen_category")
    assert "Bouvet" * 10 in warning["message"]
    assert "Bouvet" * 11 not in warning["message"]


@pytest.mark.parametrize("protocol", ["predict", "lenient", "records", "split", "inputs by name"])
def test_an_unseen_code_is_answered_with_a_warning(
    repository: ModelRepository, publish: Callable[..., int], record: Record, protocol: str
) -> None:
    """In every protocol that warns; one that training has seen is answered in silence, and a far one warned of once."""
    publish(features=with_codes(repository.card("penguins", 1), "year", (2007, 2009)))
    registry = Registry(repository)
    registry.refresh()
    client = create_app(registry, Bounds(LIMIT)).test_client()
    records = [record | {"year": year} for year in (2009, 2008, 1)]
    instances = {"instances": records}
    path, body = {
        "predict": ("/predict", instances),
        "lenient": ("/predict", {**instances, "on_error": "null"}),
        "records": ("/invocations", {"dataframe_records": records}),
        "split": (
            "/invocations",
            {"dataframe_split": {"columns": list(record), "data": [list(one.values()) for one in records]}},
        ),
        "inputs by name": ("/invocations", {"inputs": {name: [one[name] for one in records] for name in record}}),
    }[protocol]
    response = client.post(path, json=body)

    assert response.json is not None, response.text
    first, *others = response.json["predictions"]
    assert "warnings" not in first
    counts_as = "it counts as none of the known categories"
    assert [one["warnings"] for one in others] == [
        [{"feature": "year", "code": "unseen_category", "message": f"training has not seen {year}; {counts_as}"}]
        for year in (2008, 1)
    ]


REFUSED = {
    "missing feature": (lambda r: r.pop("sex"), "feature 'sex' is missing; send null if it is not known", "required"),
    "missing feature that must be there": (lambda r: r.pop("year"), "feature 'year' is missing", "required"),
    "unknown feature": (lambda r: r.update(wingspan=1), "feature 'wingspan' is not a feature of this model", "unknown"),
    "misspelt feature": (lambda r: r.update(bil_length_mm=1), "did you mean 'bill_length_mm'?", "unknown"),
    "text for a number": (lambda r: r.update(year="2007"), "feature 'year' must be a number", "number"),
    "truth for a number": (lambda r: r.update(body_mass_g=True), "must be a number or null", "number"),
    "number for a text": (lambda r: r.update(island=3), "feature 'island' must be a text", "text"),
    "list for a text": (lambda r: r.update(island=["Dream"]), "feature 'island' must be a text", "text"),
    "null for a number that is always there": (
        lambda r: r.update(year=None),
        "feature 'year' must be a number",
        "number",
    ),
    "a huge integer": (lambda r: r.update(year=10**300), "feature 'year' must fit in a 32-bit float", "range"),
    "too large a number": (lambda r: r.update(year=1e39), "feature 'year' must fit in a 32-bit float", "range"),
}


@pytest.mark.parametrize(("spoil", "sentence", "rule"), REFUSED.values(), ids=REFUSED.keys())
def test_a_record_that_breaks_the_card_is_refused(
    client: FlaskClient, record: Record, spoil: Any, sentence: str, rule: str
) -> None:
    """With 422, a sentence that names feature and rule, and the same for a program."""
    spoil(record)
    response = client.post("/predict", json={"instance": record})

    assert response.status_code == 422
    assert response.json is not None
    assert response.json["code"] == "invalid_record"
    assert sentence in response.json["error"]
    assert response.json["details"][0]["rule"] == rule


def test_the_instance_is_named_where_there_are_several(client: FlaskClient, record: Record) -> None:
    """By its position, counted from 0 as JSON does."""
    response = client.post("/predict", json={"instances": [record, record | {"sex": 1}]})

    assert response.status_code == 422
    assert response.json is not None
    assert response.json["error"].startswith("instance 1, feature 'sex' must be a text or null")
    assert response.json["details"] == [
        {"instance": 1, "feature": "sex", "rule": "text", "message": "must be a text or null"}
    ]


def test_a_refusal_stays_short(client: FlaskClient) -> None:
    """Hundreds of unknown features, or one with a huge name, make no huge answer."""
    many = client.post("/predict", json={"instance": {f"f{index}": 0 for index in range(300)}})
    long = client.post("/predict", json={"instance": {"x" * 3000: 0}})

    assert many.json is not None
    assert len(many.json["details"]) == 20
    assert "and 306 more" in many.json["error"]
    assert len(many.data) < 8192
    assert len(long.data) < 8192
    assert "x" * 65 not in long.text


@pytest.mark.parametrize(
    "body",
    ["{}", "[]", "1", "null", '"x"', '{"instances": []}', '{"instances": {}}', '{"rows": [{}]}'],
)
def test_a_body_of_another_shape_is_refused(client: FlaskClient, body: str) -> None:
    """With 422 and the shape that is read."""
    response = client.post("/predict", data=body, content_type="application/json")

    assert response.status_code == 422
    assert response.json is not None
    assert '"instance' in response.json["error"]


def test_instance_and_instances_together_are_refused(client: FlaskClient, record: Record) -> None:
    """There would be two answers."""
    response = client.post("/predict", json={"instance": record, "instances": [record]})

    assert response.status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": NaN}x',
        b"\xff\xfe{",
        b"\xef\xbb\xbf{}",
        b'{"a": "\\ud800"}',
        b"{} {}",
        b'{"instance": 1e999}',
        b"1" + b"0" * 400,
        b"[" * 4000,
    ],
)
def test_what_is_not_json_is_refused(client: FlaskClient, body: bytes) -> None:
    """With 400, before anything is made of it."""
    response = client.post("/predict", data=body, content_type="application/json")

    assert response.status_code == 400
    assert response.json is not None
    assert response.json["code"] == "malformed_json"


def test_the_models_are_listed(client: FlaskClient) -> None:
    """Name, version, state, classes, and the features with their values."""
    response = client.get("/v1/models")

    assert response.json is not None
    (model,) = response.json["models"]
    assert (model["name"], model["version"], model["state"]) == ("penguins", 1, "ready")
    assert model["classes"] == ["Adelie", "Chinstrap", "Gentoo"]
    assert model["features"][0] == {
        "name": "island",
        "kind": "categorical",
        "nullable": False,
        "seen_missing": True,
        "reading": {},
        "categories": ["Biscoe", "Dream", "Torgersen"],
    }


def test_one_model_shows_its_card(client: FlaskClient, repository: ModelRepository) -> None:
    """As it stands on disk, but for the hashes of its training rows, by which rows could be tried."""
    response = client.get("/v1/models/penguins")
    card = json.loads(repository.card("penguins", 1).to_json())

    assert response.json is not None
    del card["learned_rows"]
    assert response.json["card"] == card


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/unknown:predict",
        "/v1/models/penguins/versions/2:predict",
        "/v1/models/penguins/versions/01:predict",
        "/v1/models/..%2fpenguins:predict",
    ],
)
def test_an_unknown_model_or_version_is_404(client: FlaskClient, record: Record, path: str) -> None:
    """The same answer for each, without a path in it."""
    response = client.post(path, json={"instance": record})

    assert response.status_code == 404
    assert response.json is not None
    assert response.json["code"] in ("model_not_found", "not_found")
    assert "/tmp" not in response.text
