"""Batch norm, measured: section 4.1 of Ioffe & Szegedy 2015 repeated, then the statistics it freezes, then dropout.

PYTHONPATH=. python benchmarks/paper_figure.py --data FOLDER               draws Figure 1 and counts steps, on MNIST
PYTHONPATH=. python benchmarks/paper_figure.py --data FOLDER --statistics  running and population statistics, on MNIST
PYTHONPATH=. python benchmarks/paper_figure.py --data FOLDER --dropout     batch norm behind dropout, on adult.csv.gz

As in the paper: binary 28 x 28 images, three hidden layers of 100 sigmoids, 50 000 steps of 60 rows, softmax
cross-entropy. The paper names neither its optimizer nor its learning rate nor the deviation of its first weights. Here
it is plain gradient descent at two learning rates; every W is drawn from N(0, 0.1²), every bias is zero, and both
networks get the same W and the same batches. The figure and its table take six minutes, the others four or less.
"""

import argparse
import gzip
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count, islice, product
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from trainer.arrays import Array
from trainer.fitting.members import train_bag
from trainer.job.job import prepare
from trainer.nn.architecture import Architecture, build_network
from trainer.nn.batches import Batch, MiniBatches
from trainer.nn.layers import Linear
from trainer.nn.loss import SoftmaxCrossEntropy, targets_of
from trainer.nn.network import Network, population_moments, running_moments
from trainer.nn.optimizers import OPTIMIZERS
from trainer.nn.statistics import Moments, RunningMoments
from trainer.settings.config import TrainingConfig
from trainer.settings.hyperparameters import Statistics
from trainer.training.fit import build_step, score
from trainer.training.records import Encoded, Score

PICTURE = Path(__file__).parents[1] / "docs/batch-norm-figure.png"
SEEDS = (0, 1, 2)
HIDDEN = (100, 100, 100)
BatchNormPlace = Literal["before", "none"]

STEPS, BATCH, DEVIATION = 50_000, 60, 0.1
LEARNING_RATES = (0.1, 0.5)  # The first is drawn in full.
MARKS = (500, 1_000, 5_000, STEPS)
GOALS = (0.90, 0.95, 0.97)
# The steps after which the networks are looked at, each about 7 % after the last.
LOOKS = sorted({*MARKS, *np.geomspace(10, STEPS, 130).astype(int).tolist()})
WATCHED_ROWS = 2_000

DECAYS = (0.9, 0.99)
EARLY = (20, 100, 500)

# One plain network: 60 % of the rows train, 20 % choose the epoch, 20 % are scored.
ADULT: dict[str, Any] = {"target": "income", "name": "adult", "compiled": False}
ADULT |= {"optimizer": "adam", "weight_decay": 0.0, "schedule": "constant", "warm_up": 0.0}
ADULT |= {"learning_rate": 1e-3, "batch_size": 256, "patience": 10, "members": 1}
ADULT |= {"input_dropout": 0.0, "periodic": 0.0, "one_hot": 256}
DROPOUT_HIDDEN = ((128,) * 3, (64,) * 8)
DROPOUT_VARIANTS: tuple[tuple[BatchNormPlace, float, Statistics], ...] = (
    ("before", 0.4, "running"),
    ("before", 0.4, "population"),
    ("before", 0.0, "running"),
    ("none", 0.4, "running"),
    ("none", 0.0, "running"),
)

INK, QUIET = "#222222", "#8a8a8a"
COLOURS = {"before": "#1f5fa8", "none": "#c4622d"}
NAMES = {"before": "with batch norm", "none": "without batch norm"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder with the four files of MNIST, or adult")
    parser.add_argument("--statistics", action="store_true")
    parser.add_argument("--dropout", action="store_true")
    options = parser.parse_args()
    if options.statistics:
        compare_statistics(read_mnist(options.data, "train"))
    elif options.dropout:
        compare_dropout(options.data / "adult.csv.gz")
    else:
        repeat_the_paper(read_mnist(options.data, "train"), read_mnist(options.data, "t10k"))


def read_mnist(folder: Path, part: str) -> Encoded:
    """Images as rows of 784 zeros and ones, cut at half of full brightness."""
    images, labels = (
        np.frombuffer(gzip.decompress((folder / f"{part}-{name}-ubyte.gz").read_bytes()), np.uint8, offset=offset)
        for name, offset in (("images-idx3", 16), ("labels-idx1", 8))
    )
    return Encoded((images.reshape(len(labels), -1) >= 128).astype(np.float32), labels.astype(np.int64))


# --- Section 4.1 of the paper


@dataclass
class Course:
    """One run: at each of `LOOKS` the test accuracy, and the percentiles (3, units) of the last sigmoids' inputs."""

    batch_norm: BatchNormPlace
    accuracies: list[float] = field(default_factory=list)
    percentiles: list[Array] = field(default_factory=list)

    def at(self, step: int) -> float:
        return self.accuracies[LOOKS.index(step)]

    def reached(self, goal: float) -> float:
        """The first look at which the test accuracy was at least `goal`."""
        return next((step for step, got in zip(LOOKS, self.accuracies, strict=True) if got >= goal), np.inf)

    @property
    def drifts(self) -> Array:
        """From the lowest to the highest median of each unit's input."""
        drifts: Array = np.ptp(np.array(self.percentiles)[:, 1], axis=0)
        return drifts

    def typical_unit(self) -> Array:
        """The percentiles (looks, 3) of the sigmoid whose drift is the middle one of its layer."""
        middle = np.argsort(self.drifts)[len(self.drifts) // 2]
        percentiles: Array = np.array(self.percentiles)[:, :, middle]
        return percentiles


def repeat_the_paper(train: Encoded, test: Encoded) -> None:
    places: tuple[BatchNormPlace, ...] = ("none", "before")
    courses = {
        (rate, place): [follow(train, test, place, rate, seed) for seed in SEEDS]
        for rate, place in product(LEARNING_RATES, places)
    }
    drawn = {key: of_seeds[0] for key, of_seeds in courses.items()}
    draw(drawn).savefig(PICTURE, dpi=150)
    marks, goals = (f"after {mark}" for mark in MARKS), (f"reaches {goal:.2f}" for goal in GOALS)
    print_header("learning rate", "batch norm", *marks, *goals)
    for (rate, place), of_seeds in courses.items():
        print_row(str(rate), place, *summarise(of_seeds))
    for (rate, place), course in drawn.items():
        low, middle, high = np.percentile(course.drifts, (0, 50, 100))
        print(f"drift of the medians, rate {rate}, {place}: least {low:.2f}, middle {middle:.2f}, most {high:.2f}")


def follow(train: Encoded, test: Encoded, place: BatchNormPlace, rate: float, seed: int) -> Course:
    weights, order = generators(seed)
    network = build_network(Architecture(train.inputs.shape[1], HIDDEN, 10, "sigmoid", place), weights)
    for layer in network.layers:
        if isinstance(layer, Linear):
            layer.weight.value[:] = weights.normal(0.0, DEVIATION, layer.weight.value.shape)
    course = Course(place)
    for _ in training(network, train, order, "sgd", rate, BATCH, LOOKS):
        network.freeze(running_moments(network))
        course.accuracies.append(score(network, test).accuracy)
        course.percentiles.append(np.percentile(last_inputs(network, test.inputs[:WATCHED_ROWS]), (15, 50, 85), axis=0))
    return course


def generators(seed: int) -> list[np.random.Generator]:
    """One for the first weights, one for the order of the rows."""
    return [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(2)]


def training(
    network: Network, rows: Encoded, order: np.random.Generator, rule: str, rate: float, size: int, looks: Sequence[int]
) -> Iterator[int]:
    """Train until the last of `looks` and pause at each."""
    step = build_step(network, SoftmaxCrossEntropy(), OPTIMIZERS[rule](network.values, network.grads), compiled=False)
    mini_batches = MiniBatches(rows.inputs, rows.labels, None, size, targets_of(10))
    batches: Iterator[Batch] = (batch for _ in count() for batch in mini_batches.shuffled(order))
    for number, batch in enumerate(islice(batches, looks[-1]), start=1):
        step(*batch, rate)
        if number in looks:
            yield number


def last_inputs(network: Network, values: Array) -> Array:
    """What the sigmoids of the last hidden layer are given at inference, (n, units)."""
    for layer in network.layers[:-2]:
        values = layer.infer(values)
    return values


def summarise(courses: Sequence[Course]) -> list[str]:
    """Mean accuracies after `MARKS`, median steps to `GOALS`."""
    accuracies = [f"{statistics.mean(course.at(mark) for course in courses):.4f}" for mark in MARKS]
    steps = [statistics.median(course.reached(goal) for course in courses) for goal in GOALS]
    return [*accuracies, *(f"{step:.0f}" if step <= STEPS else "never" for step in steps)]


def print_header(*cells: str) -> None:
    print_row(*cells)
    print_row(*["---"] * len(cells))


def print_row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


# --- The figure


def draw(courses: dict[tuple[float, BatchNormPlace], Course]) -> Figure:
    figure = Figure(figsize=(10, 4.3), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1, wspace=0.03))
    accuracies, without, with_it = figure.subplots(1, 3, width_ratios=(1.5, 1, 1))
    without.sharey(with_it)
    draw_accuracies(accuracies, courses)
    draw_percentiles(without, courses[LEARNING_RATES[0], "none"])
    draw_percentiles(with_it, courses[LEARNING_RATES[0], "before"])
    dress(accuracies, "a", "Test accuracy")
    dress(without, "b", "Input of one sigmoid")
    dress(with_it, "c", "Input of one sigmoid")
    return figure


def draw_accuracies(axes: Any, courses: dict[tuple[float, BatchNormPlace], Course]) -> None:
    styles: list[dict[str, Any]] = [{"linewidth": 2.2}, {"linewidth": 1.2, "dashes": (4, 2)}]
    of_rate = dict(zip(LEARNING_RATES, styles, strict=True))
    for (rate, place), course in courses.items():
        axes.plot(LOOKS, course.accuracies, color=COLOURS[place], **of_rate[rate])
    keys = [axes.plot([], [], color=INK, label=f"{rate}", **style)[0] for rate, style in of_rate.items()]
    axes.legend(handles=keys, title="learning rate", title_fontsize=9, fontsize=9, frameon=False, loc="lower right")
    axes.text(12, 0.935, NAMES["before"], color=COLOURS["before"], fontsize=10)
    axes.text(2_600, 0.795, NAMES["none"].replace(" ", "\n", 1), color=COLOURS["none"], fontsize=10)
    axes.set(ylim=(0.6, 1.0), yticks=(0.6, 0.7, 0.8, 0.9, 1.0))


def draw_percentiles(axes: Any, course: Course) -> None:
    colour, percentiles = COLOURS[course.batch_norm], course.typical_unit()
    low, middle, high = percentiles.T
    axes.fill_between(LOOKS, low, high, color=colour, alpha=0.13, linewidth=0)
    for line, width in ((low, 1.1), (middle, 2.2), (high, 1.1)):
        axes.plot(LOOKS, line, color=colour, linewidth=width)
    for end, name in zip(percentiles[-1], ("15 %", "50 %", "85 %"), strict=True):
        axes.annotate(name, (STEPS, end), (5, 0), textcoords="offset points", va="center", fontsize=9, color=colour)
    axes.text(0.04, 0.93, NAMES[course.batch_norm], color=colour, fontsize=10, transform=axes.transAxes)


def dress(axes: Any, letter: str, title: str) -> None:
    axes.set_title(f"$\\bf{{{letter}}}$   {title}", loc="left", fontsize=11, color=INK, pad=10)
    axes.set(xscale="log", xlim=(LOOKS[0], STEPS), axisbelow=True)
    axes.set_xticks((10, 100, 1_000, 10_000), ("10", "100", "1 000", "10 000"))
    axes.set_xlabel("training step", fontsize=9.5, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color(QUIET)
    axes.tick_params(which="both", color=QUIET, labelcolor=INK, labelsize=9.5)
    axes.grid(axis="y", color="#e8e8e8", linewidth=0.8)


# --- Running and population statistics


class NaiveMoments(RunningMoments):
    """Averages that start at mean 0 and variance 1 and are not corrected for it, as in PyTorch and in Keras."""

    def moments(self) -> Moments:
        mean, variance = self.sums * (1.0 - self.decay)
        return Moments(mean, variance + self.decay**self.batches)


def compare_statistics(rows: Encoded) -> None:
    train, validation = (Encoded(rows.inputs[part], rows.labels[part]) for part in (slice(50_000), slice(50_000, None)))
    kinds = [f"{kind} {decay}" for decay in DECAYS for kind in ("naive", "corrected")]
    print_header("activation", "steps", *kinds, "population")
    for activation in ("relu", "sigmoid"):
        runs = [list(scores_early(train, validation, activation, seed)) for seed in SEEDS]
        for steps, *of_seeds in zip(EARLY, *runs, strict=True):
            cells = [" / ".join(means(scores)) for scores in zip(*of_seeds, strict=True)]
            print_row(activation, str(steps), *cells)


def scores_early(train: Encoded, validation: Encoded, activation: str, seed: int) -> Iterator[list[Score]]:
    """After each number of steps in `EARLY` what one network scores under each kind of statistics."""
    weights, order = generators(seed)
    network = build_network(Architecture(train.inputs.shape[1], HIDDEN, 10, activation), weights)
    averages = [kind(sum(HIDDEN), decay) for decay in DECAYS for kind in (NaiveMoments, RunningMoments)]
    for step in training(network, train, order, "adam", 1e-3, 64, range(1, EARLY[-1] + 1)):
        for average in averages:
            average.update(network.batch_moments, 64 / 63)
        if step in EARLY:
            kinds = [average.moments() for average in averages]
            kinds.append(population_moments(network, train.inputs, 64))
            yield [score_under(moments, network, validation) for moments in kinds]


def score_under(moments: Moments, network: Network, rows: Encoded) -> Score:
    network.freeze(moments)
    return score(network, rows)


def means(scores: Sequence[Score], digits: int = 3) -> list[str]:
    """Accuracy and log-loss."""
    pairs = ([one.accuracy for one in scores], [one.log_loss for one in scores])
    return [f"{statistics.mean(values):.{digits}f}" for values in pairs]


# --- Dropout


def compare_dropout(packed: Path) -> None:
    """Train on adult as the command line does, with and without batch norm and dropout, and score the test part."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "adult.csv"
        table.write_bytes(gzip.decompress(packed.read_bytes()))
        print_header("hidden", "batch norm", "dropout", "statistics", "variance shift", "accuracy", "log-loss")
        for hidden, (place, dropout, kind) in product(DROPOUT_HIDDEN, DROPOUT_VARIANTS):
            runs = [publishable(table, hidden, place, dropout, kind, seed) for seed in SEEDS]
            scores, shifts = zip(*runs, strict=True)
            with_norm = [kind, f"{statistics.mean(shifts):.2f}"] if place != "none" else ["", ""]
            print_row(f"{len(hidden)} x {hidden[0]}", place, str(dropout), *with_norm, *means(scores, 4))


def publishable(
    table: Path, hidden: tuple[int, ...], place: BatchNormPlace, dropout: float, kind: Statistics, seed: int
) -> tuple[Score, float]:
    """The test score of the model that the command line would publish, and its largest variance shift.

    The shift of a layer is the median over its units of the running variance, in units of the population's.
    """
    config = TrainingConfig(
        table=table, hidden=hidden, batch_norm=place, dropout=dropout, statistics=kind, seed=seed, **ADULT
    )
    _, start = prepare(config)
    (member,) = train_bag(config, start).members
    network, frozen = member.network, member.frozen
    layers = zip(network.by_layer(frozen.running), network.by_layer(frozen.population), strict=True)
    shifts = [float(np.median(running.variance / population.variance)) for running, population in layers]
    return score(network, start.encode(start.split.test)), max(shifts, default=1.0)


if __name__ == "__main__":
    main()
