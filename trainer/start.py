"""What a run begins with, and where its randomness comes from."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from trainer.arrays import Array, Picked
from trainer.config import TrainingConfig
from trainer.data.encoder import Encoder, fit_encoder
from trainer.data.rows import Examples
from trainer.data.split import Indices, Split
from trainer.training.records import Encoded

# The number of the generator that draws the card's background rows; no bag has so many members.
BACKGROUND = 1 << 16


@dataclass(frozen=True, eq=False)
class Start:
    """Everything a run begins with: the labelled rows, how they are split, and the encoder of them all."""

    examples: Examples
    split: Split
    encoder: Encoder

    @classmethod
    def on(cls, config: TrainingConfig, examples: Examples, split: Split) -> "Start":
        """Fit the encoder on the rows that the networks learn from."""
        rows = examples.rows.take(split.train)
        encoder = fit_encoder(rows, scaling=config.scaling, atoms=config.atoms, one_hot=config.one_hot)
        return cls(examples, split, encoder)

    @cached_property
    def inputs(self) -> Array:
        """All rows as a network sees them, shape (n, width): encoded once, for every part and every member."""
        return self.encoder.encode(self.examples.rows)

    def part(self, indices: Indices) -> Encoded:
        """Some of the rows as a network sees them, without a copy of the inputs."""
        weights = self.examples.weights
        labels = self.examples.labels[indices]
        return Encoded(Picked(self.inputs, indices), labels, None if weights is None else weights[indices])

    def encode(self, indices: Indices) -> Encoded:
        """Some of the rows alone, where the others are not needed."""
        part = self.examples.take(indices)
        return Encoded(self.encoder.encode(part.rows), part.labels, part.weights)


def generator(seed: int, number: int, restart: int = 0) -> np.random.Generator:
    """A source of randomness of its own: 0 is for the split, 1 for the export gate, 2 and on for the members,
    BACKGROUND for what the card keeps of the training rows.

    Each `restart` has another.
    """
    key = (number, restart) if restart else (number,)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
