"""The classifier among scikit-learn's own."""

import pickle
from copy import deepcopy
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits, load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from trainer.errors import Diverged, InvalidSetting
from trainer.estimator import BatchNormMLPClassifier
from trainer.training.records import Epoch, StopTraining

Table = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]
pytestmark = pytest.mark.filterwarnings("ignore:running and population statistics disagree")

# One plain network on numbers as they are, for every epoch.
ALONE: dict[str, Any] = {
    "members": 1,
    "validation_fraction": 0,
    "scaling": None,
    "hidden": (64, 64),
    "input_dropout": 0,
    "periodic": 0,
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "weight_decay": 0,
    "schedule": "constant",
    "warm_up": 0,
    "batch_size": 256,
}
WEIGHTS = "check_sample_weight_equivalence_on_dense_data"


def expected_to_fail(estimator: BatchNormMLPClassifier) -> dict[str, str]:
    if estimator.members != 1:
        return {
            WEIGHTS: "a row of weight 2 stands in one part, and that row twice may stand in two",
            "check_methods_sample_order_invariance": "what is scaled has 32 bits",
            "check_methods_subset_invariance": "what is scaled has 32 bits",
        }
    if estimator.batch_size != 256:
        return {WEIGHTS: "a row of weight 2 is that row twice only within one batch"}
    return {}


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(  # type: ignore[untyped-decorator]
    [
        BatchNormMLPClassifier(**ALONE),
        BatchNormMLPClassifier(**ALONE | {"batch_size": 16}),
        BatchNormMLPClassifier(**ALONE, batch_norm="after"),
        BatchNormMLPClassifier((16,), members=2, epochs=15),
    ],
    expected_failed_checks=expected_to_fail,
)
def test_scikit_learns_own_checks(estimator: BatchNormMLPClassifier, check: Any) -> None:
    """Every one of them; weight equivalence only where a batch holds the whole table."""
    check(estimator)


@pytest.fixture(scope="module")
def digits() -> Table:
    """Rows to train on, to test on, and their classes."""
    inputs, labels = load_digits(return_X_y=True)
    parts: Table = train_test_split(inputs.astype(np.float32) / 16, labels, stratify=labels, random_state=0)
    return parts


def test_it_learns_the_digits(digits: Table) -> None:
    """At least 96 of 100 that it has not seen, within 30 epochs."""
    train, test, train_y, test_y = digits
    classifier = BatchNormMLPClassifier(
        **ALONE | {"hidden": (64,), "epochs": 30, "learning_rate": 3e-3}, random_state=0
    ).fit(train, train_y)

    assert classifier.score(test, test_y) >= 0.96
    assert classifier.n_iter_ == len(classifier.history_.epochs) == 30


def test_a_validation_set_chooses_the_epoch(digits: Table) -> None:
    """One that is handed in, or a share of the rows; training stops `patience` epochs after the best."""
    train, test, train_y, test_y = digits
    settings = ALONE | {"patience": 3, "epochs": 200, "learning_rate": 1e-2, "random_state": 0}
    handed_in = BatchNormMLPClassifier(**settings).fit(train, train_y, validation=(test, test_y))
    held_out = BatchNormMLPClassifier(**settings | {"validation_fraction": 0.2}).fit(train, train_y)

    for classifier in (handed_in, held_out):
        assert classifier.n_iter_ == classifier.history_.best.number + 3 < 200
    chosen = [classifier.history_.best.validation for classifier in (handed_in, held_out)]
    assert chosen[0] is not None
    assert chosen[1] is not None
    assert chosen[0].rows == len(test)
    assert chosen[1].rows == pytest.approx(len(train) * 0.2, abs=1)
    assert handed_in.frozen_.running_loss == pytest.approx(chosen[0].log_loss)


def test_partial_fit_goes_on_where_it_stands(digits: Table) -> None:
    """Piece by piece, one class at a time even, it learns what fit learns."""
    train, test, train_y, test_y = digits
    classifier = BatchNormMLPClassifier(**ALONE | {"batch_size": 64, "learning_rate": 3e-3}, random_state=0)
    for epoch in range(10):
        for piece in np.array_split(np.random.default_rng(epoch).permutation(len(train)), 4):
            classifier.partial_fit(train[piece], train_y[piece], classes=np.arange(10))

    assert classifier.score(test, test_y) >= 0.95
    assert classifier.n_iter_ == 40


def test_partial_fit_refuses_what_it_cannot_learn(digits: Table) -> None:
    """A class it was not told of, and a single row, which has no variance."""
    train, _, train_y, _ = digits
    classifier = BatchNormMLPClassifier().partial_fit(train[:50], train_y[:50], classes=np.arange(10))

    with pytest.raises(ValueError, match="y holds the class 11, which is not among"):
        classifier.partial_fit(train[:2], [3, 11])
    with pytest.raises(ValueError, match="one row has no variance"):
        classifier.partial_fit(train[:1], train_y[:1])
    with pytest.raises(ValueError, match="classes must be passed"):
        BatchNormMLPClassifier().partial_fit(train, train_y)


@pytest.mark.parametrize("copy", [deepcopy, lambda one: pickle.loads(pickle.dumps(one))], ids=["deepcopy", "pickle"])
def test_a_copy_answers_and_learns_alike(digits: Table, copy: Any) -> None:
    """To the bit: weights, frozen statistics, the optimizer's memory and the generator come along."""
    train, test, train_y, _ = digits
    original = BatchNormMLPClassifier(**ALONE, dropout=0.1, epochs=2, random_state=0).fit(train, train_y)
    copied = copy(original)

    np.testing.assert_array_equal(copied.predict_proba(test), original.predict_proba(test))
    for classifier in (original, copied):
        classifier.partial_fit(train, train_y)
    np.testing.assert_array_equal(copied.predict_proba(test), original.predict_proba(test))


@pytest.mark.parametrize("class_weight", ["balanced", {0: 1.0, 1: 9.0}])
def test_class_weights_lift_the_rare_class(class_weight: Any) -> None:
    """With nine rows of one class to one of the other, and both mixed."""
    rng = np.random.default_rng(0)
    labels = (rng.uniform(size=900) < 0.1).astype(int)
    inputs = rng.normal(size=(900, 2)) + labels[:, np.newaxis]
    plain, weighted = (
        BatchNormMLPClassifier(**ALONE | {"hidden": (8,)}, class_weight=weight, epochs=20, random_state=0).fit(
            inputs, labels
        )
        for weight in (None, class_weight)
    )

    assert plain.predict(inputs)[labels == 1].mean() < 0.4
    assert weighted.predict(inputs)[labels == 1].mean() > 0.6


def test_callbacks_see_every_epoch_and_may_stop(digits: Table) -> None:
    """StopTraining ends the fit after the epoch that has just ended."""
    seen: list[Epoch] = []

    def watch(epoch: Epoch) -> None:
        seen.append(epoch)
        if epoch.number == 4:
            raise StopTraining

    classifier = BatchNormMLPClassifier(**ALONE, callbacks=[watch], random_state=0).fit(*digits[::2])

    assert tuple(seen) == classifier.history_.epochs
    assert classifier.n_iter_ == 4


@pytest.mark.thorough
def test_it_works_in_pipelines_and_searches() -> None:
    """Pipeline, grid and random search over plain and numpy values, cross-validation, calibration; text classes."""
    inputs, numbers = load_iris(return_X_y=True)
    labels = np.array(["setosa", "versicolor", "virginica"])[numbers]
    pipeline = make_pipeline(
        StandardScaler(),
        BatchNormMLPClassifier((16,), members=1, batch_size=32, epochs=30, learning_rate=1e-2, random_state=0),
    )
    name = "batchnormmlpclassifier"
    grid = GridSearchCV(pipeline, {f"{name}__hidden": [(8,), (16, 16)], f"{name}__batch_size": [32]}, cv=3, n_jobs=2)
    draws = {f"{name}__learning_rate": np.geomspace(1e-3, 1e-1, 5), f"{name}__batch_size": np.array([16, 32])}
    random = RandomizedSearchCV(pipeline, draws, n_iter=3, cv=3, random_state=0)

    assert cross_val_score(pipeline, inputs, labels, cv=3).mean() > 0.85
    for search in (grid, random):
        assert search.fit(inputs, labels).best_score_ > 0.85
    calibrated = CalibratedClassifierCV(pipeline, cv=3).fit(inputs, labels)
    assert calibrated.score(inputs, labels) > 0.85
    assert set(clone(pipeline).fit(inputs, labels).predict(inputs)) == set(labels)


BAD: dict[str, tuple[Any, str]] = {
    "learning_rate": (0.0, "learning_rate should be greater than 0, not '0.0'"),
    "batch_size": (1, "batch_size must be at least 2 with batch norm"),
    "activation": ("step", "activation should be 'relu'"),
    "hidden": ((8, 0), "hidden should be greater than or equal to 1, not '0'"),
    "class_weight": ("rare", "class_weight"),
    "beta1": (1.5, "beta1 should be less than 1"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_parameter_outside_its_range_is_refused(name: str, digits: Table) -> None:
    """In fit, as scikit-learn does it, with the parameter's name as Python writes it."""
    value, sentence = BAD[name]
    with pytest.raises(ValueError, match=sentence):
        BatchNormMLPClassifier(**{name: value}).fit(*digits[::2])


def test_what_cannot_be_trained_on_is_refused(digits: Table) -> None:
    """One class, no weight, NaN, and a rate that diverges."""
    train, _, train_y, _ = digits
    with pytest.raises(InvalidSetting, match="one class only"):
        BatchNormMLPClassifier().fit(train, np.zeros(len(train)))
    with pytest.raises(ValueError, match=r"[Ss]ample weight"):
        BatchNormMLPClassifier().fit(train, train_y, np.zeros(len(train)))
    with pytest.raises(ValueError, match="NaN"):
        BatchNormMLPClassifier().fit(np.full((4, 2), np.nan), [0, 1, 0, 1])
    with pytest.raises(Diverged):
        BatchNormMLPClassifier(learning_rate=1e300, optimizer="sgd").fit(train, train_y)


def test_softmax_regression_with_two_classes_is_logistic_regression() -> None:
    """No hidden layer, the whole table in one batch, no regularisation: scikit-learn's probabilities and weights."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(500, 3))
    labels = (inputs @ [1.0, -2.0, 0.5] + rng.logistic(size=500) > 0.3).astype(int)
    ours = BatchNormMLPClassifier(
        **ALONE | {"hidden": (), "batch_size": 500, "epochs": 800, "learning_rate": 0.5, "optimizer": "momentum"}
    )
    ours.fit(inputs, labels)
    logistic = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(inputs, labels)

    np.testing.assert_allclose(ours.predict_proba(inputs), logistic.predict_proba(inputs), atol=1e-6)
    weight = ours.network_.layers[0].parameters[0].value
    np.testing.assert_allclose(weight[:, 1] - weight[:, 0], logistic.coef_[0], atol=1e-5)
