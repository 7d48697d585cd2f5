"""Explanations over HTTP, of the published model, which gets a typical row and background rows here."""

import json
import tracemalloc
from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest
from flask.testing import FlaskClient

from models.repository import ModelRepository
from models.serving import Canary, Serving
from service.app import create_app
from service.document import encode
from service.prediction import explain, shapley
from service.prediction.prediction import UNBOUNDED, Bounds
from service.prediction.protocol import Allowance
from service.registry.registry import Registry
from service.wire.reasons import MOST_ROWS, FewRows
from tests.service.conftest import NUMBERS
from tests.service.test_drift import BASELINE
from tests.service.test_metrics import samples, value

LIMIT = 1 << 20
TYPICAL = {
    "island": "Dream",
    "bill_length_mm": 44.4,
    "bill_depth_mm": 17.3,
    "flipper_length_mm": 197.0,
    "body_mass_g": 4050.0,
    "sex": "male",
    "year": 2008.0,
}
BACKGROUND = (
    TYPICAL | {"island": "Biscoe", "bill_length_mm": 39.0, "sex": None},
    TYPICAL | {"bill_depth_mm": None, "body_mass_g": 3300.0},
    TYPICAL | {"year": 2009.0, "flipper_length_mm": 181.0},
)
EXPLAIN = "/v1/models/penguins/versions/2:explain"
PREDICT = "/v1/models/penguins/versions/2:predict"
# Of probabilities that were 32-bit floats.
TOLERANCE = 1e-6


@pytest.fixture
def client(registry: Registry, publish: Callable[..., int]) -> FlaskClient:
    """Version 1 was published before there were typical rows, version 2 has some."""
    publish(typical=TYPICAL, background=BACKGROUND, drift=BASELINE)
    registry.refresh()
    return create_app(registry, Bounds(LIMIT, run_seconds=60.0)).test_client()


def answered(client: FlaskClient, path: str, body: Any) -> Any:
    response = client.post(path, json=body)
    assert response.status_code == 200, response.text
    return response.json


def refused(client: FlaskClient, path: str, body: Any, status: int = 422) -> Any:
    response = client.post(path, json=body)
    assert response.status_code == status, response.text
    return response.json


def by_definition(
    client: FlaskClient, record: dict[str, Any], reference: dict[str, Any], label: str
) -> dict[str, float]:
    """What each feature adds to those before it, averaged over every order, of the service's own predictions."""
    names = list(record)
    mixed = [
        {name: (record if key >> bit & 1 else reference)[name] for bit, name in enumerate(names)}
        for key in range(1 << len(names))
    ]
    predictions = answered(client, PREDICT, {"instances": mixed})["predictions"]
    outcomes = [one["probabilities"][label] for one in predictions]
    added = dict.fromkeys(names, 0.0)
    orders = list(permutations(range(len(names))))
    for order in orders:
        key = 0
        for bit in order:
            added[names[bit]] += outcomes[key | 1 << bit] - outcomes[key]
            key |= 1 << bit
    return {name: total / len(orders) for name, total in added.items()}


def total(explanation: dict[str, Any]) -> float:
    return float(explanation["reference_probability"] + sum(explanation["values"].values()))


def test_values_are_those_of_the_definition(client: FlaskClient, record: dict[str, Any]) -> None:
    """Over all 5040 orders of seven features, from predictions for records that were mixed by name."""
    answer = answered(client, EXPLAIN, {"instance": record})
    explanation = answer["explanation"]
    prediction = answered(client, PREDICT, {"instance": record})

    assert answer["model"] == prediction["model"]
    assert {name: explanation[name] for name in ("label", "probability")} == {
        name: prediction["prediction"][name] for name in ("label", "probability")
    }
    assert (explanation["reference"], explanation["method"]) == ("typical", "exact")
    assert explanation["values"] == pytest.approx(by_definition(client, record, TYPICAL, "Gentoo"), abs=TOLERANCE)
    assert total(explanation) == pytest.approx(explanation["probability"], abs=TOLERANCE)
    assert "standard_errors" not in explanation


def test_the_values_of_several_references_are_the_means(client: FlaskClient, record: dict[str, Any]) -> None:
    """Of those against each; so is the probability."""
    several = answered(client, EXPLAIN, {"instance": record, "reference": "background"})["explanation"]
    alone = [answered(client, EXPLAIN, {"instance": record, "reference": one})["explanation"] for one in BACKGROUND]
    means = {name: sum(one["values"][name] for one in alone) / len(alone) for name in record}

    assert [one["reference"] for one in (several, *alone)] == ["background", *["given"] * 3]
    assert several["values"] == pytest.approx(means, abs=TOLERANCE)
    assert several["reference_probability"] == pytest.approx(
        sum(one["reference_probability"] for one in alone) / 3, abs=TOLERANCE
    )
    assert total(several) == pytest.approx(several["probability"], abs=TOLERANCE)


def test_sampled_values_are_near_the_exact_ones(
    client: FlaskClient, record: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within four of the standard errors that come with them; the sum is as exact, and the same comes out again."""
    asked = {"instance": record}
    exact = answered(client, EXPLAIN, asked)["explanation"]
    monkeypatch.setattr(shapley, "MOST_EXACT", 2)
    first, again = (answered(client, EXPLAIN, asked)["explanation"] for _ in range(2))

    assert first == again
    assert first["method"] == "permutations"
    assert 0 < max(first["standard_errors"].values()) <= explain.ENOUGH_ERROR
    for name, error in first["standard_errors"].items():
        assert abs(first["values"][name] - exact["values"][name]) <= 4 * error + TOLERANCE
    assert total(first) == pytest.approx(first["probability"], abs=TOLERANCE)


def test_a_value_as_in_the_reference_adds_exactly_nothing(client: FlaskClient, record: dict[str, Any]) -> None:
    """Also one that is missing in both; of a row that is the reference, none adds anything."""
    reference = TYPICAL | {"sex": None, "year": record["year"]}
    values = answered(client, EXPLAIN, {"instance": record | {"sex": None}, "reference": reference})["explanation"]
    same = answered(client, EXPLAIN, {"instance": record, "reference": list(record.values())})["explanation"]

    assert (values["values"]["sex"], values["values"]["year"]) == (0, 0)
    assert values["values"]["bill_length_mm"] != 0
    assert set(same["values"].values()) == {0}
    assert same["reference_probability"] == same["probability"]


def test_predictions_carry_explanations_where_they_are_asked_for(client: FlaskClient, record: dict[str, Any]) -> None:
    """The prediction as without, and the explanation as by itself."""
    rows = [record, list(TYPICAL.values()), record | {"island": "Bouvet", "year": 1900}]
    plain = answered(client, PREDICT, {"instances": rows})
    explained = answered(client, PREDICT, {"instances": rows, "explain": True})
    alone = answered(client, EXPLAIN, {"instances": rows})["explanations"]
    one = answered(client, PREDICT, {"instance": record, "explain": True})

    assert answered(client, PREDICT, {"instances": rows, "explain": False}) == plain
    for prediction, expected, without in zip(explained["predictions"], alone, plain["predictions"], strict=True):
        explanation = prediction.pop("explanation")
        assert prediction == without
        assert explanation == {name: part for name, part in expected.items() if name != "warnings"}
        assert expected.get("warnings") == without.get("warnings")
    assert [bool(expected.get("warnings")) for expected in alone] == [False, False, True]
    assert one["prediction"] == plain["predictions"][0] | {"explanation": alone[0]}


def test_the_class_that_is_explained_is_the_label(registry: Registry, repository: ModelRepository) -> None:
    """Of a model with a threshold the less probable one of two, where the threshold says so."""
    model = ModelRepository(NUMBERS).read("plain", 1)
    rare, *others = model.card.classes
    typical = {"bill_length_mm": 40.0, "body_mass_g": 3700.0}
    two = model.card.model_copy(update={"typical": typical})
    repository.publish(two, {"model.onnx": model.onnx})
    registry.refresh()
    client = create_app(registry, Bounds(LIMIT)).test_client()
    predictor = registry.choice("plain").predictor
    # The decision alone: a threshold is for two classes, and this model has three.
    predictor.decide = lambda probabilities: [0] * len(probabilities)
    row = {"bill_length_mm": 45.0, "body_mass_g": 4500.0}
    explanation = answered(client, "/v1/models/plain:explain", {"instance": row})["explanation"]
    probabilities = answered(client, "/v1/models/plain:predict", {"instance": row})["prediction"]["probabilities"]

    assert probabilities[rare] < max(probabilities[other] for other in others)
    assert (explanation["label"], explanation["probability"]) == (rare, probabilities[rare])
    assert total(explanation) == pytest.approx(probabilities[rare], abs=TOLERANCE)


@pytest.mark.parametrize(
    ("path", "more", "sentence"),
    [
        (PREDICT, {"explain": 1}, '"explain" must be true or false'),
        (PREDICT, {"explain": "true"}, '"explain" must be true or false'),
        (PREDICT, {"explain": None}, '"explain" must be true or false'),
        (PREDICT, {"reference": "typical"}, "the request has 'reference', which is not known; it must be"),
        (EXPLAIN, {"explain": True}, "the request has 'explain', which is not known; it must be"),
        (EXPLAIN, {"reference": "median"}, 'the "reference" must be "typical", "background", or a row'),
        (EXPLAIN, {"reference": None}, 'the "reference" must be "typical", "background", or a row'),
        (EXPLAIN, {"reference": True}, 'the "reference" must be "typical", "background", or a row'),
        (EXPLAIN, {"reference": {}}, "in the reference, feature 'island' is missing"),
        (EXPLAIN, {"reference": [1]}, "in the reference, the instance must have 7 values"),
        (EXPLAIN, {"reference": TYPICAL | {"year": "2008"}}, "in the reference, feature 'year' must be a number"),
        ("/v1/models/penguins/versions/1:explain", {}, "the card of this model has no typical row"),
        ("/v1/models/penguins/versions/1:predict", {"explain": True}, "the card of this model has no typical row"),
        ("/v1/models/penguins/versions/1:explain", {"reference": "background"}, "train it with --background"),
    ],
)
def test_what_cannot_be_explained_is_refused(
    client: FlaskClient, record: dict[str, Any], path: str, more: dict[str, Any], sentence: str
) -> None:
    """422, the rule, and the way out."""
    refusal = refused(client, path, {"instance": record} | more)

    assert sentence in refusal["error"]
    assert refusal["code"] == "invalid_record"
    assert refusal["details"]


def test_a_model_of_before_is_explained_against_a_given_row(client: FlaskClient, record: dict[str, Any]) -> None:
    """Its card has no typical row."""
    asked = {"instance": record, "reference": TYPICAL}
    answer = answered(client, "/v1/models/penguins/versions/1:explain", asked)

    assert answer["explanation"]["reference"] == "given"


@pytest.mark.parametrize("path", [EXPLAIN, PREDICT])
def test_no_more_than_some_rows_are_explained(client: FlaskClient, record: dict[str, Any], path: str) -> None:
    """All that may be are; one more is refused, also where a row breaks the card."""
    more = {"explain": True} if path == PREDICT else {}
    rows = [list(record.values())] * MOST_ROWS
    answer = answered(client, path, {"instances": rows, **more})
    refusal = refused(client, path, {"instances": [*rows, "row"], **more})

    assert len(answer["explanations" if path == EXPLAIN else "predictions"]) == MOST_ROWS
    assert refusal["error"] == f"at most {MOST_ROWS} rows are explained at once; send them in several requests"


def test_what_takes_too_much_work_is_refused(
    client: FlaskClient, record: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before any of it is done, and with how many rows would do; what can be sampled less is."""
    rows = [list(record.values())] * 10
    width = explain.LEAST_WIDTH
    monkeypatch.setattr(Allowance.__new__, "__defaults__", (5.0, 4 * 128 * width))
    monkeypatch.setattr(explain.Explainer, "explain", lambda *_: pytest.fail("it was begun"))
    refusal = refused(client, EXPLAIN, {"instances": rows}, 413)

    assert refusal["code"] == "too_many_rows"
    assert "takes 2.5 times the work" in refusal["error"]
    assert "send at most 4 at once" in refusal["error"]


def test_sampling_keeps_to_the_work_that_is_allowed(
    registry: Registry, publish: Callable[..., int], record: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With larger errors, which are told."""
    publish(typical=TYPICAL)
    registry.refresh()
    predictor = registry.choice("penguins", "2").predictor
    rows = predictor.rows.read([record] * 4).tensors
    reference = explain.Reference("typical", predictor.references["typical"])
    monkeypatch.setattr(shapley, "MOST_EXACT", 2)
    errors = {}
    for share in (1.0, 0.2):
        most = share * 4 * 126 * explain.LEAST_WIDTH
        explainer = explain.Explainer(predictor, rows, reference, most)
        (first, *_) = explainer.explain(predictor.predict(rows))
        assert explainer.work <= most
        assert first.errors is not None
        errors[share] = first.errors.max()

    assert errors[0.2] > errors[1.0]


def test_a_run_that_takes_too_long_is_ended(
    registry: Registry, publish: Callable[..., int], record: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """504, with the seconds of the whole and not those that were left."""
    publish(typical=TYPICAL)
    registry.refresh()
    client = create_app(registry, Bounds(LIMIT, run_seconds=0.3)).test_client()
    monkeypatch.setattr(shapley, "MOST_EXACT", 2)
    monkeypatch.setattr(explain, "ENOUGH_ERROR", 0.0)
    monkeypatch.setattr(explain, "MOST_PAIRS", 1 << 30)
    monkeypatch.setattr(shapley, "MOST_NUMBERED", 2)
    monkeypatch.setattr(explain, "coalitions", lambda *_: 1)
    refusal = refused(client, EXPLAIN, {"instance": record}, 504)

    assert refusal["error"].startswith("to explain this took longer than 0.3 seconds; send fewer rows at once")


def test_rows_count_for_drift_once(client: FlaskClient, record: dict[str, Any]) -> None:
    """Where they are predicted, explained or not; who asks for reasons alone asks about an answer of before."""

    def counted() -> float:
        metrics = samples(client.get("/metrics").text)
        return value(metrics, "drift_rows_total", model="penguins", version="2")

    before = counted()
    answered(client, PREDICT, {"instances": [record, record], "explain": True})
    assert counted() == before + 2
    answered(client, EXPLAIN, {"instances": [record, record]})
    assert counted() == before + 2
    metrics = samples(client.get("/metrics").text)
    assert value(metrics, "requests_total", route="explain", code="ok") == 1
    assert value(metrics, "rows_total", route="explain") == 2


def test_the_canary_explains_what_it_would_answer(
    registry: Registry, repository: ModelRepository, publish: Callable[..., int], record: dict[str, Any]
) -> None:
    """The version by the request's key, as of predictions."""
    publish(typical=TYPICAL)
    repository.change_serving("penguins", lambda _: Serving(version=1, canary=Canary(version=2, share=0.5)))
    registry.refresh()
    client = create_app(registry, Bounds(LIMIT)).test_client()
    versions = set()
    for key in range(20):
        headers = {"X-Request-Key": str(key)}
        asked = {"instance": record}
        predicted = client.post("/predict", json=asked, headers=headers)
        explained = client.post("/v1/models/penguins:explain", json=asked | {"reference": TYPICAL}, headers=headers)
        assert predicted.json is not None
        assert explained.json is not None
        assert explained.json["model"] == predicted.json["model"]
        versions.add(explained.json["model"]["version"])

    assert versions == {1, 2}


def test_the_longest_answer_is_as_long_as_was_reckoned(client: FlaskClient, record: dict[str, Any]) -> None:
    """At most; and a limit that it would break refuses it before the model is asked."""
    registry = client.application.wsgi_app.predictions._models  # type: ignore[attr-defined]
    predictor = registry.choice("penguins", "2").predictor
    capacity = FewRows(predictor, b"", Allowance(100, 1 << 20, UNBOUNDED))
    explained = client.post(PREDICT, json={"instance": record, "explain": True})

    assert len(encode(explained.json["prediction"])) < capacity._longest  # type: ignore[index]
    short = create_app(registry, Bounds(LIMIT, answer_bytes=capacity._longest - 1)).test_client()
    assert refused(short, PREDICT, {"instance": record, "explain": True}, 413)["code"] == "too_many_rows"
    assert answered(short, PREDICT, {"instance": record})


def test_memory_does_not_grow_with_the_coalitions(
    client: FlaskClient, record: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the largest request, exact or sampled: a few megabytes beside the model's own."""
    body = json.dumps({"instances": [record] * MOST_ROWS, "reference": "background"})
    client.post(EXPLAIN, data=body, content_type="application/json")
    for most in (12, 2):
        monkeypatch.setattr(shapley, "MOST_EXACT", most)
        monkeypatch.setattr(explain, "MOST_PAIRS", 96)
        tracemalloc.start()
        try:
            assert client.post(EXPLAIN, data=body, content_type="application/json").status_code == 200
            assert tracemalloc.get_traced_memory()[1] < 8 << 20
        finally:
            tracemalloc.stop()
