"""The threshold that `fit` has chosen is what every way of asking goes by."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime

from models.repository import ModelRepository
from service.prediction.predictor import Predictor
from tests.end_to_end.conftest import Service, train

TABLE = Path(__file__).parents[2] / "examples/penguins.csv"


def test_labels_follow_the_threshold(tmp_path: Path, serve: Callable[..., Service]) -> None:
    """Of the file, of predictions and of tensors alike, and it is not where the more probable class begins."""
    flags = ("--target", "sex", "--name", "sex", "--members", "1", "--epochs", "5")
    train(TABLE, tmp_path, *flags, "--positive", "male", "--threshold", "cost=50:1")
    model = ModelRepository(tmp_path).read("sex", 1)
    threshold, classes = model.card.threshold, model.card.classes
    assert threshold is not None
    assert threshold < 0.5
    male = classes.index("male")
    mass, bill = np.meshgrid(np.linspace(2700, 6300, 40), np.linspace(13, 21, 25))
    golden = dict(model.card.golden[0].instance)
    rows = [
        golden | {"body_mass_g": float(m), "bill_depth_mm": float(b)} for m, b in zip(mass.flat, bill.flat, strict=True)
    ]

    service = serve(tmp_path, EVENKEEL_DEFAULT_MODEL="sex")
    service.wait()
    status, answer = service.ask("/predict", {"instances": rows})
    assert status == 200
    assert (answer["model"]["positive"], answer["model"]["threshold"]) == ("male", threshold)
    shares = np.array([list(one["probabilities"].values()) for one in answer["predictions"]], np.float32)
    expected = ["male" if share >= np.float32(threshold) else "female" for share in shares[:, male]]
    assert [one["label"] for one in answer["predictions"]] == expected
    assert expected != [classes[place] for place in shares.argmax(axis=1)]
    assert all(one["probability"] == one["probabilities"][one["label"]] for one in answer["predictions"])

    tensors = Predictor(model).rows.read(rows).tensors
    session = onnxruntime.InferenceSession(model.onnx, providers=["CPUExecutionProvider"])
    assert session.run(["label"], tensors)[0].tolist() == expected
    inputs = [
        {
            "name": name,
            "datatype": "FP32" if name == "numeric" else "BYTES",
            "shape": list(tensor.shape),
            "data": [None if value != value else value for value in tensor.ravel().tolist()],
        }
        for name, tensor in tensors.items()
    ]
    _, answer = service.ask("/v2/models/sex/infer", {"inputs": inputs, "outputs": [{"name": "label"}]})
    assert answer["outputs"][0]["data"] == expected
