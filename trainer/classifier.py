"""A trained classifier: the encoder and the network, raw rows in, probabilities out."""

from dataclasses import dataclass

from trainer.arrays import Array
from trainer.data.encoder import Encoder
from trainer.data.rows import Rows
from trainer.nn.network import Network


@dataclass(frozen=True)
class Classifier:
    """What training leaves behind. `network` is frozen; `classes` gives the order of the probabilities."""

    encoder: Encoder
    network: Network
    classes: tuple[str, ...]

    def predict(self, rows: Rows) -> Array:
        """Class probabilities of raw rows, shape (n, classes)."""
        return self.network.predict(self.encoder.encode(rows))
