"""What a run begins with, and where its randomness comes from."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import BinaryIO

import numpy as np

from trainer.arrays import Array, Picked
from trainer.data.encoder import Encoder, count_texts, fit_encoder
from trainer.data.hashing import drawn
from trainer.data.rows import Examples
from trainer.data.split import Indices, Split
from trainer.mapped import check_room, keep_in, moved, nameless_file
from trainer.settings.config import TrainingConfig
from trainer.training.records import Encoded

# The number of the generator that draws the card's background rows; no bag has so many members.
BACKGROUND = 1 << 16
# And of that which draws the rows that an estimator keeps for its sets.
SETS = BACKGROUND + 1
# The encoder of a long table is fitted on so many of its training rows, or of a wide table on so many cells. So many of
# them tell what there is to tell of all in the card.
FITTED_ROWS, FITTED_CELLS, TOLD_ROWS = 1_000_000, 20_000_000, 200_000


@dataclass(frozen=True, eq=False)
class Start:
    """Everything a run begins with: the labelled rows, how they are split, and the encoder of them all.

    The encoded rows are in memory or, where there is one, in a `file` that other processes map.
    """

    examples: Examples
    split: Split
    encoder: Encoder
    file: BinaryIO | None = None

    @classmethod
    def on(cls, config: TrainingConfig, examples: Examples, split: Split, codes: tuple[int, ...] = ()) -> "Start":
        """Fit the encoder on the rows that the networks learn from; the numeric columns `codes` become categories."""
        train, counts = split.train, None
        if examples.long:
            counts = count_texts(examples.rows, train)
            most = min(FITTED_ROWS, FITTED_CELLS // len(examples.rows.columns))
            train = train[drawn(len(train), most)]
        rows = examples.rows.take(train)
        encoder = fit_encoder(
            rows,
            scaling=config.scaling,
            atoms=config.atoms,
            one_hot=config.one_hot,
            counts=counts,
            codes=codes,
        )
        return cls(examples, split, encoder)

    @cached_property
    def inputs(self) -> Array:
        """All rows as a network sees them, shape (n, width): encoded once, for every part and every member."""
        if self.file:
            return self._inputs_in(self.file)
        if not self.examples.long:
            return self.encoder.encode(self.examples.rows)
        with nameless_file() as file:
            return self._inputs_in(file)

    def _inputs_in(self, file: BinaryIO) -> Array:
        width, dtype = self.encoder.width, np.dtype(np.float32)
        check_room(len(self.examples) * width * dtype.itemsize, "the encoded rows")
        return keep_in(file, self.encoder.blocks(self.examples.rows), width, dtype)

    def shared(self) -> "Start":
        """The same, with the encoded rows in a file.

        :raises OSError: there can be none.
        """
        return replace(self, file=nameless_file())

    @property
    def shared_file(self) -> BinaryIO:
        """The file that the encoded rows are or will be in."""
        assert self.file is not None, "the rows are not shared"
        return self.file

    def close(self) -> None:
        """Let go of the file; what is mapped stays mapped."""
        if self.file:
            self.file.close()

    def part(self, indices: Indices) -> Encoded:
        """Some of the rows as a network sees them, without a copy of the inputs."""
        examples = self.examples
        return part_of(Encoded(self.inputs, examples.labels, examples.weights), indices, on_disk=examples.long)

    def told(self, indices: Indices) -> Indices:
        """The rows that the card tells of: all of these, of a long table some from everywhere among them."""
        if not self.examples.long:
            return indices
        return indices[drawn(len(indices), min(TOLD_ROWS, FITTED_CELLS // len(self.examples.rows.columns)))]

    def encode(self, indices: Indices) -> Encoded:
        """Some of the rows alone, where the others are not needed."""
        part = self.examples.take(indices)
        return Encoded(self.encoder.encode(part.rows), part.labels, part.weights)


def part_of(rows: Encoded, indices: Indices, *, on_disk: bool = False) -> Encoded:
    """Some of the rows, without a copy of the inputs, which may be larger than memory and `on_disk`."""
    assert isinstance(rows.inputs, np.ndarray)
    weights = None if rows.weights is None else rows.weights[indices]
    labels = rows.labels[indices]
    if on_disk:
        labels, weights = moved(labels), None if weights is None else moved(weights)
    return Encoded(Picked(rows.inputs, indices, on_disk), labels, weights)


def generator(seed: int, number: int, restart: int = 0) -> np.random.Generator:
    """A source of randomness of its own: 0 is for the split, 1 for the export gate, 2 and on for the members,
    BACKGROUND for what the card keeps of the training rows.

    Each `restart` has another.
    """
    key = (number, restart) if restart else (number,)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
