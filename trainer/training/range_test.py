"""The learning-rate range test (Smith 2017): one short run in which the rate climbs at every step."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from trainer.errors import NoSuggestion
from trainer.nn.batches import Batch, Batches
from trainer.nn.network import Network
from trainer.settings.hyperparameters import Hyperparameters
from trainer.training.fit import batches_of, build_optimizer, step_of
from trainer.training.interrupts import held_back
from trainer.training.records import Encoded

LOWEST, HIGHEST, STEPS = 1e-6, 10.0, 200
SMOOTHING = 0.95
BLOWN_UP = 4.0
# The first tenth of the steps, where the average is one of few batches, suggests nothing.
SETTLED = STEPS // 10
# Slopes are those of straight lines through so many steps to either side: a third of a decade.
HALF_WINDOW = 10
# A fall of fewer standard deviations of the smoothed loss is what labels without any meaning show too.
CLEARLY = 4.0
WAY_OUT = "train with the default, --learning-rate 0.003, or try again with more rows a step, --batch-size 256"


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

    The network is spent afterwards. The suggestion is where the loss falls most steeply against the log of the rate,
    between the first tenth of the steps and its minimum. The loss is smoothed: an exponential average that is corrected
    for its start at zero.

    :raises NoSuggestion: the loss falls no more than its noise.
    """
    step = step_of(network, build_optimizer(network, settings), settings)
    mini_batches = batches_of(train, settings, network)
    rates = np.geomspace(LOWEST, HIGHEST, STEPS)
    raw: list[float] = []
    smoothed: list[float] = []
    average = 0.0
    with np.errstate(all="ignore"), held_back() as ctrl_c:
        for number, (inputs, targets, weights) in enumerate(islice(_endless(mini_batches, rng), STEPS)):
            ctrl_c.let_through()
            raw.append(step(inputs, targets, weights, rates[number]))
            average = SMOOTHING * average + (1 - SMOOTHING) * raw[-1]
            corrected = average / (1 - SMOOTHING ** (number + 1))
            if not corrected < BLOWN_UP * min(smoothed, default=np.inf):
                break
            smoothed.append(corrected)
    losses = np.array(smoothed)
    tried = rates[: len(losses)]
    return RangeTest(tried, losses, suggest(tried, np.array(raw[: len(losses)]), losses))


def _endless(mini_batches: Batches, rng: np.random.Generator) -> Iterator[Batch]:
    while True:
        yield from mini_batches.shuffled(rng)


def suggest(rates: npt.NDArray[np.float64], raw: npt.NDArray[np.float64], smoothed: npt.NDArray[np.float64]) -> float:
    """The rate of the steepest fall, from losses (n,) as they were and as they were smoothed.

    :raises NoSuggestion: the loss falls no more than its noise.
    """
    lowest = SETTLED + int(smoothed[SETTLED:].argmin()) if len(smoothed) > SETTLED else 0
    if lowest - SETTLED < HALF_WINDOW:
        raise NoSuggestion(f"the training loss does not fall at any learning rate from {LOWEST:g} on; {WAY_OUT}")
    fall, noise = smoothed[SETTLED] - smoothed[lowest], _noise(raw[: lowest + 1])
    if fall < CLEARLY * noise:
        raise NoSuggestion(
            f"the training loss falls by {fall:.2g} nats, which is within the noise of its batches ({noise:.2g}): no "
            f"learning rate stands out; {WAY_OUT}"
        )
    slopes = [_slope(np.log(rates), smoothed, step, lowest) for step in range(SETTLED, lowest + 1)]
    return float(rates[SETTLED + int(np.argmin(slopes))])


def _noise(raw: npt.NDArray[np.float64]) -> float:
    """The standard deviation of the smoothed loss, from how batches that follow each other differ."""
    of_a_batch = np.std(np.diff(raw)) / np.sqrt(2)
    return float(of_a_batch * np.sqrt((1 - SMOOTHING) / (1 + SMOOTHING)))


def _slope(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], step: int, lowest: int) -> float:
    """The slope of the straight line through the steps around one, none behind the lowest loss (least squares)."""
    around = slice(max(SETTLED, step - HALF_WINDOW), min(lowest, step + HALF_WINDOW) + 1)
    centred = x[around] - x[around].mean()
    return float(centred @ y[around] / (centred @ centred))
