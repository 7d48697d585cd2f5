"""A trained classifier: the encoder and the networks, raw rows in, probabilities out."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from trainer.arrays import Array, Inputs
from trainer.data.encoder import Encoder
from trainer.data.rows import Rows
from trainer.nn.calibrator import Calibrator
from trainer.nn.network import Network

# Inputs are much wider than rows; a few at a time are enough.
ROWS_AT_ONCE = 16384


@dataclass(frozen=True)
class Classifier:
    """What training leaves behind. The `networks` are frozen; `classes` gives the order of the probabilities.

    Several networks are a bag: the answer is the mean of theirs, each through the `calibrator` (Breiman 1996).
    """

    encoder: Encoder
    networks: tuple[Network, ...]
    classes: tuple[str, ...]
    calibrator: Calibrator

    def predict(self, rows: Rows) -> Array:
        """Class probabilities of raw rows, shape (n, classes)."""
        places = np.arange(len(rows))
        return self._answers(len(rows), lambda block: self.encoder.encode(rows.take(places[block])))

    def predict_encoded(self, inputs: Inputs) -> Array:
        """Class probabilities of encoded rows (n, width), shape (n, classes)."""
        return self._answers(len(inputs), lambda block: inputs[block])

    def _answers(self, rows: int, encoded: Callable[[slice], Array]) -> Array:
        answers = np.empty((rows, len(self.classes)), np.float32)
        for start in range(0, rows, ROWS_AT_ONCE):
            block = slice(start, start + ROWS_AT_ONCE)
            inputs = encoded(block)
            total = sum(self.calibrator.probabilities(network.logits(inputs)) for network in self.networks)
            answers[block] = total / np.float32(len(self.networks))
        return answers
