"""A published model in plain onnxruntime, with nothing of ours: python examples/plain_onnxruntime.py MODEL.ONNX."""

import json
import sys

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
features = json.loads(session.get_modelmeta().custom_metadata_map["features"])
penguin = {"island": "Biscoe", "bill_length_mm": 45.1, "bill_depth_mm": 14.5, "flipper_length_mm": 215}
penguin |= {"body_mass_g": 5000, "sex": "female", "year": 2007}
numbers = [[penguin[feature["name"]] for feature in features if feature["kind"] == "numeric"]]
texts = [[penguin[feature["name"]] for feature in features if feature["kind"] == "categorical"]]
tensors = {"numeric": np.array(numbers, np.float32), "categorical": np.array(texts, object)}
labels, probabilities = session.run(["label", "probabilities"], tensors)
print(labels[0], probabilities[0].tolist())
