"""The space of a search: for every hyperparameter a range on its own scale, or a list of choices."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from trainer.nn.optimizers import OPTIMIZERS
from trainer.report.axes import Axis

Value = int | float | str | bool
Values = dict[str, Value]

# Which child of the seed is the search's; the split, the members and the export gate have the low ones.
SEARCH_CHILD = 1000
DIGITS = 3
FEWEST_IN_HULL = 3


@dataclass(frozen=True)
class Range(Axis):
    """Values between two ends, drawn evenly on a scale."""

    def at(self, share: float) -> Value:
        """The value at a share of the way from one end to the other, of three significant digits on its scale."""
        if self.whole and self.scale == "uniform":
            return int(self.low) + min(int(share * (self.high - self.low + 1)), int(self.high - self.low))
        start, end = self._on_scale(self.low), self._on_scale(self.high)
        value = self._from_scale(start + share * (end - start))
        value = min(max(value, self.low), self.high)
        return round(value) if self.whole else value

    def holds(self, value: Value) -> bool:
        return not isinstance(value, str) and self.low <= value <= self.high

    def hull(self, values: Sequence[Value]) -> "Range":
        """The smallest range on the same scale that holds all values."""
        numbers = [float(value) for value in values]
        return replace(self, low=min(numbers), high=max(numbers))

    def _from_scale(self, point: float) -> float:
        match self.scale:
            case "uniform":
                return _rounded(point)
            case "log":
                return _rounded(math.exp(point))
            case "one_minus_log":
                return round(1 - _rounded(math.exp(-point)), 12)


@dataclass(frozen=True)
class Choice:
    """A list of values, each as likely as the next."""

    options: tuple[Value, ...]

    def at(self, share: float) -> Value:
        return self.options[min(int(share * len(self.options)), len(self.options) - 1)]

    def place(self, value: Value) -> float:
        """Where an option lies in the list, from 0 to 1."""
        return self.options.index(value) / (len(self.options) - 1) if len(self.options) > 1 else 0.5

    def holds(self, value: Value) -> bool:
        return value in self.options

    def hull(self, values: Sequence[Value]) -> "Choice":
        """The options that occur among the values."""
        return Choice(tuple(option for option in self.options if option in values))


Space = Mapping[str, Range | Choice]

DEFAULT: Space = {
    "layers": Range("uniform", 1, 4, whole=True),
    "units": Range("uniform", 16, 256, whole=True),
    "activation": Choice(("relu", "leaky_relu", "silu", "tanh")),
    "batch_norm": Choice(("before", "none")),
    "dropout": Choice((0.0, 0.1, 0.2, 0.4)),
    "input_dropout": Choice((0.0, 0.1, 0.3)),
    "periodic": Choice((0.0, 0.05, 0.2, 1.0, 5.0)),
    "scaling": Choice(("robust", "standard", "quantile")),
    "optimizer": Choice(("momentum", "rmsprop", "adam", "adamw")),
    "learning_rate": Range("log", 1e-4, 1.0),
    "beta1": Range("one_minus_log", 0.9, 0.999),
    "beta2": Range("one_minus_log", 0.9, 0.999),
    "weight_decay": Range("log", 1e-6, 0.1),
    "batch_size": Choice((32, 64, 128, 256, 512)),
    "ewma_decay": Range("one_minus_log", 0.9, 0.999),
}


def draw(space: Space, seed: int, index: int) -> Values:
    """The values of trial `index`: they depend on the space, the seed and the index alone."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(SEARCH_CHILD, index)))
    return meaningful({name: space[name].at(rng.random()) for name in sorted(space)})


def cells(space: Space) -> int:
    """How many points a grid has; 0 where a range has no end of them."""
    return math.prod(len(axis.options) if isinstance(axis, Choice) else 0 for axis in space.values())


def cell(space: Space, index: int) -> Values:
    """Point `index` of the grid of a space that has choices alone."""
    values: Values = {}
    for name in sorted(space):
        axis = space[name]
        assert isinstance(axis, Choice)
        index, place = divmod(index, len(axis.options))
        values[name] = axis.options[place]
    return meaningful(values)


def meaningful(values: Values) -> Values:
    """The values without those that mean nothing beside the others."""
    rule = OPTIMIZERS[str(values.get("optimizer", "adamw"))]
    idle = {name for name in ("beta1", "beta2") if "optimizer" in values and getattr(rule, name) is None}
    if values.get("batch_norm") == "none":
        idle.add("ewma_decay")
    return {name: value for name, value in values.items() if name not in idle}


def narrowed(space: Space, best: Iterable[Values]) -> Space:
    """Each range and each list cut down to the hull of what the best trials had there.

    One that too few of them had, since it means nothing beside other choices, stays as it is.
    """
    found = list(best)
    values = {name: [one[name] for one in found if name in one] for name in space}
    return {
        name: axis.hull(values[name]) if len(values[name]) >= FEWEST_IN_HULL else axis for name, axis in space.items()
    }


def holds(space: Space, values: Values) -> bool:
    """Whether every value lies in the space."""
    return all(name in space and space[name].holds(value) for name, value in values.items())


def settings(values: Values) -> dict[str, object]:
    """The values as the settings of a training: `layers` and `units` are its `hidden`."""
    rest: dict[str, object] = {name: value for name, value in values.items() if name not in ("layers", "units")}
    if "layers" in values:
        rest["hidden"] = (values["units"],) * int(values["layers"])
    return rest


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
