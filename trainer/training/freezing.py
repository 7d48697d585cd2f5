"""Which statistics a trained network keeps for inference."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from trainer.hyperparameters import Statistics
from trainer.nn.network import Network, population_moments, running_moments
from trainer.nn.statistics import Moments
from trainer.training.fit import Encoded, score

NOTICEABLE = 0.01


@dataclass(frozen=True, eq=False)
class Frozen:
    """Both kinds of statistics, all layers end to end, and the validation log-loss, in nats, under each."""

    source: Literal["running", "population"]
    running: Moments
    population: Moments
    running_log_loss: float
    population_log_loss: float

    def largest_shift(self, epsilon: float) -> float:
        """The largest distance between a running and a population mean, in standard deviations of that unit."""
        deviation = np.sqrt(self.population.variance + epsilon)
        return float(np.max(np.abs(self.running.mean - self.population.mean) / deviation, initial=0.0))

    @property
    def disagreement(self) -> str | None:
        """A sentence where the two kinds would not give the same answers, else None."""
        if abs(self.running_log_loss - self.population_log_loss) <= NOTICEABLE:
            return None
        return (
            f"running and population statistics disagree: validation log-loss {self.running_log_loss:.4f} and "
            f"{self.population_log_loss:.4f}; --statistics auto takes the better, and more --epochs, less --dropout or "
            "another --ewma-decay may bring them together"
        )


def freeze(network: Network, train: Encoded, validation: Encoded, *, statistics: Statistics, batch_size: int) -> Frozen:
    """Measure both kinds of statistics and freeze the ones that `statistics` asks for.

    `auto` takes those with the lower validation log-loss, the running ones where they are equal.
    """
    running = running_moments(network)
    population = population_moments(network, train.inputs, batch_size, train.weights)
    losses = []
    for moments in (running, population):
        network.freeze(moments)
        losses.append(score(network, validation).log_loss)
    source: Literal["running", "population"] = "running"
    if statistics == "population" or (statistics == "auto" and losses[1] < losses[0]):
        source = "population"
    network.freeze(running if source == "running" else population)
    return Frozen(source, running, population, *losses)
