"""BentoML as its documentation shows it, one worker."""

import bentoml
import numpy as np
from onnx_session import session


@bentoml.service(workers=1)
class Classifier:
    def __init__(self) -> None:
        self.run = session().run

    @bentoml.api
    def predict(self, instance: list[float]) -> dict[str, list[float]]:
        rows = np.array([instance], np.float32)
        return {"probabilities": self.run(["probabilities"], {"numeric": rows})[0][0].tolist()}
