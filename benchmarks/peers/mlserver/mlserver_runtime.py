"""MLServer with a custom runtime, as its documentation shows it; the model lives in the web worker."""

import sys
from pathlib import Path

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse

sys.path.insert(0, str(Path(__file__).parents[1]))
from onnx_session import session


class Classifier(MLModel):
    async def load(self) -> bool:
        self.run = session().run
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        tensors = {each.name: each for each in payload.inputs}
        asked = {"numeric": NumpyCodec.decode_input(tensors["numeric"]).astype(np.float32)}
        if texts := tensors.get("categorical"):
            asked["categorical"] = np.array(StringCodec.decode_input(texts), object).reshape(texts.shape)
        (probabilities,) = self.run(["probabilities"], asked)
        outputs = [NumpyCodec.encode_output("probabilities", probabilities)]
        return InferenceResponse(model_name=self.name, outputs=outputs)
