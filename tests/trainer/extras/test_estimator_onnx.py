"""The classifier as ONNX, alone and in a pipeline."""

import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import onnxruntime
import pytest
import skl2onnx
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trainer.estimator import BatchNormMLPClassifier
from trainer.export.pipeline import register_converter
from trainer.nn.activations import ACTIVATIONS

INPUTS, NUMBERS = load_iris(return_X_y=True)
INPUTS = INPUTS.astype(np.float32)
pytestmark = pytest.mark.filterwarnings("ignore:running and population statistics disagree")
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
@pytest.mark.parametrize("members", [1, 2])
def test_it_exports_itself(labels: Any, dtype: Any, members: int) -> None:
    """Labels of any kind come back as they were; the probabilities agree within 1e-5."""
    classifier = BatchNormMLPClassifier((8,), members=members, distil=False, epochs=5, random_state=0)
    classifier.fit(INPUTS.astype(dtype), labels)
    label, probabilities = run(classifier.to_onnx())

    np.testing.assert_allclose(probabilities, classifier.predict_proba(INPUTS), atol=1e-5)
    assert label.tolist() == classifier.predict(INPUTS).tolist()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_users_own_pipeline_exports(activation: str) -> None:
    """With skl2onnx as it is, nothing registered; dropout is gone and batch norm is frozen."""
    classifier = BatchNormMLPClassifier(
        (8, 8), members=1, scaling=None, activation=activation, dropout=0.1, epochs=5, random_state=0
    )
    pipeline = make_pipeline(StandardScaler(), classifier).fit(INPUTS, NUMBERS)
    label, probabilities = run(skl2onnx.to_onnx(pipeline, INPUTS[:1]))

    np.testing.assert_allclose(probabilities, pipeline.predict_proba(INPUTS), atol=1e-5)
    assert label.tolist() == pipeline.predict(INPUTS).tolist()


# What is chosen for a network is no matter here.
ONE = BatchNormMLPClassifier((8,), members=1, selection=False, epochs=5, random_state=2)
AROUND = {
    "grid search": GridSearchCV(ONE, {"hidden": [(8,), (4,)]}, cv=2),
    "bag and student": BatchNormMLPClassifier((8,), members=2, epochs=5, random_state=0),
    "calibrated": CalibratedClassifierCV(ONE, cv=2),
    "calibrated in one": CalibratedClassifierCV(ONE, cv=2, ensemble=False),
    "stacked": StackingClassifier([("ours", ONE), ("theirs", LogisticRegression())], cv=2),
    "bagged": BaggingClassifier(ONE, n_estimators=2, random_state=0),
    "one against the rest": OneVsRestClassifier(ONE),
    "one against one": OneVsOneClassifier(ONE),
    "voting": VotingClassifier(
        [("ours", ONE), ("theirs", LogisticRegression())], voting="soft", flatten_transform=False
    ),
}


EXPORTS = """
import pickle, sys
import skl2onnx
fitted, rows = pickle.load(sys.stdin.buffer)
models = {name: skl2onnx.to_onnx(one, rows[:1]).SerializeToString() for name, one in fitted.items()}
pickle.dump(models, sys.stdout.buffer)
"""


def test_what_is_built_around_it_exports() -> None:
    """With skl2onnx as it is, in a process where nobody has registered anything or fitted one."""
    fitted = {name: clone(one).fit(INPUTS, NUMBERS) for name, one in AROUND.items()}
    told = pickle.dumps((fitted, INPUTS))
    exported = subprocess.run([sys.executable, "-c", EXPORTS], input=told, capture_output=True, check=True)
    for name, model in pickle.loads(exported.stdout).items():
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        label, probabilities = session.run(None, {"X": INPUTS})
        if isinstance(probabilities, list):
            probabilities = np.array([[row[one] for one in range(3)] for row in probabilities])

        if hasattr(fitted[name], "predict_proba"):
            np.testing.assert_allclose(probabilities, fitted[name].predict_proba(INPUTS), atol=1e-5, err_msg=name)
        assert label.ravel().tolist() == fitted[name].predict(INPUTS).tolist()


def test_of_a_random_search_the_best_exports() -> None:
    """skl2onnx knows grid searches alone."""
    search = RandomizedSearchCV(ONE, {"hidden": [(8,), (4,)]}, n_iter=1, cv=2, random_state=0).fit(INPUTS, NUMBERS)
    _, probabilities = run(search.best_estimator_.to_onnx())

    np.testing.assert_allclose(probabilities, search.predict_proba(INPUTS), atol=1e-5)


@pytest.mark.parametrize("zipmap", [True, False])
def test_registered_it_takes_skl2onnxs_options(zipmap: bool) -> None:
    """`zipmap`, above all."""
    register_converter(BatchNormMLPClassifier)
    pipeline = make_pipeline(StandardScaler(), BatchNormMLPClassifier((8,), members=1, epochs=5)).fit(INPUTS, NUMBERS)
    options = {id(pipeline): {"zipmap": zipmap}}
    _, probabilities = run(skl2onnx.to_onnx(pipeline, INPUTS[:1], options=options))
    if zipmap:
        probabilities = np.array([[row[one] for one in range(3)] for row in probabilities])

    np.testing.assert_allclose(probabilities, pipeline.predict_proba(INPUTS), atol=1e-5)
