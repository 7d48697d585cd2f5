"""tritonclient's asyncio side."""

import asyncio
import sys

import numpy as np
import tritonclient.http.aio as triton
from tritonclient.http import InferInput


async def main(url: str) -> None:
    numeric = InferInput("numeric", [1, 5], "FP32")
    numeric.set_data_from_numpy(np.array([[45.1, 14.5, 215, 5000, 2007]], np.float32))
    categorical = InferInput("categorical", [1, 2], "BYTES")
    categorical.set_data_from_numpy(np.array([["Biscoe", "female"]], object))
    async with triton.InferenceServerClient(url.removeprefix("http://")) as client:
        assert await client.is_server_ready()
        # Its empty body is called application/octet-stream.
        assert [one["name"] for one in await client.get_model_repository_index()] == ["penguins"]
        answers = await asyncio.gather(*(client.infer("penguins", [numeric, categorical]) for _ in range(8)))
    for answer in answers:
        assert answer.as_numpy("label").tolist() == [b"Gentoo"]


asyncio.run(main(sys.argv[1]))
