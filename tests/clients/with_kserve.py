"""kserve's client for inference over REST, by its first protocol and by the second."""

import asyncio
import sys

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

RECORD = {
    "island": "Biscoe",
    "bill_length_mm": 45.1,
    "bill_depth_mm": 14.5,
    "flipper_length_mm": 215,
    "body_mass_g": 5000,
    "sex": "female",
    "year": 2007,
}


async def main(url: str) -> None:
    first = InferenceRESTClient(RESTConfig(protocol="v1"))
    # By this protocol it asks /v1/models/penguins, and looks for "ready".
    assert await first.is_model_ready(url, "penguins") is True
    answer = await first.infer(url, {"instances": [RECORD], "parameters": {}}, model_name="penguins")
    assert answer["predictions"][0]["label"] == "Gentoo"

    second = InferenceRESTClient(RESTConfig(protocol="v2"))
    assert await second.is_server_ready(url)
    assert await second.is_server_live(url)
    assert await second.is_model_ready(url, "penguins")
    numeric = InferInput("numeric", [1, 5], "FP32")
    numeric.set_data_from_numpy(np.array([[45.1, 14.5, 215, 5000, 2007]], np.float32), binary_data=False)
    categorical = InferInput("categorical", [1, 2], "BYTES")
    categorical.set_data_from_numpy(np.array([["Biscoe", "female"]], object), binary_data=False)
    response = await second.infer(url, InferRequest("penguins", [numeric, categorical]), model_name="penguins")
    assert response.outputs[0].data == ["Gentoo"]


asyncio.run(main(sys.argv[1]))
