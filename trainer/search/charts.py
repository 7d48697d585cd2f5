"""The pictures of a search: what each trial came to, the boxes of the stages, parallel coordinates, learning curves.

Everywhere the best trial is drawn in one colour, the best fifth in another, and the rest in grey.
"""

import math
from collections.abc import Callable, Mapping, Sequence

from trainer.report.axes import Axis, Tick
from trainer.report.bars import Row, bars
from trainer.report.plot import Plot
from trainer.report.svg import Point, dot, drawing, element, line, path, rect, text
from trainer.search.plan import BEST_SHARE, Plan, Trial, Trials, ranked
from trainer.search.space import Choice, Range, Space, Value

WIDTH = 960.0
LEAST = 1e-7  # Of a log-loss on a log scale; below it differences mean nothing.
STAGE_HEIGHT = 13.0


class Ranks:
    """What the trials of a study are drawn as."""

    def __init__(self, trials: Trials) -> None:
        self.order = [trial for trial in ranked(list(trials.values())) if math.isfinite(trial.log_loss)]
        self._places = {trial.index: place for place, trial in enumerate(self.order)}

    def cls(self, trial: Trial) -> str:
        place = self._places[trial.index]
        return "best" if place == 0 else "fifth" if place < BEST_SHARE * len(self.order) else "rest"

    def title(self, trial: Trial) -> str:
        tried = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in sorted(trial.values.items()))
        return f"trial {trial.index}, rank {self._places[trial.index] + 1}: log-loss {trial.log_loss:.4f}\n{tried}"

    @property
    def scale(self) -> Range:
        """The log-losses of all trials, on a log scale."""
        losses = [max(trial.log_loss, LEAST) for trial in self.order]
        low, high = min(losses), max(losses)
        return Range("log", low / 1.1, high * 1.1)


def course(plan: Plan, ranks: Ranks) -> str:
    """What each trial came to, in the order of their numbers, and the best so far."""
    by_index = sorted(ranks.order, key=lambda trial: trial.index)
    last = max(trial.index for trial in by_index)
    across = Axis("uniform", -0.5, last + 0.5)
    ends = [(across.place(0), "trial 0"), (across.place(last), str(last))]
    plot = Plot(
        across, ranks.scale, "Log-loss of each trial", width=WIDTH, height=280.0, marks=ends, y_title="log-loss"
    )
    for first in range(plan.stage, last + 1, plan.stage) if plan.sampler == "random" else ():
        plot.upright(first - 0.5, "stage-line", f"stage {plan.stage_of(first) + 1}")
    best, steps = math.inf, list[Point]()
    for trial in by_index:
        if trial.ending != "stopped" and trial.log_loss < best:
            if steps:
                steps.append((trial.index, best))
            best = max(trial.log_loss, LEAST)
            steps.append((trial.index, best))
    plot.line([*steps, (last + 0.5, best)], "so-far")
    for trial in sorted(by_index, key=lambda trial: -trial.log_loss):
        hollow = " hollow" if trial.ending == "stopped" else ""
        plot.dots([(trial.index, trial.log_loss)], 4.0, ranks.cls(trial) + hollow, [ranks.title(trial)])
    return plot.drawing("wide")


def boxes(plan: Plan, ranks: Ranks, stages: Sequence[Space], importances: Mapping[str, float]) -> str:
    """For each parameter the range of each stage on the parameter's own scale, under the trials that were drawn."""
    parts: list[str] = []
    top = 8.0
    for name in _by_importance(plan.box, importances):
        drawn, height = _box(name, plan, ranks, [box[name] for box in stages])
        parts.append(element("g", drawn, transform=f"translate(0 {top:.0f})"))
        top += height
    return drawing(WIDTH, top, parts, "The box of each stage", "wide")


def _box(name: str, plan: Plan, ranks: Ranks, stages: Sequence[Range | Choice]) -> tuple[str, float]:
    whole, left = plan.box[name], 130.0
    width = WIDTH - left - 120
    bottom = 8 + STAGE_HEIGHT * len(stages)

    def x(value: Value) -> float:
        return left + whole.place(value) * width

    parts = [text(name.replace("_", " "), left - 24, bottom / 2 + 8, "name", "end")]
    for share, label in _ticks(whole):
        parts.append(line(left + share * width, 4, left + share * width, bottom, "grid"))
        parts.append(text(label, left + share * width, bottom + 14, "small", "middle"))
    for number, axis in enumerate(stages):
        y = 8 + STAGE_HEIGHT * number
        parts.append(_stage_of_a_box(axis, x, y, number))
        tried = (trial for trial in reversed(ranks.order) if plan.stage_of(trial.index) == number)
        parts += [
            dot(x(trial.values[name]), y + STAGE_HEIGHT / 2, 2.6, ranks.cls(trial), ranks.title(trial))
            for trial in tried
            if name in trial.values
        ]
        parts.append(text(f"stage {number + 1}", WIDTH - 68, y + 10, "small"))
    return "".join(parts), bottom + 32


def _stage_of_a_box(axis: Range | Choice, place: Callable[[Value], float], y: float, number: int) -> str:
    shade = f"stage-{min(number, 5)}"
    if isinstance(axis, Choice):
        spots = [place(option) for option in axis.options]
        return "".join(rect(spot - 20, y + 1, 40.0, STAGE_HEIGHT - 2, shade, radius=3.0) for spot in spots)
    start, end = place(axis.low), place(axis.high)
    return rect(start - 3, y + 1, end - start + 6, STAGE_HEIGHT - 2, shade, radius=3.0)


def parallel(plan: Plan, ranks: Ranks, importances: Mapping[str, float]) -> str:
    """One line a trial through all its values, each axis on its own scale, to what it came to."""
    height, top, bottom, left = 380.0, 46.0, 340.0, 46.0
    names = _by_importance(plan.box, importances)
    axes: list[tuple[str, Range | Choice]] = [*((name, plan.box[name]) for name in names), ("log-loss", ranks.scale)]
    gap = (WIDTH - left - 56) / max(len(axes) - 1, 1)
    parts = []
    for trial in reversed(ranks.order):
        values = {**trial.values, "log-loss": max(trial.log_loss, LEAST)}
        points = [
            (left + number * gap, bottom - axis.place(values[name]) * (bottom - top))
            for number, (name, axis) in enumerate(axes)
            if name in values
        ]
        stopped = " faint" if trial.ending == "stopped" else ""
        parts.append(path(points, f"trial {ranks.cls(trial)}{stopped}", ranks.title(trial)))
    for number, (name, axis) in enumerate(axes):
        x = left + number * gap
        parts.append(line(x, top, x, bottom, "axis"))
        parts.append(text(name.replace("_", " "), x, top - 12 - 16 * (number % 2), "name", "middle"))
        for share, label in _ticks(axis):
            parts.append(text(label, x + 5, bottom - share * (bottom - top) + 4, "small halo"))
    return drawing(WIDTH, height - 20, parts, "Parallel coordinates", "wide")


def importance(shares: Mapping[str, float]) -> str:
    """A bar a parameter: how much it matters for being among the best."""
    rows = [Row(name.replace("_", " "), share, f"{share:.0%}") for name, share in shares.items()]
    return bars(rows, "Importance of each parameter")


def curves(plan: Plan, ranks: Ranks) -> str:
    """The validation log-loss after each epoch, and the rungs at which weak trials were stopped."""
    losses = sorted(loss for trial in ranks.order for loss in trial.log_losses if math.isfinite(loss))
    # The worst twentieth would press everything else into one line.
    high = losses[int(0.95 * (len(losses) - 1))]
    low = max(losses[0], LEAST)
    longest = max(len(trial.log_losses) for trial in ranks.order)
    scale = Axis("log", low / 1.1, max(high, low * 1.5) * 1.1)
    across = Axis("uniform", 0, longest, whole=True)
    plot = Plot(across, scale, "Learning curves", width=WIDTH, height=340.0, x_title="epoch", y_title="log-loss")
    for rung in plan.rungs if plan.sampler != "grid" else ():
        if rung <= longest:
            plot.upright(rung, "stage-line", f"rung, epoch {rung}")
    for trial in reversed(ranks.order):
        points = list(enumerate(trial.log_losses, 1))
        plot.line(points, f"trial {ranks.cls(trial)}", ranks.title(trial))
        if trial.ending == "stopped":
            plot.dots(points[-1:], 2.2, "stop")
    return plot.drawing("wide")


def _ticks(axis: Range | Choice) -> list[Tick]:
    if isinstance(axis, Choice):
        return [(axis.place(option), str(option)) for option in axis.options]
    return axis.ticks()


def _by_importance(box: Space, importances: Mapping[str, float]) -> list[str]:
    return sorted(box, key=lambda name: -importances.get(name, 0.0))
