import json

import numpy as np
import pytest

from service.errors import Detail
from service.prediction.wording import Wording

CLASSES = ["<=50K", 'a "quoted", one', "100 %b", "🐧", "tab\t", "-1"]


def test_predictions_are_json_and_the_same_floats() -> None:
    """Whatever the classes are called; each number reads back as the 32-bit float that it was."""
    probabilities = np.random.default_rng(0).dirichlet(np.ones(6) / 10, size=200).astype(np.float32)
    words = Wording(CLASSES).predictions(probabilities, {3: [{"feature": "x", "code": "y", "message": "%b"}]})

    for index, (word, row) in enumerate(zip(words, probabilities, strict=True)):
        prediction = json.loads(word)
        assert list(prediction["probabilities"]) == CLASSES
        np.testing.assert_array_equal(np.array(list(prediction["probabilities"].values()), np.float32), row)
        assert prediction["label"] == CLASSES[row.argmax()]
        assert prediction["probability"] == max(prediction["probabilities"].values())
        assert prediction.get("warnings") == ([{"feature": "x", "code": "y", "message": "%b"}] if index == 3 else None)


@pytest.mark.parametrize("row", [[0.0, 1.0], [0.5, 0.5], [1e-45, 1.0]])
def test_certain_and_tiny_probabilities_are_told_as_they_are(row: list[float]) -> None:
    """Zero and one, and of equal ones the first class."""
    (word,) = Wording(["a", "b"]).predictions(np.array([row], np.float32), {})
    prediction = json.loads(word)

    assert [np.float32(value) for value in prediction["probabilities"].values()] == [np.float32(value) for value in row]
    assert prediction["label"] == ("a" if row[0] >= row[1] else "b")


@pytest.mark.parametrize("concerned", [False, True])
def test_many_rows_at_once_are_worded_as_one_by_one(concerned: bool) -> None:
    """Rows without warnings fill in one template together, those of a part with some one each: the same bytes."""
    probabilities = np.random.default_rng(0).dirichlet(np.ones(6) / 10, size=20_000).astype(np.float32)
    warning: Detail = {"feature": "x", "code": "y", "message": "%b"}
    warnings = {15_000: [warning]} if concerned else {}
    wording = Wording(CLASSES)

    assert b",".join(wording.joined(probabilities, warnings)) == b",".join(wording.predictions(probabilities, warnings))
