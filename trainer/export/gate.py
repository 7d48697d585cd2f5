"""The gate before publishing: the exported graph must answer as the network does."""

import numpy as np

from models.sets import PredictionSets
from trainer.arrays import Array
from trainer.data.rows import Rows
from trainer.errors import ExportMismatch
from trainer.export.graph import Threshold, labels_of, reference_predict
from trainer.export.sets import members_of
from trainer.fitting.trained_classifier import TrainedClassifier

SAMPLE = 1000
TOLERANCE = 1e-5
UNSEEN = "\N{BLACK QUESTION MARK ORNAMENT} a text that no table holds"
EXTREMES = (0.0, 1.0, -1.0, 1e-38, 1e6, -1e6, 1e20, float(np.finfo(np.float32).max), float(np.finfo(np.float32).min))


def check_export(
    model: bytes,
    classifier: TrainedClassifier,
    rows: Rows,
    rng: np.random.Generator,
    threshold: Threshold | None = None,
    sets: PredictionSets | None = None,
) -> float:
    """Compare the graph with the network on 1 000 rows drawn from the table and on edge rows.

    Returns the largest difference between two probabilities.

    :raises ExportMismatch: a probability differs by more than 1e-5, or a label or a set is not what they say.
    """
    drawn = rows.take(rng.choice(len(rows), SAMPLE, replace=len(rows) < SAMPLE))
    return max(_compare(model, classifier, sample, threshold, sets) for sample in (drawn, edge_rows(rows)))


def edge_rows(rows: Rows) -> Rows:
    """Everything missing; texts never seen; every number at an extreme, one row each, under unseen texts."""
    count = 2 + len(EXTREMES)
    numeric = np.full((count, rows.numeric.shape[1]), np.nan, np.float32)
    numeric[2:] = np.array(EXTREMES, np.float32)[:, np.newaxis]
    codes = np.ones((count, rows.codes.shape[1]), np.int32)
    codes[0] = 0
    return Rows(rows.columns, numeric, codes, tuple(("", UNSEEN) for _ in rows.vocabularies))


def _compare(
    model: bytes, classifier: TrainedClassifier, rows: Rows, threshold: Threshold | None, sets: PredictionSets | None
) -> float:
    expected = classifier.predict(rows)
    labels, probabilities, found = reference_predict(model, rows)
    difference = np.abs(probabilities - expected).max()
    if not difference <= TOLERANCE:  # NaN is a mismatch too.
        raise ExportMismatch(
            f"graph and network differ by {difference:.2g}, more than {TOLERANCE:g}; nothing was published"
        )
    _check_labels(labels, probabilities, classifier.classes, threshold)
    wanted = None if sets is None else members_of(probabilities, sets)
    if not np.array_equal(np.asarray(found), np.asarray(wanted)):
        raise ExportMismatch("the graph's sets are not what its probabilities say; nothing was published")
    return float(difference)


def _check_labels(
    labels: list[str], probabilities: Array, classes: tuple[str, ...], threshold: Threshold | None
) -> None:
    if labels != labels_of(probabilities, classes, threshold):
        raise ExportMismatch("the graph's labels are not what its probabilities say; nothing was published")
