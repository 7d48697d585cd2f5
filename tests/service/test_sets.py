"""Prediction sets in every form of an answer, the same to the last class whoever came together, and as the graph's."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from flask.testing import FlaskClient
from onnxruntime import InferenceSession

from models.card import ModelCard
from models.repository import ModelRepository
from service.app import Front, create_app
from service.errors import RefusedModel
from service.prediction.prediction import Bounds
from service.prediction.predictor import Predictor
from service.prediction.sets import sets_of
from service.registry.registry import Registry
from tests.service.conftest import LIMIT, SETS
from tests.service.test_metrics import samples, value
from tests.service.test_open_inference import infer, tensors
from tests.service.test_openapi import KB, described, resolved
from tests.service.test_together import environ, predicted

CLASSES = ["Adelie", "Chinstrap", "Gentoo"]
MASSES = range(2500, 6500, 250)


@pytest.fixture
def predictor() -> Predictor:
    return Predictor(ModelRepository(SETS).read("penguins", 1))


@pytest.fixture
def client() -> FlaskClient:
    return client_of(ModelRepository(SETS))


def client_of(repository: ModelRepository) -> FlaskClient:
    registry = Registry(repository)
    registry.refresh()
    return create_app(registry, Bounds(1 << 20)).test_client()


@pytest.fixture
def records(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows that the model is sure of, and rows that it is not."""
    places = {"Biscoe": 215, "Dream": 195, "Torgersen": 190}
    return [
        record | {"island": island, "flipper_length_mm": flipper, "body_mass_g": mass}
        for island, flipper in places.items()
        for mass in MASSES
    ]


def predictions(client: FlaskClient, document: dict[str, Any], path: str = "/predict") -> Any:
    response = client.post(path, json=document)
    assert response.status_code == 200, response.json
    assert response.json is not None
    return response.json.get("prediction") or response.json["predictions"]


def test_an_answer_names_the_classes_that_belong_to_it(client: FlaskClient, records: list[dict[str, Any]]) -> None:
    """In the order of the card, and whether it is one class; the likeliest is always among them."""
    answers = predictions(client, {"instances": records})

    for one in answers:
        assert list(one) == ["label", "probability", "probabilities", "set", "certain"]
        assert one["label"] in one["set"]
        assert one["set"] == [label for label in CLASSES if label in one["set"]]
        assert one["certain"] == (len(one["set"]) == 1)
    assert {len(one["set"]) for one in answers} >= {1, 2}


def test_each_form_of_an_answer_has_the_same_set(client: FlaskClient, records: list[dict[str, Any]]) -> None:
    """Alone, several, with on_error, with explanations, as a table of MLflow's, and with an unseen category."""
    several = predictions(client, {"instances": records})
    alone = [predictions(client, {"instance": one}) for one in records]
    sifted = predictions(client, {"instances": [{}, *records], "on_error": "null"})
    table = predictions(client, {"dataframe_records": records}, "/invocations")
    odd = [one | {"sex": "unheard of"} for one in records[:10]]

    assert several == alone == sifted[1:] == table
    assert "set" not in sifted[0]
    warned = predictions(client, {"instances": odd})
    assert all(list(one)[-2:] == ["certain", "warnings"] for one in warned)
    assert "set" in predictions(client, {"instance": records[0], "explain": True})


def test_a_row_has_its_set_in_any_company(records: list[dict[str, Any]]) -> None:
    """Requests that arrive together are answered as each alone, to the byte."""
    registry = Registry(ModelRepository(SETS))
    registry.refresh()
    front = cast(Front, create_app(registry, Bounds(LIMIT)).wsgi_app)
    bodies = [json.dumps({"instance": one}).encode() for one in records]
    environs = [environ("/predict", body, {"Content-Type": "application/json"}) for body in bodies]
    alone = [reply.body for one in environs for reply in predicted(front, [one])]
    environs = [environ("/predict", body, {"Content-Type": "application/json"}) for body in bodies]

    assert [reply.body for reply in predicted(front, environs)] == alone


def test_the_file_alone_gives_the_same_sets(predictor: Predictor, records: list[dict[str, Any]]) -> None:
    """Any onnxruntime does, from the third output of the graph; on random probabilities too, as many as there are."""
    model = ModelRepository(SETS).read("penguins", 1)
    read = predictor.rows.read(records).tensors
    _, probabilities, members = InferenceSession(model.onnx).run(None, read)

    assert predictor.sets is not None
    assert members.dtype == np.bool_
    assert np.array_equal(predictor.sets(predictor.predict(read)), members)
    assert np.array_equal(predictor.sets(np.repeat(probabilities, 2000, axis=0)), np.repeat(members, 2000, axis=0))


def test_tensors_have_it_as_an_output(client: FlaskClient) -> None:
    """BOOL, by class, in JSON and in binary; in the metadata too."""
    metadata = client.get("/v2/models/penguins").json
    assert metadata is not None
    answer = infer(client, tensors(2))
    *_, found = answer["outputs"]
    wish = {"name": "set", "parameters": {"binary_data": True}}
    response = client.post("/v2/models/penguins/infer", json=tensors(2) | {"outputs": [wish]})
    head = int(response.headers["Inference-Header-Content-Length"])

    assert metadata["outputs"][-1] == {
        "name": "set",
        "datatype": "BOOL",
        "shape": [-1, 3],
        "parameters": {"columns": CLASSES},
    }
    assert [one["name"] for one in answer["outputs"]] == ["label", "probabilities", "set"]
    assert (found["datatype"], found["shape"]) == ("BOOL", [2, 3])
    assert set(map(type, found["data"])) == {bool}
    assert list(response.data[head:]) == found["data"]


def test_a_long_answer_has_it_too(client: FlaskClient, records: list[dict[str, Any]]) -> None:
    """Which is worded a few rows at a time."""
    many = records * 250
    names = ["island", "sex"]
    numbers = [name for name in records[0] if name not in names]
    asked = {
        "inputs": [
            {
                "name": kind,
                "shape": [len(many), len(columns)],
                "datatype": datatype,
                "data": list(chain.from_iterable([one[name] for name in columns] for one in many)),
            }
            for kind, columns, datatype in (("numeric", numbers, "FP32"), ("categorical", names, "BYTES"))
        ]
    }
    answer = infer(client, asked)
    expected = [[label in one["set"] for label in CLASSES] for one in predictions(client, {"instances": records})]

    assert len(many) * 3 > 1 << 15
    assert answer["outputs"][2]["shape"] == [len(many), 3]
    assert answer["outputs"][2]["data"] == list(chain.from_iterable(expected)) * 250


def test_a_model_without_sets_answers_as_ever(repository: ModelRepository, record: dict[str, Any]) -> None:
    """No key, no output, and whoever asks for one is told which there are."""
    client = client_of(repository)
    metadata = client.get("/v2/models/penguins").json
    assert metadata is not None

    assert list(predictions(client, {"instance": record})) == ["label", "probability", "probabilities"]
    assert [one["name"] for one in metadata["outputs"]] == ["label", "probabilities"]
    status, refused = infer(client, tensors() | {"outputs": [{"name": "set"}]})
    assert status == 400
    assert refused["error"] == "there is no output 'set'; the outputs are label and probabilities"


def test_it_is_described(client: FlaskClient) -> None:
    """Of the model that has sets, with the classes that may be in one."""
    document = described(client)
    prediction = document["components"]["schemas"]["PenguinsPrediction"]

    assert {"set", "certain"} <= set(prediction["required"])
    assert resolved(document, prediction["properties"]["set"]["items"])["enum"] == CLASSES


def test_ten_models_with_sets_are_described_in_less_than_150_kb(tmp_path: Path) -> None:
    """As ten without are."""
    repository = ModelRepository(tmp_path)
    model = ModelRepository(SETS).read("penguins", 1)
    for number in range(10):
        card = ModelCard.model_validate(model.card.model_dump() | {"name": f"penguins-{number}"})
        repository.publish(card, {"model.onnx": model.onnx})
    registry = Registry(repository, "penguins-0")
    registry.refresh()
    response = create_app(registry, Bounds(LIMIT)).test_client().get("/openapi.json")

    assert len(registry.serving) == 10
    assert len(response.data) < 150 * KB


def test_sizes_are_counted(client: FlaskClient, records: list[dict[str, Any]]) -> None:
    """As a histogram: bounded, whatever classes there are. Explanations are no answers."""
    sizes = [len(one["set"]) for one in predictions(client, {"instances": records})]
    client.post("/v1/models/penguins:explain", json={"instance": records[0]})
    read = samples(client.get("/metrics").text)

    assert value(read, "set_size_bucket", le="1") == sizes.count(1)
    assert value(read, "set_size_bucket", le="2") == sizes.count(1) + sizes.count(2)
    assert value(read, "set_size_count") == len(records)
    assert value(read, "set_size_sum") == sum(sizes)


def test_drift_voids_the_promise(client: FlaskClient, records: list[dict[str, Any]]) -> None:
    """And the document of the drift says so."""
    path = "/v1/models/penguins/drift"
    before = client.get(path).json
    client.post("/predict", json={"instances": [records[0]] * 400})
    after = client.get(path).json
    assert before is not None
    assert after is not None

    assert before["sets"] == {
        "level": 0.95,
        "promised": True,
        "summary": "promised: 0.95 of the sets hold the true class",
    }
    assert after["status"] == "shifted"
    assert not after["sets"]["promised"]
    assert after["sets"]["summary"].startswith("no longer promised, as the rows have shifted")


def test_a_card_that_promises_what_the_file_does_not_is_refused(
    repository: ModelRepository, publish: Callable[..., int]
) -> None:
    """A file without sets, and one with others than the card says."""
    model = ModelRepository(SETS).read("penguins", 1)
    assert model.card.sets is not None
    publish(sets=model.card.sets)
    other = model.card.model_copy(update={"sets": model.card.sets.model_copy(update={"threshold": 0.0})})

    with pytest.raises(RefusedModel, match="lacks the output `set`"):
        Predictor(repository.read("penguins", 2))
    with pytest.raises(RefusedModel, match="the set of a golden row is not what its probabilities and the card say"):
        Predictor(replace(model, card=other))


def test_it_costs_what_the_answer_has_more(predictor: Predictor) -> None:
    """The longest answer is reckoned with: what a request may come to is known before it is asked."""
    bare, sets = predictor.wording.longest, sets_of(predictor.card)
    assert sets is not None
    even = np.full((1, 3), 1 / 3, np.float32)

    (word,) = predictor.wording.predictions(even, {}, sets(even))
    assert len(word) <= bare
    assert json.loads(word)["set"] == CLASSES
