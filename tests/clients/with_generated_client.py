"""Someone who made a client by openapi-python-client: predictions, a refusal, tensors, what is served, all typed."""

import sys

from evenkeel_client import Client
from evenkeel_client.api.all_models import list_models
from evenkeel_client.api.penguins import infer_penguins, predict, predict_penguins_version
from evenkeel_client.models import (
    Penguins,
    PenguinsAnswer,
    PenguinsAnswers,
    PenguinsInferRequest,
    PenguinsInstance,
    PenguinsInstances,
    PenguinsLabel,
    Problem,
)

GENTOO = {"bill_length_mm": 45.1, "bill_depth_mm": 14.5, "flipper_length_mm": 215, "body_mass_g": 5000, "year": 2007}


def main(url: str) -> None:
    client = Client(base_url=url)
    record = Penguins(island="Biscoe", sex="female", **GENTOO)
    one = predict.sync(client=client, body=PenguinsInstance(instance=record))
    assert isinstance(one, PenguinsAnswer), one
    assert one.model.name == "penguins"
    assert one.prediction.label is PenguinsLabel.GENTOO
    assert one.prediction.probabilities["Gentoo"] == one.prediction.probability > 0.9

    rows = ["Biscoe", 45.1, 14.5, 215, 5000, None, 2007]
    many = predict_penguins_version.sync(1, client=client, body=PenguinsInstances(instances=[record, rows]))
    assert isinstance(many, PenguinsAnswers), many
    assert many.model.version == 1
    assert [answer.label for answer in many.predictions] == [PenguinsLabel.GENTOO] * 2

    refused = predict_penguins_version.sync(9, client=client, body=PenguinsInstance(instance=record))
    assert isinstance(refused, Problem)
    assert refused.code == "model_not_found"

    tensors = {
        "inputs": [
            {"name": "numeric", "datatype": "FP32", "shape": [1, 5], "data": list(GENTOO.values())},
            {"name": "categorical", "datatype": "BYTES", "shape": [1, 2], "data": ["Biscoe", "female"]},
        ]
    }
    inferred = infer_penguins.sync(client=client, body=PenguinsInferRequest.from_dict(tensors))
    assert [output.name for output in inferred.outputs] == ["label", "probabilities"]
    assert inferred.outputs[0].data == ["Gentoo"]
    assert [model.name for model in list_models.sync(client=client).models] == ["penguins"]


main(sys.argv[1])
