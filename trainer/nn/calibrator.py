"""What stands between logits and probabilities: a temperature, a bias for each class, softmax."""

from dataclasses import dataclass

import numpy as np

from trainer.arrays import Array
from trainer.nn.loss import softmax


@dataclass(frozen=True, eq=False)
class Calibrator:
    """softmax(logits / `temperature` + `bias`), `bias` of shape (classes,) (Guo et al. 2017)."""

    temperature: float
    bias: Array

    @classmethod
    def idle(cls, classes: int) -> "Calibrator":
        """The one that is softmax alone."""
        return cls(1.0, np.zeros(classes, np.float32))

    def probabilities(self, logits: Array) -> Array:
        """Of logits (n, classes), which are overwritten, shape (n, classes)."""
        logits *= np.float32(1 / self.temperature)
        logits += self.bias
        return softmax(logits)
