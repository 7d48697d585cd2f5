"""What the protocol says of the server and of a model."""

from collections.abc import Iterable, Sequence
from typing import Any

from models import __version__
from service.prediction.predictor import Predictor
from service.telemetry.drift import Answered
from service.wire.open_inference.casts import TEXT
from service.wire.open_inference.outputs import SET

SERVER = {
    "name": "evenkeel",
    "version": __version__,
    "extensions": ["binary_tensor_data", "classification", "model_repository", "statistics"],
}


def metadata(predictor: Predictor, versions: Sequence[int]) -> dict[str, Any]:
    """The description of a model; each input lists the features of its columns, the probabilities their classes."""
    card = predictor.card
    inputs = [
        {
            "name": name,
            "datatype": TEXT if name == "categorical" else "FP32",
            "shape": [-1, len(features)],
            "parameters": {"columns": [feature.name for feature in features]},
        }
        for name, features in predictor.inputs.items()
    ]
    outputs: list[dict[str, Any]] = [
        {"name": "label", "datatype": TEXT, "shape": [-1]},
        {
            "name": "probabilities",
            "datatype": "FP32",
            "shape": [-1, len(card.classes)],
            "parameters": {"columns": card.classes},
        },
    ]
    if predictor.sets is not None:
        outputs.append(outputs[-1] | {"name": SET, "datatype": "BOOL"})
    return {
        "name": card.name,
        "versions": [str(version) for version in versions],
        "platform": "onnx_onnxv1",
        "inputs": inputs,
        "outputs": outputs,
    }


def index(predictors: Sequence[Predictor]) -> list[dict[str, str]]:
    """The repository index: every loaded version."""
    return [
        {"name": predictor.card.name, "version": str(predictor.version), "state": "READY", "reason": ""}
        for predictor in predictors
    ]


def statistics(counted: Iterable[tuple[Predictor, Answered]]) -> dict[str, Any]:
    """How much versions have answered since the service started: an inference is a row, an execution a run of the
    model. What each stage took is told of single requests, and in the metrics.
    """
    return {
        "model_stats": [
            {
                "name": predictor.card.name,
                "version": str(predictor.version),
                "inference_count": answered.rows,
                "execution_count": answered.runs,
                "inference_stats": {},
            }
            for predictor, answered in counted
        ]
    }
