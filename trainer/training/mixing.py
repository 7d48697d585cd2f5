"""Mixed rows, which lie between two training rows, and the batches that a student learns from.

A network that learns from another one's answers (Hinton et al. 2015) may be asked about rows that nobody has labelled.
Those here are drawn as by Zhang et al. (2018), but that a text stays a text.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.arrays import Array, Picked
from trainer.nn.batches import Batch, MiniBatches, batches, nearby
from trainer.training.records import Encoded

# The two parameters of the Beta distribution of the shares: most rows lie near one of their two.
CONCENTRATION = 0.3
# So many rows are mixed at a time, fewer of wide ones: what is drawn for them takes 64 MB.
MOST_ROWS, MOST_VALUES = 16_384, 1 << 24

State = Mapping[str, Any]
Places = npt.NDArray[np.int64]
# A block of batches; with the last one of an epoch, where the generator stands behind it.
Ready = tuple[Iterator[Batch], State | None]


@dataclass(frozen=True, eq=False)
class Mixer:
    """What a mixed row takes from both of its rows, and what whole from one of them.

    The first `numbers` inputs lie between those of the two rows. Every other input says something about a raw column,
    its owner in `owners` (width - numbers,); all of a column's come from the same row, as no row has half a text.
    """

    numbers: int
    owners: npt.NDArray[np.int64]

    def mix(self, rows: Array, others: Array, shares: Array, rng: np.random.Generator) -> Array:
        """Mix rows (n, width) with others (n, width); `shares` (n,), of at least a half, say how much of the first."""
        share = shares[:, np.newaxis]
        mixed = np.empty_like(rows)
        numbers = np.subtract(rows[:, : self.numbers], others[:, : self.numbers], out=mixed[:, : self.numbers])
        numbers *= share
        numbers += others[:, : self.numbers]
        owning, owner = np.unique(self.owners, return_inverse=True)
        stays = rng.random((len(rows), len(owning)), np.float32) < share
        mixed[:, self.numbers :] = np.where(stays[:, owner], rows[:, self.numbers :], others[:, self.numbers :])
        return mixed


def draw_shares(rows: int, rng: np.random.Generator) -> Array:
    """How much of the first row is in each mixed one, shape (rows,): the larger part of a Beta distribution."""
    drawn = rng.beta(CONCENTRATION, CONCENTRATION, rows).astype(np.float32)
    return np.maximum(drawn, 1 - drawn)


class MixedBatches:
    """Every row of a part once, with its `targets` (n, classes), and `times` as many mixed rows, as `teach` answers.

    Other rows are mixed in each epoch, some thousands at a time: the epoch goes through the part block by block. A row
    weighs as much as those that it is mixed of. Rows of a disk are mixed with rows near them, and no array has a place
    for each of them.

    A teacher that takes long to answer is asked once: with `seeds`, each draws mixed rows that are always the same, and
    an epoch takes those of one of them.
    """

    def __init__(
        self,
        part: Encoded,
        targets: Array,
        teach: Callable[[Array], Array],
        mixer: Mixer,
        size: int,
        times: int = 1,
        seeds: Sequence[int] = (),
    ) -> None:
        self.part, self.targets, self.teach, self.mixer, self.size = part, targets, teach, mixer, size
        self.times, self.seeds = times, seeds
        # What the teacher has answered, by seed and block.
        self._answers: dict[tuple[int, int], Array] = {}
        self.on_disk = isinstance(part.inputs, Picked) and part.inputs.on_disk
        self._most = min(MOST_ROWS, max(MOST_VALUES // part.inputs.shape[1], size))
        # How many rows each block of an epoch has.
        if self.on_disk:
            self._sizes = [block.stop - block.start for block in batches(len(part), self._most)]
        else:
            blocks = -(-len(part) // self._most)
            self._sizes = [len(part) // blocks + (block < len(part) % blocks) for block in range(blocks)]
        self.blocks_an_epoch = len(self._sizes)

    def __len__(self) -> int:
        """How many batches an epoch has."""
        return sum(1 for rows in self._sizes for _ in batches((1 + self.times) * rows, self.size))

    def shuffled(self, rng: np.random.Generator) -> Iterator[Batch]:
        """The batches of one epoch, in an order that `rng` draws."""
        for block in self.blocks(rng):
            yield from block

    def blocks(self, rng: np.random.Generator) -> Iterator[Iterator[Batch]]:
        """The same block by block; whatever a block needs of `rng` is drawn when it is given out."""
        seed = int(rng.choice(self.seeds)) if self.seeds else None
        draw = rng if seed is None else np.random.default_rng(seed)
        for number, (block, others) in enumerate(self._drawn(draw)):
            mixed, weights = self.mix(np.tile(block, self.times), others, draw)
            answers = self.teach(mixed) if seed is None else self._answered(mixed, seed, number)
            inputs = np.concatenate([self.part.inputs[block], mixed])
            targets = np.concatenate([self.targets[block], answers])
            if weights is not None:
                assert self.part.weights is not None
                weights = np.concatenate([self.part.weights[block], weights])
            places = np.arange(len(inputs))
            yield MiniBatches(inputs, places, weights, self.size, targets).in_order(rng.permutation(len(inputs)))

    def _drawn(self, rng: np.random.Generator) -> Iterator[tuple[Places, Places]]:
        """The rows of each block of an epoch, and `times` as many that they are to be mixed with."""
        rows = len(self.part)
        if self.on_disk:
            for near in nearby(rows, self._most, rng):
                partners = [rng.permutation(near) for _ in range(self.times)]
                for block in batches(len(near), self._most):
                    yield near[block], np.concatenate([each[block] for each in partners])
            return
        order = rng.permutation(rows)
        partners = [rng.permutation(rows) for _ in range(self.times)]
        for chosen in np.array_split(order, self.blocks_an_epoch):
            yield chosen, np.concatenate([each[chosen] for each in partners])

    def mix(self, rows: Places, others: Places, rng: np.random.Generator) -> tuple[Array, Array | None]:
        """Rows of the part mixed with others of it: inputs and weights."""
        shares = draw_shares(len(rows), rng)
        inputs = self.mixer.mix(self.part.inputs[rows], self.part.inputs[others], shares, rng)
        weights = self.part.weights
        if weights is not None:
            weights = shares * weights[rows] + (1 - shares) * weights[others]
        return inputs, weights

    def _answered(self, mixed: Array, seed: int, block: int) -> Array:
        if (seed, block) not in self._answers:
            self._answers[seed, block] = self.teach(mixed)
        return self._answers[seed, block]


class Ahead:
    """The batches of a student, each block mixed and answered by another thread while the one before is learned from.

    The rows, their order and where the generator stands after an epoch are those of the batches themselves: what is
    ahead draws from a copy of it. numpy and the compiled step leave Python to each other while they compute.
    """

    def __init__(self, batches: MixedBatches, pool: Executor) -> None:
        self._batches, self._pool = batches, pool
        self._blocks: Iterator[Ready] = iter(())
        self._next: Future[Ready] | None = None
        self._state: State | None = None

    def __len__(self) -> int:
        """How many batches an epoch has."""
        return len(self._batches)

    def shuffled(self, rng: np.random.Generator) -> Iterator[Batch]:
        """The batches of one epoch, in an order that `rng` draws."""
        if self._next is None or rng.bit_generator.state != self._state:
            self._blocks = self._endless(deepcopy(rng))
            self._next = self._pool.submit(next, self._blocks)
        self._state = None  # What is given up in the middle is no place to go on from.
        while self._state is None:
            block, self._state = self._next.result()
            self._next = self._pool.submit(next, self._blocks)
            yield from block
        rng.bit_generator.state = self._state

    def _endless(self, rng: np.random.Generator) -> Iterator[Ready]:
        """The blocks of epoch after epoch; with the last of each, where the generator stands behind it."""
        while True:
            for left, block in zip(
                reversed(range(self._batches.blocks_an_epoch)), self._batches.blocks(rng), strict=True
            ):
                yield block, None if left else rng.bit_generator.state
