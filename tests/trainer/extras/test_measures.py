"""The measures held against scikit-learn's."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from trainer.measures.scores import measure


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("weighed", [False, True])
def test_every_measure_is_scikit_learns(classes: int, weighed: bool) -> None:
    """On random answers with ties among them, with row weights and without."""
    rng = np.random.default_rng(classes)
    labels = rng.integers(0, classes, 400)
    logits = rng.normal(size=(400, classes)).round(1) + 1.5 * np.eye(classes)[labels] * rng.random((400, 1))
    answers = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)
    weights = rng.integers(1, 5, 400).astype(np.float32) if weighed else None
    found = measure(answers, labels, tuple(map(str, range(classes))), weights)
    predicted = answers.argmax(axis=1)
    precision, recall, f1, _ = sklearn_metrics.precision_recall_fscore_support(
        labels, predicted, sample_weight=weights, zero_division=0
    )
    if classes == 2:
        area = sklearn_metrics.roc_auc_score(labels, answers[:, 1], sample_weight=weights)
    else:
        area = np.mean(
            [
                sklearn_metrics.roc_auc_score(labels == label, answers[:, label], sample_weight=weights)
                for label in range(classes)
            ]
        )

    assert found.auc == pytest.approx(area, abs=1e-6)
    assert found.log_loss == pytest.approx(sklearn_metrics.log_loss(labels, answers, sample_weight=weights), abs=1e-6)
    assert found.accuracy == pytest.approx(sklearn_metrics.accuracy_score(labels, predicted, sample_weight=weights))
    assert found.macro_f1 == pytest.approx(f1.mean(), abs=1e-5)
    assert [one.precision for one in found.classes] == pytest.approx(precision, abs=1e-5)
    assert [one.recall for one in found.classes] == pytest.approx(recall, abs=1e-5)
    matrix = sklearn_metrics.confusion_matrix(labels, predicted, sample_weight=weights)
    assert np.array_equal(found.confusion.counts, matrix)
