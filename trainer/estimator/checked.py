"""What an estimator is handed: rows, classes and weights, checked as scikit-learn does it."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, _check_y, check_consistent_length, validate_data

from trainer.arrays import Array, Labels
from trainer.data.rows import Column, Rows
from trainer.errors import InvalidSetting
from trainer.estimator.framed import check_collected, check_frame, is_table, read_alike, read_new

# Rows that are numbers or, of a frame, still raw; targets and weights.
Checked = tuple[Array | Rows, npt.NDArray[Any], Array | None]
Validation = tuple[Any, Any] | tuple[Any, Any, Any]


def checked(estimator: Any, X: Any, y: Any, sample_weight: Any, *, new: bool) -> Checked:  # noqa: N803
    """Rows, targets and weights, without the rows that count for nothing; `new` ones say which columns there are.

    :raises ValueError: they cannot be learned from.
    """
    check_collected(X)
    inputs: Array | Rows
    if is_table(X) if new else estimator.reads_frames_:
        inputs = read_new(X) if new else read(estimator, X)
        validate_data(estimator, X, skip_check_array=True, reset=new)
        y = _check_y(y, estimator=estimator)
        check_consistent_length(inputs, y)
    else:
        inputs, y = validate_data(estimator, X, y, dtype=[np.float64, np.float32], reset=new)
    check_classification_targets(y)
    if sample_weight is None:
        return inputs, y, None
    dtype = np.float32 if isinstance(inputs, Rows) else inputs.dtype
    weights = _check_sample_weight(sample_weight, y, dtype=dtype, ensure_non_negative=True)
    count = np.flatnonzero(weights > 0)
    if not len(count):
        raise InvalidSetting("every sample weight is 0; at least one row must count")
    return inputs.take(count) if isinstance(inputs, Rows) else inputs[count], y[count], weights[count]


def read(estimator: Any, X: Any) -> Rows:  # noqa: N803
    """The rows of a frame like the one that the estimator was fitted on."""
    check_frame(X)
    validate_data(estimator, X, skip_check_array=True, reset=False)
    return read_alike(X, estimator.columns_, estimator.encoder_)


def columns_of(estimator: Any) -> tuple[Column, ...]:
    """The columns of a matrix of numbers, none missing."""
    names = getattr(estimator, "feature_names_in_", [f"x{number}" for number in range(estimator.n_features_in_)])
    return tuple(Column(str(name), "numeric", nullable=False) for name in names)


def as_rows(inputs: Array | Rows, columns: tuple[Column, ...]) -> Rows:
    """A matrix of numbers as rows; rows stay what they are."""
    if isinstance(inputs, Rows):
        return inputs
    # What is too large for 32 bits scales to the edge, as infinity does.
    with np.errstate(over="ignore"):
        return Rows(columns, inputs.astype(np.float32), np.empty((len(inputs), 0), np.int32), ())


def labels_of(y: npt.NDArray[Any], classes: npt.NDArray[Any]) -> Labels:
    """The place of each target among the classes.

    :raises InvalidSetting: one is not among them.
    """
    labels = np.minimum(np.searchsorted(classes, y), len(classes) - 1)
    unknown = y[classes[labels] != y]
    if len(unknown):
        raise InvalidSetting(f"y holds the class {unknown[0]}, which is not among {', '.join(map(str, classes))}")
    return labels


def class_factors(class_weight: Any, classes: npt.NDArray[Any]) -> npt.NDArray[np.float64] | None:
    """What a mapping from class to weight says of each class; None where there is none."""
    if class_weight is None or isinstance(class_weight, str):
        return None
    factors: npt.NDArray[np.float64] = compute_class_weight(class_weight, classes=classes, y=classes)
    return factors


def triple(validation: Validation) -> tuple[Any, Any, Any]:
    """Rows, targets, and weights or None."""
    inputs, y, *weights = validation
    return inputs, y, weights[0] if weights else None
