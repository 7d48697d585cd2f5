"""How the networks learned: their curves, and what batch norm came to."""

from collections.abc import Sequence

import numpy as np

from models.figures import MOST_EPOCHS, MOST_LAYERS, MOST_UNITS, Course, NormalisedLayer, UnitCourse
from trainer.nn.network import Network
from trainer.training.records import Epoch, History
from trainer.training.unit import place_of_unit

DIGITS = 5


def course(history: History) -> Course:
    """The curves of one network."""
    shown = _some(history.epochs, history.best.number)
    scores = [epoch.validation for epoch in shown if epoch.validation]
    return Course(
        epochs=tuple(epoch.number for epoch in shown),
        loss=tuple(_short(epoch.loss) for epoch in shown),
        log_loss=tuple(_short(one.log_loss) for one in scores),
        accuracy=tuple(_short(one.accuracy) for one in scores),
        chosen=history.best.number,
        of=len(history.epochs),
    )


def unit_course(network: Network, history: History) -> UnitCourse | None:
    """What batch norm did to one unit; None where there is none."""
    place = place_of_unit(network)
    shown = [(epoch.number, epoch.unit) for epoch in _some(history.epochs, history.best.number) if epoch.unit]
    if place is None or not shown:
        return None
    return UnitCourse(
        layer=place[0],
        unit=place[1],
        epochs=tuple(number for number, _ in shown),
        before=tuple(unit.before for _, unit in shown),
        after=tuple(unit.after for _, unit in shown),
    )


def layers(network: Network) -> tuple[NormalisedLayer, ...]:
    """gamma and beta of each batch-norm layer."""
    return tuple(
        NormalisedLayer(
            units=layer.units,
            gamma=tuple(_short(layer.gamma.value[unit]) for unit in _places(layer.units, MOST_UNITS)),
            beta=tuple(_short(layer.beta.value[unit]) for unit in _places(layer.units, MOST_UNITS)),
        )
        for layer in network.batch_norms[:MOST_LAYERS]
    )


def _some(epochs: Sequence[Epoch], chosen: int) -> list[Epoch]:
    """All epochs, or some from everywhere, the chosen one among them."""
    places = {*_places(len(epochs), MOST_EPOCHS - 1), chosen - 1}
    return [epochs[place] for place in sorted(places)]


def _places(count: int, most: int) -> list[int]:
    return [int(place) for place in np.unique(np.linspace(0, count - 1, min(count, most), dtype=np.int64))]


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
