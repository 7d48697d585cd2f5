"""The learning-rate range test (Smith 2017): one short run in which the rate climbs at every step."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from trainer.hyperparameters import Hyperparameters
from trainer.nn.batches import Batch, MiniBatches
from trainer.nn.network import Network
from trainer.training.fit import Encoded, build_optimizer, step_of
from trainer.training.interrupts import held_back

LOWEST, HIGHEST, STEPS = 1e-6, 10.0, 200
SMOOTHING = 0.9
BLOWN_UP = 4.0


@dataclass(frozen=True, eq=False)
class RangeTest:
    """The smoothed training loss, in nats, at each learning rate that was tried, and the rate to start from."""

    rates: npt.NDArray[np.float64]
    losses: npt.NDArray[np.float64]
    suggestion: float


def find_learning_rate(
    network: Network, train: Encoded, settings: Hyperparameters, rng: np.random.Generator
) -> RangeTest:
    """Train for 200 steps while the rate climbs from 1e-6 to 10 on a log scale, or until the loss blows up.

    The network is spent afterwards. The suggestion is where the smoothed loss falls most steeply against the log of the
    rate.
    """
    step = step_of(network, build_optimizer(network, settings), settings)
    mini_batches = MiniBatches(train.inputs, train.labels, train.weights, settings.batch_of(len(train)))
    rates = np.geomspace(LOWEST, HIGHEST, STEPS)
    smoothed: list[float] = []
    average = 0.0
    with np.errstate(all="ignore"), held_back() as ctrl_c:
        for number, (inputs, labels, weights) in enumerate(islice(_endless(mini_batches, rng), STEPS)):
            ctrl_c.let_through()
            average = SMOOTHING * average + (1 - SMOOTHING) * step(inputs, labels, weights, rates[number])
            corrected = average / (1 - SMOOTHING ** (number + 1))
            if not corrected < BLOWN_UP * min(smoothed, default=np.inf):
                break
            smoothed.append(corrected)
    losses = np.array(smoothed)
    tried = rates[: len(losses)]
    return RangeTest(tried, losses, _steepest(tried, losses))


def _endless(mini_batches: MiniBatches, rng: np.random.Generator) -> Iterator[Batch]:
    while True:
        yield from mini_batches.shuffled(rng)


def _steepest(rates: npt.NDArray[np.float64], losses: npt.NDArray[np.float64]) -> float:
    """The rate of the steepest fall up to the lowest loss, once the average is one of enough batches."""
    settled = min(round(1 / (1 - SMOOTHING)), len(losses) - 3)
    lowest = max(int(losses.argmin()), settled + 2)
    slopes = np.gradient(losses[settled : lowest + 1], np.log(rates[settled : lowest + 1]))
    return float(rates[settled + slopes.argmin()])
