"""Labels for answers: what is taken, which figures they make, and in how much memory."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from models.performance import measured
from models.repository import ModelRepository
from service.access import Access
from service.app import create_app
from service.errors import InvalidRecord
from service.prediction.prediction import Bounds
from service.registry.registry import Registry
from service.telemetry.answers import key_of
from service.telemetry.board import Board, Metrics
from service.telemetry.drift import Watch
from service.wire import feedback as wire
from tests.service.test_drift import card, rows
from tests.service.test_metrics import samples, value

CLASSES = ("Adelie", "Chinstrap", "Gentoo")
FEEDBACK, PERFORMANCE = "/v1/feedback", "/v1/models/penguins/performance"
NOTHING = {"counted": 0, "corrected": 0, "repeated": 0, "unknown": 0, "unknown_ids": []}


@pytest.fixture
def client(registry: Registry) -> FlaskClient:
    return create_app(registry, Bounds(1 << 20)).test_client()


def ask(client: FlaskClient, instances: list[Any], **more: Any) -> tuple[str, list[dict[str, Any]]]:
    """The id of a request, and what it was answered."""
    response = client.post("/predict", json={"instances": instances, **more})
    assert response.json is not None
    return response.headers["X-Request-Id"], response.json["predictions"]


def tell(client: FlaskClient, *labelled: dict[str, Any]) -> dict[str, Any]:
    response = client.post(FEEDBACK, json={"feedback": list(labelled)} if len(labelled) > 1 else labelled[0])
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.get_json()
    return found


def golden() -> list[dict[str, Any]]:
    return [dict(row.instance) for row in card().golden]


def test_a_label_counts_once(client: FlaskClient) -> None:
    """Told again it changes nothing, another one takes its place; an id that nobody knows is said."""
    request_id, predictions = ask(client, golden())
    label = predictions[0]["label"]
    other = next(name for name in CLASSES if name != label)
    one = {"id": request_id, "label": label}

    assert tell(client, one) == NOTHING | {"counted": 1}
    assert tell(client, one) == NOTHING | {"repeated": 1}
    assert tell(client, one | {"label": other}) == NOTHING | {"corrected": 1}
    assert tell(client, one | {"label": label}, one | {"label": label}) == NOTHING | {"corrected": 1, "repeated": 1}
    unknown = NOTHING | {"unknown": 1}
    assert tell(client, one | {"id": "nobody's"}) == unknown | {"unknown_ids": [{"id": "nobody's", "index": 0}]}
    assert tell(client, one | {"index": 99}) == unknown | {"unknown_ids": [{"id": request_id, "index": 99}]}
    assert tell(client, one | {"model": "other"})["unknown"] == 1
    assert tell(client, one | {"index": 1, "model": "penguins"})["counted"] == 1
    live = client.get(PERFORMANCE).get_json()["windows"][0]["live"]
    assert live["rows"] == 2
    read = samples(client.get("/metrics").text)
    assert [value(read, "feedback_labels_total", result=result) for result in ("counted", "corrected", "unknown")] == [
        2,
        2,
        3,
    ]


@pytest.mark.parametrize(
    ("path", "body"), [("/predict", {"instance": golden()[0]}), ("/v2/models/penguins/infer", None)]
)
def test_what_is_only_tried_is_no_traffic(client: FlaskClient, path: str, body: object) -> None:
    """It is answered as always, and neither drift, expected accuracy nor feedback is told; the header has one value."""
    record = golden()[0]
    tensors = [
        {"name": name, "shape": [1], "datatype": "BYTES" if isinstance(value, str) else "FP64", "data": [value]}
        for name, value in record.items()
    ]
    body = body or {"inputs": tensors}
    counted, tried, _ = (
        client.post(path, json=body, headers=headers) for headers in ({}, {"X-Count": "no"}, {"X-Request-Id": "b"})
    )
    refused = client.post(path, json=body, headers={"X-Count": "yes"})
    sums = client.get(PERFORMANCE).get_json()["windows"][0]["expected"]

    assert counted.get_data() == tried.get_data()
    assert sums["rows"] == 2
    told = [{"id": one.headers["X-Request-Id"], "label": CLASSES[0]} for one in (counted, tried)]
    assert [tell(client, one)["counted"] for one in told] == [1, 0]
    assert refused.status_code == 400
    assert 'X-Count must be "no"' in refused.get_json()["error"]


@pytest.mark.parametrize(
    ("classes", "label", "meant"),
    [
        (("0", "1"), 1, "1"),
        (("0", "1"), 1.0, "1"),
        (("0.0", "1.0"), 1, "1.0"),
        (("-0.0", "0.0"), -0.0, "-0.0"),
        (("1", "1.0"), 1, "1"),
        (("1.00", "1.0", "2"), 1, None),
        (("0", "1"), "1.0", None),
        (("0", "1"), True, None),
        (("false", "true"), True, "true"),
        (("False", "True"), True, "True"),
        (("True", "true"), True, "true"),
        (("False", "True"), "true", None),
    ],
)
def test_a_number_or_truth_names_the_class_that_is_written_so(
    classes: tuple[str, ...], label: Any, meant: str | None
) -> None:
    """However it is written: pandas makes 1.0 of 1 where other rows are empty, and True of true."""
    watch = Watch(card().model_copy(update={"classes": classes}), 1)
    found = wire.Classes(wire.read({"id": "a", "label": label}), [watch])
    if meant is None:
        with pytest.raises(InvalidRecord, match="is no class of penguins"):
            found.of(0, watch.owner)
    else:
        assert found.of(0, watch.owner) == classes.index(meant)
        assert (found.models, found.names) == (["penguins"], [meant])


@pytest.mark.parametrize(("label", "merged", "plain"), [("Adelie", 0, 0), (" adelie ", 0, None), ("adeli", None, None)])
def test_where_training_merged_spellings_labels_are_merged(label: str, merged: int | None, plain: int | None) -> None:
    """As `evaluate` reads the target of a table; of any other model a label is the class to the letter."""
    for schema, place in (({"merge_spellings": True}, merged), ({}, plain)):
        provenance = card().provenance.model_copy(update={"table_schema": schema})
        watch = Watch(card().model_copy(update={"provenance": provenance}), 1)
        found = wire.Classes(wire.read({"id": "a", "label": label}), [watch])
        if place is None:
            with pytest.raises(InvalidRecord, match="is no class of penguins"):
                found.of(0, watch.owner)
        else:
            assert found.of(0, watch.owner) == place


def test_the_figures_are_those_of_the_labelled_rows(client: FlaskClient) -> None:
    """Reckoned anew from the answers as they were sent, and the labels: accuracy, log-loss, what was promised,
    calibration error and confusion; expected figures of all rows, labelled or not.
    """
    rng = np.random.default_rng(1)
    told, said = [], []
    for _ in range(12):
        request_id, predictions = ask(client, golden())
        said += predictions
        told += [
            {"id": request_id, "index": place, "label": str(rng.choice(CLASSES))}
            for place in range(len(predictions) - 2)
        ]
    assert tell(client, *told)["counted"] == len(told)
    document = client.get(PERFORMANCE).get_json()
    everything = np.array([[one["probabilities"][name] for name in CLASSES] for one in said])
    some = everything.reshape(12, -1, 3)[:, :-2].reshape(-1, 3)
    labels = np.array([CLASSES.index(one["label"]) for one in told])
    answered, best = some.argmax(axis=1), some.max(axis=1)
    right = answered == labels
    places = np.minimum((best * 15).astype(int), 14)

    window = document["windows"][1]
    close = partial(pytest.approx, abs=2e-6)
    assert window["live"]["rows"] == window["promised"]["rows"] == len(told)
    assert window["live"]["accuracy"] == close(right.mean())
    assert window["live"]["log_loss"] == close(-np.log(some[range(len(some)), labels]).mean(), rel=1e-5)
    assert window["live"]["calibration_error"] == close(np.abs(np.bincount(places, best - right)).sum() / len(some))
    assert window["promised"]["accuracy"] == close(best.mean())
    assert window["promised"]["log_loss"] == close(-(some * np.log(some)).sum(axis=1).mean())
    confusion = np.zeros((3, 3), int)
    np.add.at(confusion, (labels, answered), 1)
    assert window["confusion"] == {"labels": list(CLASSES), "others": 0, "counts": confusion.tolist()}
    assert sum(one["rows"] for one in window["calibration"]) == len(told)
    of_all, half = everything.max(axis=1), 1.959964 * everything.max(axis=1).std(ddof=1) / len(everything) ** 0.5
    assert window["expected"]["rows"] == len(everything)
    assert window["expected"]["accuracy"] == close(of_all.mean())
    assert window["expected"]["accuracy_interval"] == close([of_all.mean() - half, min(of_all.mean() + half, 1)])
    assert window["expected"]["log_loss"] == close(-(everything * np.log(everything)).sum(axis=1).mean())
    known = measured(card())
    assert known is not None
    assert document["test"]["accuracy"] == known.accuracy
    assert (document["status"], window["status"]) == ("worse", "worse")
    assert document["summary"].startswith("worse than expected: ")
    assert "the rule has changed: train again on labelled rows" in document["summary"]
    assert client.get("/v1/models/penguins/versions/1/performance").get_json() == document
    read = samples(client.get("/metrics").text)
    named = {"model": "penguins", "version": "1", "hours": "24"}
    assert value(read, "performance_status", **named) == 1
    for name, figure in (
        ("expected_accuracy", window["expected"]["accuracy"]),
        ("expected_log_loss", window["expected"]["log_loss"]),
        ("live_accuracy", window["live"]["accuracy"]),
        ("live_log_loss", window["live"]["log_loss"]),
        ("live_calibration_error", window["live"]["calibration_error"]),
        ("live_labels", len(told)),
    ):
        assert value(read, name, **named) == pytest.approx(figure, rel=1e-5)


def test_right_labels_are_as_expected(client: FlaskClient) -> None:
    """Before there are enough, they are too few; without any, the test figures and the expected ones stand alone."""
    fresh = client.get(PERFORMANCE).get_json()
    request_id, predictions = ask(client, golden() * 8)
    told = [{"id": request_id, "index": at, "label": one["label"]} for at, one in enumerate(predictions)]
    tell(client, *told[:29])
    few = client.get(PERFORMANCE).get_json()
    tell(client, *told)
    document = client.get(PERFORMANCE).get_json()

    assert fresh["summary"] == "too few labels: 0 in the last day, of 30 needed"
    assert fresh["windows"][0]["expected"]["accuracy"] is fresh["windows"][0]["live"]["accuracy"] is None
    assert few["summary"] == "too few labels: 29 in the last day, of 31 needed"
    assert document["status"] == "as_expected"
    assert document["summary"].startswith("as expected: 100.0% of 72 labelled answers of the last day are right, and ")


def test_of_a_threshold_the_decision_counts() -> None:
    """What is expected is the probability of the class that the answer names, which need not be the likelier one."""
    classes = ("a", "b")
    watch = Watch(
        card().model_copy(update={"classes": classes}),
        1,
        lambda probabilities: np.where(probabilities[:, 1] >= 0.1, 1, 0).tolist(),
    )
    metrics = Metrics(Board.create())
    probabilities = np.array([[0.8, 0.2], [0.95, 0.05]] * 20, np.float32)
    tensors, _ = rows(40)
    metrics.drift.count(watch, tensors, probabilities)
    metrics.feedback.remember(watch, "x", probabilities)
    metrics.feedback.take([key_of("x", place) for place in range(40)], lambda at, _: at % 4 == 0)
    expected = metrics.drift.spreads([watch])[0].windows[0].expected
    live = metrics.feedback.live([watch])[0][0]

    assert expected is not None
    assert expected.accuracy.value == pytest.approx((0.2 + 0.95) / 2)
    assert live.verdict.expected == pytest.approx((0.2 + 0.95) / 2)
    assert live.verdict.accuracy == 0.75
    assert live.confused.counts == [[20, 10], [0, 10]]


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ("Dodo", "label 'Dodo' is no class of penguins: its classes are 'Adelie', 'Chinstrap', 'Gentoo'; no label was"),
        (1, "label '1' is no class of penguins"),
        (None, 'feedback 1 must be {"id": X-Request-Id of the answer, "label": name of a class}'),
    ],
)
def test_what_is_no_class_is_refused_and_nothing_of_it_taken(client: FlaskClient, label: object, told: str) -> None:
    """With the place and the classes."""
    request_id, predictions = ask(client, golden())
    good = {"id": request_id, "label": predictions[0]["label"]}
    response = client.post(FEEDBACK, json={"feedback": [good, good | {"index": 1, "label": label}]})

    assert (response.status_code, response.get_json()["code"]) == (422, "invalid_record")
    assert told in response.get_json()["error"]
    assert response.get_json()["error"].startswith("feedback 1")
    assert tell(client, good)["counted"] == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"feedback": []},
        {"feedback": [1]},
        {"id": "a"},
        {"id": 1, "label": "Adelie"},
        {"id": "a", "label": "Adelie", "index": -1},
        {"id": "a", "label": "Adelie", "index": True},
        {"id": "a", "label": ["Adelie"]},
        {"id": "a", "label": "Adelie", "weight": 2},
        {"id": "a", "label": "Adelie", "feedback": []},
    ],
)
def test_another_shape_is_refused(client: FlaskClient, body: object) -> None:
    """With the shape that is right."""
    response = client.post(FEEDBACK, json=body)

    assert (response.status_code, response.get_json()["code"]) == (422, "invalid_record")
    assert '"label": name of a class}' in response.get_json()["error"]


def test_rows_are_named_by_their_place_in_the_request(client: FlaskClient) -> None:
    """Also where some of them broke the card; by every protocol, under the id that the client gave."""
    instances: list[Any] = [golden()[0], {"island": 1}, golden()[4]]
    request_id, predictions = ask(client, instances, on_error="null")
    assert predictions[1]["label"] is None
    labels = [predictions[0]["label"], "Gentoo", predictions[2]["label"]]
    told = tell(client, *({"id": request_id, "index": at, "label": one} for at, one in enumerate(labels)))
    assert (told["counted"], told["unknown_ids"]) == (2, [{"id": request_id, "index": 1}])

    nothing = client.post("/predict", json={"instances": [{"island": 1}], "on_error": "null"})
    assert nothing.get_json()["predictions"][0]["label"] is None
    client.post("/invocations", json={"instances": golden()}, headers={"X-Request-Id": "mine-1"})
    client.post("/predict", json={"instance": golden()[0]}, headers={"X-Request-Id": "mine-2"})
    asked = {"instance": golden()[0], "reference": golden()[1]}
    explained = client.post("/v1/models/penguins:explain", json=asked, headers={"X-Request-Id": "mine-3"})
    assert explained.status_code == 200
    named = [{"id": f"mine-{number}", "label": "Adelie"} for number in (1, 2, 3)]
    assert tell(client, *named)["unknown_ids"] == [{"id": "mine-3", "index": 0}]


def test_feedback_can_be_left_off(registry: Registry) -> None:
    """Then no answer is remembered, and whoever sends labels is told so; what is expected is still told."""
    client = create_app(registry, Bounds(1 << 20), Board.create(slots=1, rows=0)).test_client()
    request_id, _ = ask(client, golden())
    response = client.post(FEEDBACK, json={"id": request_id, "label": "Adelie"})

    assert (response.status_code, response.get_json()["code"]) == (404, "feedback_not_found")
    assert "EVENKEEL_FEEDBACK_ROWS is 0" in response.get_json()["error"]
    window = client.get(PERFORMANCE).get_json()["windows"][0]
    assert (window["expected"]["rows"], window["live"]["rows"]) == (len(golden()), 0)


def test_without_drift_labels_are_taken(registry: Registry) -> None:
    """Nothing is expected of all rows then."""
    client = create_app(registry, Bounds(1 << 20), drift_seconds=0).test_client()
    request_id, predictions = ask(client, golden())
    assert tell(client, {"id": request_id, "label": predictions[0]["label"]})["counted"] == 1
    document = client.get(PERFORMANCE).get_json()

    assert document["windows"][0]["expected"]["rows"] == 0
    assert document["windows"][0]["live"]["accuracy"] == 1
    assert "evenkeel_expected_accuracy{" not in client.get("/metrics").text


def test_a_version_without_a_baseline_says_so(repository: ModelRepository, publish: Callable[..., int]) -> None:
    """And what to do; its answers have no labels."""
    publish(drift=None)
    registry = Registry(repository)
    registry.refresh()
    client = create_app(registry, Bounds(1 << 20)).test_client()
    request_id, _ = ask(client, golden())
    response = client.get(PERFORMANCE)

    assert (response.status_code, response.get_json()["code"]) == (404, "performance_not_found")
    assert "published without a drift baseline: train it again" in response.get_json()["error"]
    assert tell(client, {"id": request_id, "label": "Adelie"})["unknown"] == 1


def test_labels_need_the_key_for_predictions(registry: Registry, tmp_path: Any) -> None:
    """What they say of a version is told to whoever may see the metrics."""
    (tmp_path / "keys").write_text(f"predict {'p' * 40}\nmetrics {'m' * 40}\n")
    client = create_app(registry, Bounds(1 << 20), access=Access(tmp_path / "keys")).test_client()
    body, keys = {"id": "a", "label": "Adelie"}, [{"X-API-Key": one * 40} for one in "pm"]

    assert [client.post(FEEDBACK, json=body, headers=key).status_code for key in keys] == [200, 403]
    assert [client.get(PERFORMANCE, headers=key).status_code for key in keys] == [403, 200]
