"""tritonclient over HTTP: health, metadata, JSON and binary tensors, compression, classes, versions, errors."""

import sys
from collections.abc import Callable

import numpy as np
import tritonclient.http as triton

NUMBERS = np.array([[45.1, 14.5, 215, 5000, 2007], [np.nan, 17.9, 192, 3500, 2008]], np.float32)
TEXTS = np.array([["Biscoe", "female"], ["Dream", ""]], object)


def inputs(binary: bool) -> list[triton.InferInput]:
    numeric = triton.InferInput("numeric", [2, 5], "FP32")
    # The client's JSON knows no null; a NaN can only be sent in binary.
    numeric.set_data_from_numpy(NUMBERS if binary else np.nan_to_num(NUMBERS, nan=45), binary_data=binary)
    categorical = triton.InferInput("categorical", [2, 2], "BYTES")
    categorical.set_data_from_numpy(TEXTS, binary_data=binary)
    return [numeric, categorical]


def outputs(binary: bool) -> list[triton.InferRequestedOutput]:
    return [triton.InferRequestedOutput(name, binary_data=binary) for name in ("label", "probabilities")]


def told(call: Callable[[], object]) -> str:
    """What a call is refused with."""
    try:
        call()
    except triton.InferenceServerException as error:
        return str(error.message())
    return ""


def refusal(client: triton.InferenceServerClient, model: str, version: str) -> str:
    return told(lambda: client.infer(model, inputs(binary=True), model_version=version))


def main(url: str) -> None:
    client = triton.InferenceServerClient(url.removeprefix("http://"))
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("penguins")
    assert client.is_model_ready("penguins", "1")
    assert not client.is_model_ready("penguins", "9")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    assert client.get_model_metadata("penguins", "1")["inputs"][0]["shape"] == [-1, 5]
    assert client.get_model_repository_index()[0]["name"] == "penguins"

    expected = client.infer("penguins", inputs(binary=True)).as_numpy("probabilities")
    assert expected.shape == (2, 3)
    for options in (
        {"outputs": outputs(binary=True)},
        {"outputs": outputs(binary=False)},
        {"model_version": "1", "request_id": "mine", "parameters": {"mine": 1}, "priority": 1, "timeout": 1000},
        {"request_compression_algorithm": "gzip"},
        {"request_compression_algorithm": "deflate", "response_compression_algorithm": "gzip"},
    ):
        result = client.infer("penguins", inputs(binary=True), **options)
        np.testing.assert_allclose(result.as_numpy("probabilities"), expected, atol=1e-7)
        assert result.as_numpy("label")[0] in (b"Gentoo", "Gentoo")
        assert result.get_response()["id"] == options["request_id"] if "request_id" in options else True

    in_json = client.infer("penguins", inputs(binary=False), outputs=outputs(binary=False))
    np.testing.assert_allclose(in_json.as_numpy("probabilities")[0], expected[0], atol=1e-6)

    classes = triton.InferRequestedOutput("probabilities", class_count=2)
    top = client.infer("penguins", inputs(binary=True), outputs=[classes]).as_numpy("probabilities")
    assert top.shape == (2, 2)
    assert top[0][0].endswith(b":2:Gentoo")

    many = np.repeat(NUMBERS[:1], 500, 0), np.repeat(TEXTS[:1], 500, 0)
    tensors = inputs(binary=True)
    for tensor, data in zip(tensors, many, strict=True):
        tensor.set_shape(data.shape)
        tensor.set_data_from_numpy(data)
    long = client.infer("penguins", tensors, response_compression_algorithm="gzip")
    assert long.as_numpy("probabilities").shape == (500, 3)

    pending = [client.async_infer("penguins", inputs(binary=True)) for _ in range(8)]
    for one in pending:
        np.testing.assert_allclose(one.get_result().as_numpy("probabilities"), expected, atol=1e-7)

    assert "no such model" in refusal(client, "nothing", "")
    assert "no such version" in refusal(client, "penguins", "9")
    assert "evenkeel models promote" in told(lambda: client.load_model("penguins"))
    assert "evenkeel models promote" in told(lambda: client.unload_model("penguins"))
    (counted,) = client.get_inference_statistics("penguins")["model_stats"]
    assert counted["inference_count"] > counted["execution_count"] > 0
    assert "GET /v1/models/MODEL" in told(lambda: client.get_model_config("penguins"))
    assert "EVENKEEL_TRACING" in told(client.get_trace_settings)
    assert "EVENKEEL_LOG_LEVEL" in told(client.get_log_settings)
    assert "binary data" in told(client.get_system_shared_memory_status)
    assert "binary data" in told(client.get_cuda_shared_memory_status)
    client.close()


main(sys.argv[1])
