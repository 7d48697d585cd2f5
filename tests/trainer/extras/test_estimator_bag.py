"""The classifier's bag, student and calibration: those of `evenkeel fit`, with its defaults."""

import pickle
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.utils import check_random_state

from trainer.data.rows import Examples
from trainer.errors import InvalidSetting, InvalidTable
from trainer.estimator import BatchNormMLPClassifier
from trainer.estimator.framed import read_new
from trainer.job.job import train_on
from trainer.settings.config import TrainingConfig
from trainer.training.records import Epoch, StopTraining

QUICK: dict[str, Any] = {"hidden": (8,), "epochs": 10, "members": 3, "random_state": 0}
pytestmark = pytest.mark.filterwarnings("ignore:running and population statistics disagree")


@pytest.fixture(scope="module")
def frame(penguins: Path) -> pd.DataFrame:
    return pd.read_csv(penguins)


def test_every_default_is_that_of_fit() -> None:
    """There is one table of defaults; what `fit` lacks is scikit-learn's, and says nothing unless it is set."""
    names = {"validation_fraction": "validation"}
    fields = TrainingConfig.model_fields
    ours = signature(BatchNormMLPClassifier).parameters
    shared = {name: fields[names.get(name, name)].default for name in ours if names.get(name, name) in fields}

    assert {name: ours[name].default for name in shared} == shared
    assert {name for name in ours if name not in shared and ours[name].default not in (None, ())} == set()
    assert {"members", "distil", "student", "scaling", "class_weight", "validation_fraction"} <= set(shared)


@pytest.mark.parametrize(("members", "distil"), [(3, True), (3, False), (1, True)])
def test_it_is_trained_as_a_job_trains(frame: pd.DataFrame, members: int, distil: bool) -> None:
    """The same rows and seed: the same probabilities to the bit, from the student, the calibrated bag or one alone."""
    rows, labels = frame.drop(columns="species"), frame.species
    given = QUICK | {"members": members, "distil": distil}
    ours = BatchNormMLPClassifier(**given).fit(rows, labels)
    seed = int(check_random_state(0).randint(2**31 - 1))
    settings = {name: value for name, value in given.items() if name != "random_state"}
    config = TrainingConfig.of(table="t.csv", target="species", name="t", seed=seed, **settings)
    raw = read_new(rows)
    classes, codes = np.unique(labels, return_inverse=True)
    theirs = train_on(config, Examples(raw, codes, tuple(classes)))

    assert len(ours.networks_) == len(theirs.networks) == (1 if distil else members)
    np.testing.assert_array_equal(ours.predict_proba(rows), theirs.predict(raw))
    assert ours.score(rows, labels) > 0.95
    copy = pickle.loads(pickle.dumps(ours))
    assert copy.predict_proba(rows).tobytes() == ours.predict_proba(rows).tobytes()


def test_numbers_of_any_size_are_scaled() -> None:
    """A column a million times another is learned all the same, from a matrix too."""
    inputs = np.random.default_rng(0).normal(size=(300, 2)) * [1e6, 1.0]
    y = inputs[:, 0] / 1e6 + inputs[:, 1] > 0

    assert BatchNormMLPClassifier(**QUICK | {"epochs": 30}).fit(inputs, y).score(inputs, y) > 0.95


@pytest.fixture(scope="module")
def codes() -> tuple[Any, Any]:
    """Two codes, each with a weight by chance, say the class; a number says a little."""
    rng = np.random.default_rng(5)
    weights = rng.normal(size=(2, 24))
    first, second = rng.integers(0, 24, (2, 900))
    size = rng.normal(size=900)
    return np.column_stack([first, second, size]), weights[0, first] + weights[1, second] + 0.2 * size > 0


def test_one_network_gets_what_suits_the_table(codes: tuple[Any, Any]) -> None:
    """As `fit --members 1` chooses; by rows that are handed in too, and not where numbers are to be left alone."""
    rows, labels = codes
    one: dict[str, Any] = {"hidden": (32,), "epochs": 15, "members": 1, "compiled": False, "random_state": 0}
    chosen, plain = (BatchNormMLPClassifier(**one, selection=given) for given in (True, False))
    for held_out in (None, (rows[600:], labels[600:])):
        chosen.fit(rows[:600], labels[:600], validation=held_out)
        plain.fit(rows[:600], labels[:600], validation=held_out)

        assert chosen.encoder_.as_categories == (0, 1)
        assert plain.encoder_.as_categories == ()
        assert chosen.score(rows[600:], labels[600:]) > plain.score(rows[600:], labels[600:]) + 0.05
    assert BatchNormMLPClassifier(**one, scaling=None).fit(rows, labels).encoder_ is None


@pytest.mark.parametrize("members", [1, 2])
def test_a_callback_stops_every_network(codes: tuple[Any, Any], members: int) -> None:
    """Those that are tried too, so that none is better for having been trained for longer; each epoch is told once."""
    seen: list[Epoch] = []

    def watch(epoch: Epoch) -> None:
        seen.append(epoch)
        if epoch.number == 5:
            raise StopTraining

    settings: dict[str, Any] = {"hidden": (32,), "epochs": 20, "members": members, "distil": False, "random_state": 0}
    classifier = BatchNormMLPClassifier(**settings, callbacks=[watch]).fit(*codes)

    assert classifier.encoder_.as_categories == (0, 1)
    assert classifier.n_iter_ == 5
    # The defaults and several candidates.
    assert [epoch.number for epoch in seen] == [1, 2, 3, 4, 5] * (len(seen) // 5)
    assert len({id(epoch) for epoch in seen}) == len(seen) > 5 * members * 2
    assert set(classifier.history_.epochs) <= set(seen)


def test_rows_that_are_handed_in_choose_the_epochs(frame: pd.DataFrame) -> None:
    """Of every member, by their weights; a class weight counts too."""
    rows, labels = frame.drop(columns="species"), frame.species
    held = np.arange(len(frame)) % 4 == 0
    weight = {"Adelie": 1.0, "Chinstrap": 3.0, "Gentoo": 1.0}
    fitted = BatchNormMLPClassifier(**QUICK, distil=False, class_weight=weight, validation_fraction=0)
    fitted.fit(rows[~held], labels[~held], validation=(rows[held], labels[held], np.ones(held.sum())))

    assert len(fitted.networks_) == 3
    assert fitted.history_.best.validation is not None
    assert fitted.history_.best.validation.rows == held.sum()
    assert fitted.score(rows[held], labels[held]) > 0.9


def test_partial_fit_goes_on_with_one_network_alone(frame: pd.DataFrame) -> None:
    """With the student; of a bag it says what leaves one."""
    rows, labels = frame.drop(columns="species"), frame.species
    student, bag = (BatchNormMLPClassifier(**QUICK, distil=one).fit(rows, labels) for one in (True, False))
    epochs = student.n_iter_

    assert student.partial_fit(rows, labels).n_iter_ == epochs + 1
    assert student.score(rows, labels) > 0.95
    with pytest.raises(InvalidSetting, match="3 answer together; members=1 or distil=True leaves one"):
        bag.partial_fit(rows, labels)


def test_what_a_bag_cannot_be_trained_on_is_refused(frame: pd.DataFrame) -> None:
    """Every refusal is a ValueError too, as scikit-learn's are: no validation rows, too few rows, a cell."""
    rows, labels = frame.drop(columns="species"), frame.species
    with pytest.raises(InvalidSetting, match="members=3 need rows that choose their epochs"):
        BatchNormMLPClassifier(**QUICK, validation_fraction=0).fit(rows, labels)
    with pytest.raises(ValueError, match="validation_fraction should be 0 or more and less than 1"):
        BatchNormMLPClassifier(**QUICK, validation_fraction=1.5).fit(rows, labels)
    with pytest.raises(ValueError, match="at least 10 are needed"):
        BatchNormMLPClassifier(**QUICK).fit(rows[::60], labels[::60])
    fitted = BatchNormMLPClassifier(**QUICK | {"members": 1, "epochs": 1}).fit(rows, labels)
    with pytest.raises(ValueError, match="'heavy' is no number") as refused:
        fitted.predict(rows.assign(body_mass_g="heavy"))
    assert isinstance(refused.value, InvalidTable)
