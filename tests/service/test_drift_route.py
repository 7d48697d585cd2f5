"""Drift over HTTP."""

from collections.abc import Callable
from typing import Any

import pytest

from models.repository import ModelRepository
from service.app import create_app
from service.prediction.prediction import Bounds
from service.registry.registry import Registry
from tests.service.conftest import with_codes
from tests.service.test_drift import BASELINE, ENOUGH

PATH = "/v1/models/penguins/drift"


@pytest.fixture
def serving(repository: ModelRepository, publish: Callable[..., int]) -> Registry:
    """A version without a baseline, and one with, which serves."""
    publish(drift=None)
    publish(drift=BASELINE)
    registry = Registry(repository)
    registry.refresh()
    return registry


def test_it_tells_one_status_and_why(serving: Registry, record: dict[str, Any]) -> None:
    """Both distributions of each feature over both windows, the index with its band, and what training has not seen;
    the same for the version by its number.
    """
    client = create_app(serving, Bounds(1 << 20)).test_client()
    fresh = client.get(PATH).json
    odd = record | {"sex": "unheard of", "body_mass_g": 90_000}
    client.post("/predict", json={"instances": [record] * 150 + [odd] * 50})
    told = client.get(PATH).json
    assert fresh is not None
    assert told is not None

    assert (fresh["status"], fresh["features"][0]["windows"][0]["psi"]) == ("too_few_rows", None)
    assert fresh["summary"] == f"too few rows: 0 in the last day, of {ENOUGH} needed"
    assert told["model"] == {"name": "penguins", "version": 3}
    assert told["status"] == "shifted"
    assert told["summary"].startswith("shifted: ")
    assert told["summary"].endswith("; time to train again")
    assert [(one["name"], one["rows"], one["status"]) for one in told["windows"]] == [
        ("last hour", 200, "shifted"),
        ("last day", 200, "shifted"),
    ]
    mass, sex, _ = told["features"]
    assert mass["bins"] == ["≤ 3500", "3500 – 4000", "4000 – 5000", "> 5000", "missing"]
    assert mass["training"] == [0.25, 0.25, 0.25, 0.2, 0.05]
    assert mass["windows"][1]["far_outside"] == 0.25
    assert mass["windows"][0]["psi"] > mass["windows"][0]["band"] > 0
    assert sex["bins"] == ["male", "female", "other", "missing"]
    assert sex["windows"][0]["live"] == [0, 0.75, 0.25, 0] or sex["windows"][0]["live"] == [0.75, 0, 0.25, 0]
    assert (sex["windows"][0]["unseen"], sex["windows"][0]["missing"]) == (0.25, 0)
    assert sum(told["predictions"]["windows"][0]["live"]) == pytest.approx(1)
    assert client.get("/v1/models/penguins/versions/3/drift").json == told


def test_codes_that_training_has_not_seen_are_told(
    repository: ModelRepository, publish: Callable[..., int], record: dict[str, Any]
) -> None:
    """As categories are, however near to one that it has; a missing one is none of them."""
    features = with_codes(repository.card("penguins", 1), "body_mass_g", (4000, 5000, 90_000))
    publish(drift=BASELINE, features=features)
    registry = Registry(repository)
    registry.refresh()
    client = create_app(registry, Bounds(1 << 20)).test_client()
    masses = [5000, 5001, 90_000, 1e9, None]
    client.post("/predict", json={"instances": [record | {"body_mass_g": mass} for mass in masses]})
    told = client.get(PATH).json
    assert told is not None

    mass, _, year = (one["windows"][0] for one in told["features"])
    assert (mass["unseen"], mass["missing"]) == (0.4, 0.2)
    assert "far_outside" not in mass
    assert "unseen" not in year


def test_without_a_baseline_the_answer_says_so(serving: Registry) -> None:
    """And what to do."""
    response = create_app(serving, Bounds(1 << 20)).test_client().get("/v1/models/penguins/versions/2/drift")
    assert response.status_code == 404
    assert response.json is not None
    assert response.json["code"] == "drift_not_found"
    told = "version 2 of penguins was published without a drift baseline: train it again"
    assert response.json["error"] == told


def test_drift_can_be_left_off(serving: Registry, record: dict[str, Any]) -> None:
    """No row is counted, and the metrics are silent about it."""
    app = create_app(serving, Bounds(1 << 20), drift_seconds=0)
    client = app.test_client()
    client.post("/predict", json={"instances": [record] * 300})
    response = client.get(PATH)
    assert response.json is not None

    assert (response.status_code, response.json["code"]) == (404, "drift_not_found")
    assert "EVENKEEL_DRIFT_HOURS is 0" in response.json["error"]
    assert "evenkeel_drift_rows_total{" not in client.get("/metrics").text
