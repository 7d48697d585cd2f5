"""The classifier as ONNX, alone and in a pipeline."""

from typing import Any

import numpy as np
import onnxruntime
import pytest
import skl2onnx
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trainer.estimator import BatchNormMLPClassifier
from trainer.export.pipeline import register_converter
from trainer.nn.activations import ACTIVATIONS

INPUTS, NUMBERS = load_iris(return_X_y=True)
INPUTS = INPUTS.astype(np.float32)
CLASSES = {
    "numbers": NUMBERS - 1,
    "texts": np.array(["setosa", "versi,color", '"virginica" \N{CHERRY BLOSSOM}'])[NUMBERS],
    "truth": NUMBERS == 1,
}


def run(model: Any) -> list[Any]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()][:2] in (
        ["label", "probabilities"],
        ["output_label", "output_probability"],
    )
    outputs: list[Any] = session.run(None, {"X": INPUTS})
    return outputs


@pytest.mark.parametrize("labels", CLASSES.values(), ids=CLASSES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_exports_itself(labels: Any, dtype: Any) -> None:
    """Labels of any kind come back as they were; the probabilities agree within 1e-5."""
    classifier = BatchNormMLPClassifier((8,), epochs=5, random_state=0).fit(INPUTS.astype(dtype), labels)
    label, probabilities = run(classifier.to_onnx())

    np.testing.assert_allclose(probabilities, classifier.predict_proba(INPUTS), atol=1e-5)
    assert label.tolist() == classifier.predict(INPUTS).tolist()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_users_own_pipeline_exports(activation: str) -> None:
    """With skl2onnx as it is, nothing registered; dropout is gone and batch norm is frozen."""
    classifier = BatchNormMLPClassifier((8, 8), activation=activation, dropout=0.1, epochs=5, random_state=0)
    pipeline = make_pipeline(StandardScaler(), classifier).fit(INPUTS, NUMBERS)
    label, probabilities = run(skl2onnx.to_onnx(pipeline, INPUTS[:1]))

    np.testing.assert_allclose(probabilities, pipeline.predict_proba(INPUTS), atol=1e-5)
    assert label.tolist() == pipeline.predict(INPUTS).tolist()


@pytest.mark.parametrize("zipmap", [True, False])
def test_registered_it_takes_skl2onnxs_options(zipmap: bool) -> None:
    """`zipmap`, above all."""
    register_converter(BatchNormMLPClassifier)
    pipeline = make_pipeline(StandardScaler(), BatchNormMLPClassifier((8,), epochs=5)).fit(INPUTS, NUMBERS)
    options = {id(pipeline): {"zipmap": zipmap}}
    _, probabilities = run(skl2onnx.to_onnx(pipeline, INPUTS[:1], options=options))
    if zipmap:
        probabilities = np.array([[row[one] for one in range(3)] for row in probabilities])

    np.testing.assert_allclose(probabilities, pipeline.predict_proba(INPUTS), atol=1e-5)
