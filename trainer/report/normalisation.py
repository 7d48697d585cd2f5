"""Batch norm's own page: what it froze, what it learned, and what it did to a unit while the network learned."""

import math
from collections.abc import Sequence

from models.card import FrozenStatistics, ModelCard
from models.figures import Figures, NormalisedLayer, Percentiles, UnitCourse
from trainer.report.axes import Axis
from trainer.report.page import figure, grid, section
from trainer.report.plot import Plot
from trainer.report.svg import sign

MOST_DOTS, MOST_LAYERS = 300, 8


def normalisation(card: ModelCard, figures: Figures | None) -> str:
    """The section; a network without batch norm has none."""
    frozen = card.frozen_statistics[0] if card.frozen_statistics else None
    if frozen is None or not frozen.layers:
        return ""
    networks = len(card.frozen_statistics)
    of = f" This is the first of {networks} networks." if networks > 1 else ""
    said = (
        f"At inference each layer normalises with frozen statistics: here the {frozen.source} ones, averages with "
        f"a decay of {frozen.ewma_decay:g}. A pass over the training rows with fixed weights checks them (Ioffe & "
        f"Szegedy 2015, Algorithm 2). No running mean is farther than {frozen.largest_shift:.3f} standard deviations "
        f"from the population's.{of}"
    )
    losses, loss = (frozen.validation_log_loss, "Validation log-loss")
    if frozen.divergence:
        losses, loss = frozen.divergence, "Divergence from its bag, in nats,"
    if len(losses) == 2:
        said += f" {loss} under the running statistics: {losses['running']:.4f}, under the population's: "
        said += f"{losses['population']:.4f}."
    pictures = [
        figure("Means: running against population", means(frozen)),
        figure("Standard deviations", deviations(frozen)),
    ]
    if figures and figures.layers:
        pictures.append(figure("Learned scale, gamma", learned(figures.layers, "gamma")))
        pictures.append(figure("Learned shift, beta", learned(figures.layers, "beta")))
    unit = _unit(figures.unit) if figures and figures.unit else ""
    return section("Batch norm", said, grid(*pictures), unit, anchor="batch-norm")


def means(frozen: FrozenStatistics) -> str:
    """A dot a unit, in standard deviations of the layer's units, so that layers fit in one picture."""
    lines = []
    for layer in frozen.layers[:MOST_LAYERS]:
        spread = math.sqrt(sum(layer.population.variance) / len(layer.population.variance)) or 1.0
        pairs = zip(layer.population.mean, layer.running.mean, strict=True)
        lines.append([(one / spread, other / spread) for one, other in pairs])
    label = "Running against population means of each unit, in standard deviations: on the diagonal they agree"
    return _against(lines, label, "uniform")


def deviations(frozen: FrozenStatistics) -> str:
    """A dot a unit on log scales."""
    lines = []
    for layer in frozen.layers[:MOST_LAYERS]:
        pairs = zip(layer.population.variance, layer.running.variance, strict=True)
        lines.append([(math.sqrt(max(one, 1e-12)), math.sqrt(max(other, 1e-12))) for one, other in pairs])
    label = "Running against population standard deviations of each unit: on the diagonal they agree"
    return _against(lines, label, "log")


def _against(lines: Sequence[Sequence[tuple[float, float]]], label: str, scale: str) -> str:
    shown = [_some(line, MOST_DOTS // len(lines)) for line in lines]
    values = [value for line in shown for pair in line for value in pair]
    low, high = min(values), max(values)
    if scale == "log":
        axis = Axis("log", low / 1.15, high * 1.15)
    else:
        margin = (high - low) * 0.05 or 1.0
        axis = Axis("uniform", low - margin, high + margin)
    plot = Plot(axis, axis, label, height=340.0, x_title="population", y_title="running")
    plot.line([(axis.low, axis.low), (axis.high, axis.high)], "even")
    for number, line in enumerate(shown):
        plot.marks(line, number, f"unit f{number}")
        plot.corner(f"{sign(number)} layer {number + 1}", number, f"halo t{number}")
    return plot.drawing()


def learned(layers: Sequence[NormalisedLayer], what: str) -> str:
    """How gamma or beta spreads over the units of each layer, a histogram a layer."""
    values = [list(getattr(layer, what)) for layer in layers]
    every = [value for line in values for value in line]
    low, high = min(every), max(every)
    margin = (high - low) * 0.04 or 0.5
    start, end = low - margin, high + margin
    bins = 30
    width = (end - start) / bins
    lines = []
    for line in values:
        shares = [0.0] * bins
        for value in line:
            shares[min(int((value - start) / width), bins - 1)] += 1 / len(line)
        lines.append(shares)
    most = max(max(line) for line in lines)
    began = 1.0 if what == "gamma" else 0.0
    label = f"{what} of the units of each layer, from {low:.2f} to {high:.2f}; training began at {began:g}"
    plot = Plot(
        Axis("uniform", start, end), Axis("uniform", 0.0, most * 1.1), label, x_title=what, y_title="share of the units"
    )
    for number, shares in enumerate(lines):
        steps = []
        for place, share in enumerate(shares):
            steps += [(start + place * width, share), (start + (place + 1) * width, share)]
        plot.line(
            [(start, 0.0), *steps, (end, 0.0)],
            f"curve l{number}{' dashed' if number % 2 else ''}",
            f"layer {number + 1}",
        )
        plot.corner(f"{'┄' if number % 2 else '―'} layer {number + 1}", number, f"halo t{number}")
    if start < began < end:
        plot.upright(began, "even")
    return plot.drawing()


def _unit(course: UnitCourse) -> str:
    said = (
        f"Unit {course.unit} of layer {course.layer} on some validation rows, epoch by epoch: the 15th, the 50th and "
        "the 85th percentile, as in Figure 1 of the paper. What the layers below send it drifts while they learn; what "
        "batch norm hands on stays where the activation has its bend."
    )
    pictures = grid(
        figure("What batch norm is given", percentiles(course.epochs, course.before, 1, "given")),
        figure("What it hands on", percentiles(course.epochs, course.after, 0, "handed on")),
    )
    return f"<h3>One unit while it learned</h3><p>{said}</p>{pictures}"


def percentiles(epochs: Sequence[int], values: Sequence[Percentiles], colour: int, what: str) -> str:
    """Three lines and the band between the outer ones."""
    low, high = min(one[0] for one in values), max(one[2] for one in values)
    margin = (high - low) * 0.06 or 1.0
    first, last = values[0], values[-1]
    label = f"Percentiles of what batch norm is {what}: the median goes from {first[1]:.2f} to {last[1]:.2f}"
    plot = Plot(
        Axis("uniform", 0, epochs[-1], whole=True),
        Axis("uniform", low - margin, high + margin),
        label,
        right=46.0,
        x_title="epoch",
    )
    lines = [[(float(at), one[which]) for at, one in zip(epochs, values, strict=True)] for which in range(3)]
    plot.band(lines[0], lines[2], f"band f{colour}")
    for line, width in zip(lines, ("member", "curve", "member"), strict=True):
        plot.line(line, f"{width} l{colour}")
    plot.names([(line[-1], name, f"t{colour}") for line, name in zip(lines, ("15 %", "50 %", "85 %"), strict=True)])
    return plot.drawing()


def _some(line: Sequence[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    step = max(1, math.ceil(len(line) / most))
    return list(line[::step])
