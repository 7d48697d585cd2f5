"""Batches that are answered though not all of them is as it should be: by request, and never in silence."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from service.app import create_app
from service.prediction.prediction import Bounds
from service.registry.registry import Registry
from service.settings import Settings
from service.wire.sieve import MOST_BROKEN

Record = dict[str, Any]
IGNORE = {"X-Extra": "ignore"}
LONG = 12_000  # Rows that take more than a piece of JSON.


@pytest.fixture
def client(registry: Registry) -> FlaskClient:
    return create_app(registry, Bounds(answer_bytes=1 << 30)).test_client()


def predictions(client: FlaskClient, rows: list[Any], headers: dict[str, str] | None = None, **more: Any) -> list[Any]:
    answer = client.post("/predict", json={"instances": rows, **more}, headers=headers)
    assert answer.json is not None
    assert answer.status_code == 200, answer.json
    found: list[Any] = answer.json["predictions"]
    return found


@pytest.mark.parametrize("rows", [3, LONG])
def test_extra_features_are_passed_over_on_request(client: FlaskClient, record: Record, rows: int) -> None:
    """The answer is that of the row without, and a warning counts each name where it was first."""
    plain = predictions(client, [record] * rows)
    some = [record, record | {"id": 7, "species": None}, record | {"id": 8}] + [record] * (rows - 3)
    answer = predictions(client, some, IGNORE)
    warnings = answer[1].pop("warnings")

    assert answer == plain
    assert [(one["feature"], one["code"]) for one in warnings] == [
        ("id", "extra_feature"),
        ("species", "extra_feature"),
    ]
    assert warnings[0]["message"].endswith("it was passed over in 2 rows")
    assert warnings[1]["message"].endswith("it was passed over in 1 row")


def test_one_instance_may_have_extra_features_too(client: FlaskClient, record: Record) -> None:
    """Also where it is explained."""
    odd = record | {"x": 1}
    for path in ("/predict", "/v1/models/penguins:explain"):
        body = {"instance": odd} | ({"reference": record} if "explain" in path else {})
        answer = client.post(path, json=body, headers=IGNORE)

        assert answer.status_code == 200
        assert "extra_feature" in answer.text
        assert client.post(path, json=body).status_code == 422


def test_a_missing_feature_is_missing_all_the_same(client: FlaskClient, record: Record) -> None:
    """What may be meant for it is no extra feature."""
    wrong = {("yeer" if name == "year" else name): value for name, value in record.items()}
    answer = client.post("/predict", json={"instance": wrong}, headers=IGNORE)

    assert answer.status_code == 422
    assert "did you mean 'year'?" in answer.text


def test_the_header_goes_before_the_setting(registry: Registry, record: Record) -> None:
    settings = Settings.from_environment({"EVENKEEL_EXTRA_FEATURES": "ignore"})
    lenient = create_app(registry, Bounds(ignore_extras=settings.extra_features == "ignore")).test_client()
    body = {"instance": record | {"x": 1}}

    assert lenient.post("/predict", json=body).status_code == 200
    assert lenient.post("/predict", json=body, headers={"X-Extra": "refuse"}).status_code == 422
    refused = lenient.post("/predict", json=body, headers={"X-Extra": "maybe"}).json
    assert refused is not None
    assert refused["error"] == 'the header X-Extra must be "ignore" or "refuse"'


def test_many_names_take_no_room(client: FlaskClient, record: Record) -> None:
    """Of more names than warnings are told, the answer says that there are more."""
    odd = record | {f"x{number}": 1 for number in range(1000)}
    (answer,) = predictions(client, [odd], IGNORE)

    assert len(answer["warnings"]) == 21
    assert answer["warnings"][-1]["code"] == "more_warnings"


@pytest.mark.parametrize("rows", [4, LONG])
def test_each_row_is_answered_for_itself(client: FlaskClient, record: Record, rows: int) -> None:
    """The others as if the broken ones were not there, with their own warnings; these say what they break."""
    bouvet = record | {"island": "Bouvet"}
    sound = predictions(client, [record, bouvet] + [record] * (rows - 4))
    broken: list[Any] = [record | {"year": "x"}, [1, 2]]
    answer = predictions(client, [record, broken[0], bouvet, broken[1]] + [record] * (rows - 4), on_error="null")

    assert len(answer) == rows
    assert [answer[0], answer[2], *answer[4:]] == sound
    assert answer[2]["warnings"][0]["code"] == "unseen_category"
    nothing = {"label": None, "probability": None, "probabilities": None}
    for one in (answer[1], answer[3]):
        assert one.items() >= nothing.items()
    assert answer[1]["error"].startswith("feature 'year' must be a number")
    assert answer[1]["details"][0]["rule"] == "number"
    assert "must have 7 values" in answer[3]["error"]


def test_a_batch_of_broken_rows_alone_is_answered(client: FlaskClient, record: Record) -> None:
    """No row, no run of the model, and an error each; up to a number of them."""
    bad = record | {"year": "x"}
    answer = predictions(client, [bad] * MOST_BROKEN, on_error="null")
    refused = client.post("/predict", json={"instances": [bad] * (MOST_BROKEN + 1), "on_error": "null"})

    assert {one["error"] for one in answer} == {answer[0]["error"]}
    assert refused.status_code == 422
    assert refused.json is not None
    assert f"instance {MOST_BROKEN}, feature 'year'" in refused.json["error"]
    assert f"more than {MOST_BROKEN} rows break the card" in refused.json["error"]


def test_extra_features_and_errors_go_together(client: FlaskClient, record: Record) -> None:
    rows = [record | {"year": "x"}, record | {"extra": 1}, record]
    answer = predictions(client, rows, IGNORE, on_error="null")

    assert [one["label"] for one in answer] == [None, "Gentoo", "Gentoo"]
    assert answer[1]["warnings"][0]["message"].endswith("in 1 row")


@pytest.mark.parametrize(
    "body", [{"on_error": "skip"}, {"on_error": None}, {"on_error": "null", "explain": True}, {"on_error": ["null"]}]
)
def test_another_wish_is_refused(client: FlaskClient, record: Record, body: Record) -> None:
    """In words."""
    answer = client.post("/predict", json={"instances": [record], **body})
    alone = client.post("/predict", json={"instance": record, "on_error": "null"})

    for one in (answer, alone):
        assert one.status_code == 422
        assert one.json is not None
        assert one.json["error"].startswith('"on_error" must be "refuse" or')
    assert client.post("/predict", json={"instance": record, "on_error": "refuse"}).status_code == 200
