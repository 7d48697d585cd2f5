"""The way of a prediction: body → records → tensors → probabilities → answer. It knows no HTTP."""

from typing import Any

from models.features import Record
from service.predictor import Predictor


def predict(predictor: Predictor, body: bytes) -> dict[str, Any]:
    """Answer a request for one instance or several.

    :raises ServiceError: the body is no request that this model answers.
    """
    records, several = predictor.records.read(body)
    probabilities = predictor.predict(predictor.records.tensors(records)).tolist()
    predictions = [_prediction(predictor, record, row) for record, row in zip(records, probabilities, strict=True)]
    model = {"name": predictor.card.name, "version": predictor.version}
    return {"model": model, "predictions": predictions} if several else {"model": model, "prediction": predictions[0]}


def _prediction(predictor: Predictor, record: Record, probabilities: list[float]) -> dict[str, Any]:
    by_class = dict(zip(predictor.card.classes, probabilities, strict=True))
    label = max(by_class, key=by_class.__getitem__)
    prediction = {"label": label, "probability": by_class[label], "probabilities": by_class}
    if warnings := predictor.records.warnings(record):
        prediction["warnings"] = warnings
    return prediction
