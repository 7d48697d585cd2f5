"""Prediction sets of the classifier."""

from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris, make_classification

from trainer.errors import InvalidSetting
from trainer.estimator import BatchNormMLPClassifier

INPUTS, LABELS = make_classification(1200, 8, n_informative=4, n_classes=4, class_sep=0.7, random_state=0)
INPUTS = INPUTS.astype(np.float32)
pytestmark = pytest.mark.filterwarnings("ignore:running and population statistics disagree")


def fitted(**settings: object) -> BatchNormMLPClassifier:
    classifier = BatchNormMLPClassifier((8,), members=1, epochs=15, random_state=0, coverage=0.9, coverage_rows=0.3)
    return classifier.set_params(**settings).fit(INPUTS[:800], LABELS[:800])


@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.parametrize("scaling", ["robust", None])
def test_the_sets_hold(members: int, scaling: str | None) -> None:
    """On rows that nobody has seen; the likeliest class is in each, and the graph has the same as a third output."""
    classifier = fitted(members=members, scaling=scaling)
    sets = classifier.predict_set(INPUTS[800:])
    probabilities = classifier.predict_proba(INPUTS[800:])
    session = onnxruntime.InferenceSession(classifier.to_onnx().SerializeToString())
    _, said, found = session.run(["label", "probabilities", "set"], {"X": INPUTS[800:]})

    assert sets.shape == (400, 4)
    assert sets[np.arange(400), LABELS[800:]].mean() > 0.85
    assert 1 < sets.sum(axis=1).mean() < 4
    assert sets[np.arange(400), probabilities.argmax(axis=1)].all()
    assert classifier.sets_ is not None
    assert classifier.sets_.rows == 240
    assert (found == sets).mean() > 0.999
    assert found[np.arange(400), said.argmax(axis=1)].all()


def test_a_frame_has_sets_too(penguins: Path) -> None:
    """Of text and missing cells, by the graph of a published model."""
    frame = pd.read_csv(penguins)
    classifier = BatchNormMLPClassifier((8,), members=1, epochs=5, random_state=0, coverage=0.9)
    classifier.fit(frame.drop(columns="species"), frame["species"])

    assert classifier.predict_set(frame.drop(columns="species")).any(axis=1).all()
    assert [one.name for one in classifier.to_onnx().graph.output] == ["label", "probabilities", "set"]


def test_what_cannot_be_is_refused_by_name() -> None:
    """Too few rows, no share, and sets that were not asked for."""
    inputs, labels = load_iris(return_X_y=True)
    quick = BatchNormMLPClassifier((4,), members=1, epochs=1, random_state=0)
    with pytest.raises(InvalidSetting, match="takes 99 rows for the sets alone, and 15 are there; say coverage_rows"):
        clone(quick).set_params(coverage=0.99).fit(inputs, labels)
    with pytest.raises(InvalidSetting, match="coverage should be less than 1"):
        clone(quick).set_params(coverage=1.5).fit(inputs, labels)
    with pytest.raises(InvalidSetting, match="no prediction sets; set coverage="):
        quick.fit(inputs, labels).predict_set(inputs)


def test_a_further_epoch_ends_the_promise() -> None:
    """The network that the threshold was chosen with is another one now."""
    classifier = fitted()
    classifier.partial_fit(INPUTS, LABELS)

    assert classifier.sets_ is None
