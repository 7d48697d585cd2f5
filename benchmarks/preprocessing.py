"""What a raw row costs a model: the whole graph, and the network alone on inputs that are encoded already.

PYTHONPATH=. python benchmarks/preprocessing.py --data ../shared/data

One network on adult (6 numbers, 8 texts), one row, one thread, onnxruntime alone. The two take turns; medians.
"""

import argparse
import os
import statistics
import time
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import onnx
import onnxruntime
from onnx import TensorProto, helper

from benchmarks.quality import TASKS, read
from trainer.export.graph import to_onnx
from trainer.job import job
from trainer.settings.config import TrainingConfig

ROUNDS, RUNS = 21, 500


def without_preprocessing(model: bytes, width: int) -> bytes:
    """The same graph from the encoded inputs on."""
    proto = onnx.load_from_string(model)
    (last,) = (place for place, node in enumerate(proto.graph.node) if "encoded" in node.output)
    network = list(proto.graph.node)[last + 1 :]
    needed = {name for node in network for name in node.input}
    constants = [constant for constant in proto.graph.initializer if constant.name in needed]
    inputs = [helper.make_tensor_value_info("encoded", TensorProto.FLOAT, ["N", width])]
    graph = helper.make_graph(network, "network", inputs, list(proto.graph.output), constants)
    return bytes(helper.make_model(graph, opset_imports=proto.opset_import, ir_version=8).SerializeToString())


def session(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def microseconds(asked: onnxruntime.InferenceSession, feed: dict[str, Any]) -> float:
    began = time.perf_counter()
    for _ in range(RUNS):
        asked.run(["probabilities"], feed)
    return (time.perf_counter() - began) / RUNS * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("EVENKEEL_DATA", "../shared/data")))
    (task,) = (task for task in TASKS if task.name == "adult")
    examples, train, test = read(task, parser.parse_args().data)
    config = TrainingConfig.of(table="adult", target="income", name="adult", members=1, epochs=2)
    classifier = job.train_on(config, examples.take(train))
    row = examples.rows.take(test[:1])
    model = to_onnx(classifier, {})
    whole = session(model), {"numeric": row.numeric, "categorical": row.texts()}
    encoded = classifier.encoder.encode(row)
    alone = session(without_preprocessing(model, encoded.shape[1])), {"encoded": encoded}
    pairs = [(microseconds(*whole), microseconds(*alone)) for _ in range(ROUNDS)][1:]
    medians = [statistics.median(times) for times in (*zip(*pairs, strict=True), [one - other for one, other in pairs])]
    print("whole graph {:.1f} µs, network alone {:.1f} µs, preprocessing {:.1f} µs".format(*medians))


if __name__ == "__main__":
    main()
