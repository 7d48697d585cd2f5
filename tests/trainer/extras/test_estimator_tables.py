"""The classifier on frames with texts, categories, booleans, dates and gaps, and by scikit-learn's own names."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.model_selection import cross_val_score

from trainer.errors import InvalidSetting, InvalidTable
from trainer.estimator import BatchNormMLPClassifier
from trainer.estimator.framed import read_alike

QUICK: dict[str, Any] = {
    "members": 1,
    "validation_fraction": 0,
    "epochs": 20,
    "batch_size": 32,
    "learning_rate": 1e-2,
    "schedule": "constant",
    "compiled": False,
    "random_state": 0,
}
pytestmark = pytest.mark.filterwarnings("ignore:running and population statistics disagree")


@pytest.fixture(scope="module")
def frame(penguins: Path) -> pd.DataFrame:
    """The penguins, with a category, a boolean and a date beside their numbers and texts; some of each missing."""
    frame = pd.read_csv(penguins)
    days = pd.to_datetime(frame.year.astype(str) + "-07-01")
    return frame.assign(
        island=frame.island.astype("category"),
        tall=(frame.flipper_length_mm > 200).astype("boolean").mask(frame.flipper_length_mm.isna()),
        day=days.mask(frame.index % 50 == 3),
    ).drop(columns="year")


def test_a_table_is_the_same_from_every_library(frame: pd.DataFrame) -> None:
    """Read, scaled and encoded: it is learned, and the same to the bit; names and a copy come along."""
    rows, labels = frame.drop(columns="species"), frame.species
    frames: list[Any] = [rows, pl.from_pandas(rows), pa.Table.from_pandas(rows)]

    fitted = [BatchNormMLPClassifier(**QUICK).fit(one, labels) for one in frames]
    answers = [one.predict_proba(table) for one, table in zip(fitted, frames, strict=True)]
    assert fitted[0].score(rows, labels) > 0.97
    assert [column.kind for column in fitted[0].columns_] == [
        *("categorical", "numeric", "numeric", "numeric", "numeric", "categorical", "categorical", "date")
    ]
    for one, found in zip(fitted, answers, strict=True):
        assert one.feature_names_in_.tolist() == list(rows.columns)
        assert found.tobytes() == answers[0].tobytes()
    copy = pickle.loads(pickle.dumps(fitted[0]))
    assert copy.predict_proba(rows).tobytes() == answers[0].tobytes()
    assert fitted[0].partial_fit(rows, labels).n_iter_ == 21


def test_what_is_fitted_is_fitted_on_training_rows(frame: pd.DataFrame) -> None:
    """A text that stands in held-out rows alone is not known; cross-validation and weights take tables too."""
    rows, labels = frame.drop(columns="species"), frame.species
    weights = np.ones(len(rows))
    weights[rows.island == "Dream"] = 0
    left_out = BatchNormMLPClassifier(**QUICK).fit(rows, labels, weights)

    assert left_out.encoder_.categories[0] == ("Biscoe", "Torgersen")
    odd = rows.assign(sex=[f"sex {row}" for row in range(len(rows))])[["sex", "body_mass_g"]].iloc[::20]
    odd = pd.concat([odd] * 2)
    held = BatchNormMLPClassifier(**QUICK | {"validation_fraction": 0.5}).fit(odd, frame.species.loc[odd.index])
    assert len(held.encoder_.categories[0]) < odd.sex.nunique()
    assert cross_val_score(BatchNormMLPClassifier(**QUICK), rows, labels, cv=3).mean() > 0.95


def test_a_frame_of_numbers_alone_is_a_matrix(frame: pd.DataFrame) -> None:
    """To the bit the same as its array."""
    rows = frame[["bill_length_mm", "body_mass_g"]].fillna(0) / 1000
    of_frame, of_matrix = (
        BatchNormMLPClassifier(**QUICK).fit(one, frame.species).predict_proba(one) for one in (rows, rows.to_numpy())
    )

    assert of_frame.tobytes() == of_matrix.tobytes()


def test_a_table_that_cannot_be_read_is_refused(frame: pd.DataFrame) -> None:
    """In words: another frame than the one it was fitted on, and one that comes in pieces."""
    rows, labels = frame.drop(columns="species"), frame.species
    fitted = BatchNormMLPClassifier(**QUICK | {"epochs": 1}).fit(rows, labels)
    with pytest.raises(InvalidSetting, match="X must be a frame"):
        fitted.predict(rows.to_numpy())
    with pytest.raises(InvalidTable, match=r"X is a LazyFrame; a lazy one has no rows yet: hand in frame\.collect\(\)"):
        BatchNormMLPClassifier().fit(pl.from_pandas(rows).lazy(), labels)  # type: ignore[arg-type]
    with pytest.raises(InvalidSetting, match=r"hidden is the units of each layer; write hidden=\(32,\)"):
        BatchNormMLPClassifier(hidden_layer_sizes=32).fit(rows, labels)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.predict(rows.rename(columns={"sex": "gender"}))
    with pytest.raises(InvalidTable, match="row 1, column 'body_mass_g': 'heavy' is no number"):
        fitted.predict(rows.assign(body_mass_g="heavy"))
    with pytest.raises(InvalidTable, match="X has no column 'sex'"):
        read_alike(pl.from_pandas(rows).drop("sex"), fitted.columns_, fitted.encoder_)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        fitted.fit(rows, labels[:-1])
    with pytest.raises(InvalidSetting, match="partial_fit begins with numbers alone"):
        BatchNormMLPClassifier().partial_fit(rows, labels, classes=labels.unique())


def test_a_table_is_exported_as_a_published_model_is(frame: pd.DataFrame) -> None:
    """Raw values in: onnxruntime gives the classifier's probabilities."""
    rows, labels = frame.drop(columns="species"), frame.species
    fitted = BatchNormMLPClassifier(**QUICK).fit(rows, labels)
    raw = read_alike(rows, fitted.columns_, fitted.encoder_)
    session = onnxruntime.InferenceSession(fitted.to_onnx().SerializeToString(), providers=["CPUExecutionProvider"])
    found, probabilities = session.run(["label", "probabilities"], {"numeric": raw.numeric, "categorical": raw.texts()})

    np.testing.assert_allclose(probabilities, fitted.predict_proba(rows), atol=1e-5)
    assert found.tolist() == fitted.predict(rows).tolist()


@pytest.mark.parametrize("labels", [[0.0, 1.0], [1.5, 2.5], [3, 7], ["no", "yes"], [False, True]])
def test_labels_come_back_as_they_went_in(labels: list[Any]) -> None:
    """From predict, with the type of the labels; from the exported graph, as numbers or texts."""
    inputs = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    y = np.array(labels)[(inputs[:, 0] > 0).astype(int)]
    if labels[0] == 1.5:
        with pytest.raises(ValueError, match="Unknown label type"):
            BatchNormMLPClassifier(**QUICK).fit(inputs, y)
        return
    fitted = BatchNormMLPClassifier(**QUICK).fit(inputs, y)
    session = onnxruntime.InferenceSession(fitted.to_onnx().SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(["label"], {"X": inputs})

    assert fitted.predict(inputs).dtype == y.dtype
    assert found.tolist() == fitted.predict(inputs).tolist()
    assert type(found.tolist()[0]) is (int if labels[0] is False else type(labels[0]))


def test_a_search_may_set_either_name_of_a_parameter() -> None:
    """Whatever name it had before."""
    classifier = BatchNormMLPClassifier((16,)).set_params(hidden_layer_sizes=(8,))
    again = clone(classifier).set_params(hidden=(4,))

    assert classifier._config().hidden == (8,)
    assert again._config().hidden == (4,)


def test_scikit_learns_names_mean_the_same() -> None:
    """Another name for a parameter is that parameter; both at once are refused. `loss_curve_` is each epoch's loss."""
    inputs = np.random.default_rng(0).normal(size=(200, 3))
    y = (inputs[:, 0] + inputs[:, 1] > 0).astype(int)
    names: dict[str, Any] = {"hidden_layer_sizes": (8,), "learning_rate_init": 0.1, "n_iter_no_change": 1}
    ours: dict[str, Any] = {"hidden": (8,), "learning_rate": 0.1, "patience": 1}
    others: dict[str, Any] = {"members": 1, "epochs": 40, "compiled": False, "random_state": 0}
    theirs = BatchNormMLPClassifier(**names, early_stopping=True, validation_fraction=0, **others).fit(inputs, y)
    own = BatchNormMLPClassifier(**ours, **others).fit(inputs, y)

    np.testing.assert_array_equal(theirs.predict_proba(inputs), own.predict_proba(inputs))
    assert theirs.loss_curve_ == [epoch.loss for epoch in own.history_.epochs]
    assert theirs.n_iter_ == len(theirs.loss_curve_) < 40
    whole = BatchNormMLPClassifier(**ours, early_stopping=False, **others)
    assert whole.fit(inputs, y).n_iter_ == 40
    with pytest.raises(InvalidSetting, match="hidden and hidden_layer_sizes are two names of one parameter"):
        BatchNormMLPClassifier(hidden=(8,), hidden_layer_sizes=(8,)).fit(inputs, y)
