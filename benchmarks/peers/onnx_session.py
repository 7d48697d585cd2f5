"""The session that every peer answers with: the file that MODEL names, one thread, as ours."""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime


def session() -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    return onnxruntime.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
