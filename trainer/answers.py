"""What a bag says of rows that its networks did not learn from, computed once for everything that measures it."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from trainer.arrays import Array, Labels
from trainer.bag import Bag, Start
from trainer.classifier import Classifier
from trainer.training.records import Encoded


@dataclass(frozen=True, eq=False)
class Answers:
    """Probabilities (n, classes) beside the labels (n,) and the weights (n,) of the rows, None where all count alike.

    `uncalibrated` is what the same networks say without the calibrator.
    """

    probabilities: Array
    uncalibrated: Array
    labels: Labels
    weights: Array | None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def counts(self) -> npt.NDArray[np.float64]:
        """How much each row counts, shape (n,)."""
        return np.ones(len(self)) if self.weights is None else self.weights.astype(np.float64)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The answers of the whole bag on the test rows, and of each network alone on its own validation rows."""

    test: Answers
    validation: tuple[Answers, ...]


def held_out(start: Start, bag: Bag) -> HeldOut:
    """Ask a trained bag about all rows that it did not learn from."""
    # Ctrl-C leaves fewer members than folds.
    validation = tuple(
        answers_of(replace(bag.classifier, networks=(member.network,)), start.part(fold.validation))
        for member, fold in zip(bag.members, start.split.folds, strict=False)
    )
    return HeldOut(answers_of(bag.classifier, start.part(start.split.test)), validation)


def answers_of(classifier: Classifier, part: Encoded) -> Answers:
    """Ask a classifier about encoded rows, each network once."""
    probabilities, uncalibrated = classifier.predict_both(part.inputs)
    return Answers(probabilities, uncalibrated, part.labels, part.weights)
