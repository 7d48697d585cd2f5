"""What networks say of rows that they did not learn from, computed once for everything that measures it."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from trainer.arrays import Array, Labels
from trainer.fitting.fitted import Fitted
from trainer.fitting.start import Start
from trainer.fitting.trained_classifier import TrainedClassifier
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
    """The answers of what is published on the test rows, and of each member of the bag on its own validation rows.

    Where a student is published, `bag` is what the whole bag says of the test rows. Where there are to be sets, `sets`
    is what is published says of the rows that they are chosen on.
    """

    test: Answers
    validation: tuple[Answers, ...]
    bag: Answers | None = None
    sets: Answers | None = None


def held_out(start: Start, fitted: Fitted) -> HeldOut:
    """Ask trained networks about all rows that they did not learn from."""
    bag, test = fitted.bag, start.part(start.split.test)
    validation = tuple(
        answers_of(
            replace(bag.classifier, networks=(member.network,)), start.part(start.split.folds[member.number].validation)
        )
        for member in bag.members
    )
    teacher = answers_of(bag.classifier, test) if fitted.student else None
    chosen = start.split.sets
    sets = answers_of(fitted.classifier, start.part(chosen)) if len(chosen) else None
    return HeldOut(answers_of(fitted.classifier, test), validation, teacher, sets)


def answers_of(classifier: TrainedClassifier, part: Encoded) -> Answers:
    """Ask a classifier about encoded rows, each network once."""
    probabilities, uncalibrated = classifier.predict_both(part.inputs)
    return Answers(probabilities, uncalibrated, part.labels, part.weights)
