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
class TrainedClassifier:
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
        (answers,) = self._answers(
            len(rows), lambda block: self.encoder.encode(rows.take(places[block])), self.calibrator
        )
        return answers

    def predict_encoded(self, inputs: Inputs) -> Array:
        """Class probabilities of encoded rows (n, width), shape (n, classes)."""
        (answers,) = self._answers(len(inputs), lambda block: inputs[block], self.calibrator)
        return answers

    def predict_both(self, inputs: Inputs) -> tuple[Array, Array]:
        """Class probabilities of encoded rows (n, width) with the calibrator and without it, each (n, classes)."""
        idle = Calibrator.idle(len(self.classes))
        calibrated, plain = self._answers(len(inputs), lambda block: inputs[block], self.calibrator, idle)
        return calibrated, plain

    def _answers(self, rows: int, encoded: Callable[[slice], Array], *calibrators: Calibrator) -> list[Array]:
        """The mean of the networks' answers, through each calibrator; a network is asked once."""
        answers = [np.zeros((rows, len(self.classes)), np.float32) for _ in calibrators]
        for start in range(0, rows, ROWS_AT_ONCE):
            block = slice(start, start + ROWS_AT_ONCE)
            inputs = encoded(block)
            for network in self.networks:
                logits = network.logits(inputs)
                for calibrator, answer in zip(calibrators, answers, strict=True):
                    answer[block] += calibrator.probabilities(logits.copy())
            for answer in answers:
                answer[block] /= np.float32(len(self.networks))
        return answers
