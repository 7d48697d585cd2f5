"""What a student learns from: a bag of networks and, where the settings say so, gradient-boosted trees beside it."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from trainer.arrays import Array, Inputs
from trainer.fitting.members import Bag
from trainer.fitting.start import Start
from trainer.fitting.trees import Trees
from trainer.measures.scores import gain_over, losses_of
from trainer.settings.config import TrainingConfig

# The shares of the trees that validation rows choose from.
SHARES = (0.25, 0.5, 0.75)


@dataclass(frozen=True, eq=False)
class Teacher:
    """The bag alone, or with trees, whose answers have a `share` in the teacher's."""

    bag: Bag
    trees: Trees | None = None
    share: float = 0.0

    @classmethod
    def of(cls, bag: Bag, config: TrainingConfig, start: Start) -> Self:
        """The teacher that the settings ask for; of `auto`, the bag alone where trees do not better it.

        :raises MissingExtra: scikit-learn is not installed, or too old.
        """
        if config.teacher == "bag":
            return cls(bag)
        trees = Trees.beside(bag, config, start)
        share = 0.5 if config.teacher == "trees" else choose_share(bag, trees, start)
        return cls(bag, trees, share) if share else cls(bag)

    def predict_encoded(self, inputs: Inputs) -> Array:
        """Class probabilities of encoded rows (n, width), shape (n, classes)."""
        answers = self.bag.classifier.predict_encoded(inputs)
        return mixture(answers, self.trees.predict_encoded(inputs), self.share) if self.trees else answers


def choose_share(bag: Bag, trees: Trees, start: Start) -> float:
    """The share of the trees with the lowest log-loss on validation rows; 0 where its gain over the bag may be chance,
    by the 95 % interval.

    A row is answered by a network and a model of trees that have not learned from it.
    """
    parts = [start.part(start.split.folds[member.number].validation) for member in bag.members]
    alone = [replace(bag.classifier, networks=(member.network,)) for member in bag.members]
    networks = np.concatenate([one.predict_encoded(part.inputs) for one, part in zip(alone, parts, strict=True)])
    grown = np.concatenate([trees.answer_of(model, part.inputs) for model, part in enumerate(parts)])
    labels, weights = (
        np.concatenate(each) for each in zip(*((part.labels, part.counts) for part in parts), strict=True)
    )
    gains = {}
    for share in SHARES:
        gain, (least, _) = gain_over(
            losses_of(mixture(networks, grown, share), labels), losses_of(networks, labels), weights
        )
        if least > 0:
            gains[share] = gain
    return max(gains, key=gains.__getitem__, default=0.0)


def mixture(networks: Array, trees: Array, share: float) -> Array:
    """The mean of two answers (n, classes), of which the trees' has this share."""
    return np.float32(1 - share) * networks + np.float32(share) * trees
