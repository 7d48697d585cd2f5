"""A trained classifier: the encoder and the networks, raw rows in, probabilities out."""

from dataclasses import dataclass

import numpy as np

from trainer.arrays import Array
from trainer.data.encoder import Encoder
from trainer.data.rows import Rows
from trainer.nn.loss import softmax
from trainer.nn.network import Network


@dataclass(frozen=True)
class Classifier:
    """What training leaves behind. The `networks` are frozen; `classes` gives the order of the probabilities.

    Logits are divided by `temperature`. Several networks are a bag: the answer is the mean of theirs (Breiman 1996).
    """

    encoder: Encoder
    networks: tuple[Network, ...]
    classes: tuple[str, ...]
    temperature: float = 1.0

    def predict(self, rows: Rows) -> Array:
        """Class probabilities of raw rows, shape (n, classes)."""
        return self.predict_encoded(self.encoder.encode(rows))

    def predict_encoded(self, inputs: Array) -> Array:
        """Class probabilities of encoded rows (n, width), shape (n, classes)."""
        cooled = np.float32(1 / self.temperature)
        total = sum(softmax(network.logits(inputs) * cooled) for network in self.networks)
        return np.asarray(total / np.float32(len(self.networks)))
