"""What every peer answers with: the file that MODEL names, one thread, as ours."""

import os
from collections.abc import Callable, Sequence

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnxruntime


def session() -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    return onnxruntime.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])


def predictor() -> Callable[[Sequence[float | str]], np.ndarray]:
    """The probabilities (1, classes) of a row: its numbers, and then its texts."""
    loaded = session()
    widths = {each.name: each.shape[1] for each in loaded.get_inputs()}
    run, numbers, output = loaded.run, widths.get("numeric", 0), ["probabilities"]

    def predict(row: Sequence[float | str]) -> np.ndarray:
        return run(output, {"numeric": np.array([row], np.float32)})[0]

    def predict_mixed(row: Sequence[float | str]) -> np.ndarray:
        texts = np.array([row[numbers:]], object)
        return run(output, {"numeric": np.array([row[:numbers]], np.float32), "categorical": texts})[0]

    return predict_mixed if "categorical" in widths else predict
