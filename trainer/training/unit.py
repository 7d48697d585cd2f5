"""What batch norm does to one unit while a network learns: the percentiles of Figure 1 of Ioffe & Szegedy 2015."""

from typing import NamedTuple

import numpy as np

from trainer.arrays import Array, Inputs
from trainer.nn.network import Network

PERCENTILES = (15, 50, 85)
# So many rows, from everywhere in the validation part, cost less than a step of training.
MOST_ROWS = 200
DIGITS = 4

Percentiles = tuple[float, float, float]


class Looked(NamedTuple):
    """The percentiles of what batch norm is given for a unit, and of what it hands on."""

    before: Percentiles
    after: Percentiles


def place_of_unit(network: Network) -> tuple[int, int] | None:
    """Which unit is looked at: the middle one of the last batch-norm layer; its layer and place, from 1."""
    if not network.batch_norms:
        return None
    return len(network.batch_norms), network.batch_norms[-1].units // 2 + 1


def look_at_unit(network: Network, inputs: Inputs) -> Looked | None:
    """Look at some of the rows (n, width) as they are inferred, with frozen statistics; None without batch norm."""
    place = place_of_unit(network)
    if place is None:
        return None
    rows = np.linspace(0, len(inputs) - 1, min(MOST_ROWS, len(inputs)), dtype=np.int64)
    values, last, unit = inputs[rows], network.batch_norms[-1], place[1] - 1
    for layer in network.layers:
        if layer is last:
            before = _percentiles(values[:, unit])
            return Looked(before, _percentiles(layer.infer(values)[:, unit]))
        values = layer.infer(values)
    raise AssertionError("a network has its own layers")


def _percentiles(values: Array) -> Percentiles:
    low, middle, high = (float(f"{value:.{DIGITS}g}") for value in np.percentile(values, PERCENTILES))
    return low, middle, high
