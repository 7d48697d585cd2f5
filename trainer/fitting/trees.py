"""Gradient-boosted trees that teach beside a bag of networks (Friedman 2001; scikit-learn's, on the encoded rows).

Trees know rules over codes and thresholds that a network takes long to learn. One model is trained for each member of
the bag, on the rows that the member learned from, and stopped by those that stopped the member. The only module of the
training that knows scikit-learn.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from models.extras import way_to
from trainer.arrays import Array, Inputs
from trainer.errors import InvalidSetting, MissingExtra
from trainer.fitting.members import Bag
from trainer.fitting.start import Start
from trainer.settings.config import TrainingConfig
from trainer.threads import one_core
from trainer.training.records import Encoded

MOST_ROUNDS, PATIENCE = 500, 20


@dataclass(frozen=True, eq=False)
class Trees:
    """The models, one for each member of a bag, and how many classes there are."""

    models: tuple[Any, ...]
    classes: int

    @classmethod
    def beside(cls, bag: Bag, config: TrainingConfig, start: Start) -> Self:
        """Train a model on the rows of each member.

        :raises MissingExtra: scikit-learn is not installed, or too old.
        """
        grow, folds = grower(config), [start.split.folds[member.number] for member in bag.members]
        with one_core():
            models = [grow(start.part(fold.train), start.part(fold.validation)) for fold in folds]
        return cls(tuple(models), len(start.examples.classes))

    def predict_encoded(self, inputs: Inputs) -> Array:
        """Class probabilities of encoded rows (n, width), the mean of the models', shape (n, classes)."""
        answers = np.zeros((len(inputs), self.classes), np.float32)
        for model in range(len(self.models)):
            answers += self.answer_of(model, inputs)
        answers /= np.float32(len(self.models))
        return answers

    def answer_of(self, model: int, inputs: Inputs) -> Array:
        """Class probabilities that one model gives, shape (n, classes); 0 for a class that it has not seen."""
        answers = np.zeros((len(inputs), self.classes), np.float32)
        with one_core():
            answers[:, self.models[model].classes_] = self.models[model].predict_proba(inputs[:])
        return answers


def grower(config: TrainingConfig) -> Callable[[Encoded, Encoded], Any]:
    """What trains one model, on rows of training and rows of validation.

    :raises MissingExtra: scikit-learn is not installed, or too old.
    """
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier
        from sklearn.utils.validation import has_fit_parameter
    except ImportError:
        raise _missing(config) from None
    if not has_fit_parameter(HistGradientBoostingClassifier(), "X_val"):
        raise _missing(config)
    balanced = "balanced" if config.class_weight == "balanced" else None

    def grow(train: Encoded, validation: Encoded) -> Any:
        model = HistGradientBoostingClassifier(
            max_iter=MOST_ROUNDS,
            early_stopping=True,
            n_iter_no_change=PATIENCE,
            class_weight=balanced,
            random_state=config.seed % 2**32,
        )
        known = np.isin(validation.labels, train.labels)
        weights = None if validation.weights is None else validation.weights[known]
        return model.fit(
            train.inputs[:],
            train.labels,
            train.weights,
            X_val=validation.inputs[:][known],
            y_val=validation.labels[known],
            sample_weight_val=weights,
        )

    return grow


def _missing(config: TrainingConfig) -> MissingExtra:
    needs = f"--teacher {config.teacher} needs scikit-learn 1.7 or later"
    return MissingExtra(f"{needs}; leave it out, or {way_to('sklearn')}")


def check_library(config: TrainingConfig) -> None:
    """Refuse before a table is read what would fail after it.

    :raises MissingExtra: trees are to teach, and scikit-learn is not installed, or too old.
    """
    if config.teacher != "bag":
        grower(config)


def check_trees(config: TrainingConfig, start: Start) -> None:
    """Refuse what would fail when the bag is trained already.

    :raises MissingExtra: scikit-learn is not installed, or too old.
    :raises InvalidSetting: the table is larger than memory.
    """
    check_library(config)
    if start.examples.long:
        raise InvalidSetting(
            f"--teacher {config.teacher} needs the rows in memory, and the table is larger: type --memory with as much "
            "as it takes, or leave --teacher out"
        )
