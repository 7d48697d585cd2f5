"""BentoML as its documentation shows it, one worker."""

import bentoml
from onnx_session import predictor


@bentoml.service(workers=1)
class Classifier:
    def __init__(self) -> None:
        self.row = predictor()

    @bentoml.api
    def predict(self, instance: list[float | str]) -> dict[str, list[float]]:
        return {"probabilities": self.row(instance)[0].tolist()}
