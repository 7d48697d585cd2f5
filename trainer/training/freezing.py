"""Which statistics a trained network keeps for inference."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from trainer.nn.network import Network, population_moments, running_moments
from trainer.nn.statistics import Moments
from trainer.settings.hyperparameters import Statistics
from trainer.training.fit import score
from trainer.training.records import Encoded

NOTICEABLE = 0.01


@dataclass(frozen=True, eq=False)
class Frozen:
    """Both kinds of statistics, all layers end to end, and the loss, in nats, under each: of a network that learned
    from labels the validation log-loss, of a student its divergence from its bag.
    """

    source: Literal["running", "population"]
    running: Moments
    population: Moments
    running_loss: float
    population_loss: float

    def largest_shift(self, epsilon: float) -> float:
        """The largest distance between a running and a population mean, in standard deviations of that unit."""
        deviation = np.sqrt(self.population.variance + epsilon)
        return float(np.max(np.abs(self.running.mean - self.population.mean) / deviation, initial=0.0))

    @property
    def loss(self) -> float:
        """The loss under the kind that is frozen."""
        return self.running_loss if self.source == "running" else self.population_loss

    @property
    def gap(self) -> float:
        """How far the losses under the two kinds are apart, in nats."""
        return abs(self.running_loss - self.population_loss)


def disagreement(networks: Sequence[Frozen], loss: str = "validation log-loss") -> str | None:
    """One sentence where the two kinds would not give the same answers in some of the networks, else None.

    `loss` is what is compared.
    """
    apart = [frozen for frozen in networks if not frozen.gap <= NOTICEABLE]
    if not apart:
        return None
    farthest = max(apart, key=lambda frozen: frozen.gap)
    where, which = "", ""
    if len(networks) > 1:
        where, which = f" in {len(apart)} of {len(networks)} networks", " where they are farthest apart"
    return (
        f"running and population statistics disagree{where}: {loss} {farthest.running_loss:.4f} and "
        f"{farthest.population_loss:.4f}{which}; --statistics auto takes the better, and more --epochs, less "
        "--dropout or another --ewma-decay may bring them together"
    )


def log_loss_on(network: Network, part: Encoded) -> Callable[[], float]:
    """What measures the log-loss of a network on one part, in nats, as it is frozen then."""
    return lambda: score(network, part).log_loss


def freeze(
    network: Network, train: Encoded, loss: Callable[[], float], *, statistics: Statistics, batch_size: int
) -> Frozen:
    """Measure both kinds of statistics and freeze the ones that `statistics` asks for.

    `loss` measures the network as it is frozen. `auto` takes those with the lower one, the running ones where they are
    equal.
    """
    running = running_moments(network)
    population = population_moments(network, train.inputs, batch_size, train.weights)
    losses = []
    for moments in (running, population):
        network.freeze(moments)
        losses.append(loss())
    source: Literal["running", "population"] = "running"
    if statistics == "population" or (statistics == "auto" and losses[1] < losses[0]):
        source = "population"
    network.freeze(running if source == "running" else population)
    return Frozen(source, running, population, *losses)
