"""The learning curves of the networks, and the epochs that were chosen."""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from html import escape

from models.card import Distillation, ModelCard
from models.figures import Course, Figures
from models.wording import selection_line, taught_by
from trainer.report.axes import Axis
from trainer.report.page import figure, grid, section
from trainer.report.plot import Plot
from trainer.report.svg import Point

LEAST = 1e-4

Lines = Mapping[str, Callable[[Course], Sequence[float]]]


def learning(card: ModelCard, figures: Figures) -> str:
    """The section."""
    courses = figures.courses
    chosen = ", ".join(str(one.chosen) for one in courses)
    epochs = ", ".join(str(one.of) for one in courses)
    if len(courses) == 1:
        said = f"The network was trained for {epochs} epochs; early stopping kept the weights of epoch {chosen}, which "
        said += "had the lowest validation log-loss."
    else:
        said = (
            f"Each of the {len(courses)} networks has its own validation rows. They were trained for {epochs} epochs; "
        )
        said += f"early stopping kept the weights of epochs {chosen}, each with the lowest validation log-loss. Thin "
        said += "lines are the networks, the thick line is their mean, dots mark the epochs kept."
    losses = figure("Log-loss", log_losses(courses))
    accuracy = figure("Accuracy on the validation rows", accuracies(courses))
    if card.selection:
        said += f" Selection: {escape(selection_line(card.selection))}."
    student = ""
    if card.distillation and figures.student:
        said += f" {_distilled(card, card.distillation)}"
        student = figure("Loss of the published network", student_loss(figures.student))
    return section("Learning curves", said, grid(losses, accuracy, student), anchor="learning")


def _distilled(card: ModelCard, made: Distillation) -> str:
    own, bag = card.metrics["test"], made.test
    return (
        f"The published network was distilled from {taught_by(made)}: {made.epochs} epochs over "
        f"{card.metrics['train'].rows:,} training rows and mixed ones, with their probabilities as targets. On the "
        f"test rows its log-loss is {own.log_loss:.4f} and its accuracy {own.accuracy:.4f}; the bag has "
        f"{bag.log_loss:.4f} and {bag.accuracy:.4f}. On mixed rows it diverges by {made.divergence:.3f} nats."
    )


def student_loss(course: Course) -> str:
    """The cross-entropy of the student's answers with its targets over epochs."""
    low, high = min(course.loss), max(course.loss)
    plot = Plot(
        _epochs([course]),
        Axis("log", max(low, LEAST) / 1.08, max(high, low * 1.5, LEAST) * 1.08),
        f"Cross-entropy of the published network with its targets over {course.of} epochs, in nats",
        right=64.0,
        x_title="epoch",
        y_title="nats",
    )
    line = list(zip(course.epochs, course.loss, strict=True))
    plot.line(line, "curve l0", "training")
    plot.names([(line[-1], "training", "t0")])
    return plot.drawing()


def log_losses(courses: Sequence[Course]) -> str:
    """Training and validation log-loss over epochs, on a log scale."""
    lines: Lines = {"training": lambda one: one.loss, "validation": lambda one: one.log_loss}
    values = sorted(value for one in courses for of in lines.values() for value in of(one))
    high = values[-1]
    low = max(values[0], LEAST)
    plot = Plot(
        _epochs(courses),
        Axis("log", low / 1.08, max(high, low * 1.5) * 1.08),
        f"Log-loss in nats over epochs, of training and validation; epoch {courses[0].chosen} was chosen",
        right=64.0,
        x_title="epoch",
        y_title="nats",
    )
    _draw(plot, courses, lines)
    return plot.drawing()


def accuracies(courses: Sequence[Course]) -> str:
    """Validation accuracy over epochs."""
    values = sorted(value for one in courses for value in one.accuracy)
    low, high = values[int(0.05 * (len(values) - 1))], values[-1]
    margin = max((high - low) * 0.08, 0.005)
    plot = Plot(
        _epochs(courses),
        Axis("uniform", max(low - margin, 0.0), min(high + margin, 1.0)),
        f"Accuracy on the validation rows over epochs, at best {high:.3f}",
        right=64.0,
        x_title="epoch",
    )
    _draw(plot, courses, {"validation": lambda one: one.accuracy})
    return plot.drawing()


def _epochs(courses: Sequence[Course]) -> Axis:
    return Axis("uniform", 0, max(one.epochs[-1] for one in courses), whole=True)


def _draw(plot: Plot, courses: Sequence[Course], lines: Lines) -> None:
    ends = []
    for name, of in lines.items():
        colour = 0 if name == "validation" else 1
        dashed = "" if name == "validation" else " dashed"
        if len(courses) > 1 and name == "validation":
            for number, one in enumerate(courses, 1):
                plot.line(zip(one.epochs, of(one), strict=True), f"member l{colour}", f"network {number}, {name}")
        mean = _mean(courses, of)
        plot.line(mean, f"curve l{colour}{dashed}", f"{name}, mean" if len(courses) > 1 else name)
        ends.append((mean[-1], name, f"t{colour}"))
        if name == "validation":
            if len(courses) == 1:
                plot.upright(courses[0].chosen, "chosen", f"epoch {courses[0].chosen}")
            kept = [(one.chosen, of(one)[one.epochs.index(one.chosen)]) for one in courses]
            titles = [f"network {number}: epoch {at} was kept" for number, (at, _) in enumerate(kept, 1)]
            plot.dots(kept, 3.6, "best", titles)
    plot.names(ends)


def _mean(courses: Sequence[Course], of: Callable[[Course], Sequence[float]]) -> list[Point]:
    """The mean of the networks at each epoch that at least half of them have seen."""
    lasting = sorted(one.epochs[-1] for one in courses)[(len(courses) - 1) // 2]
    longest = max(courses, key=lambda one: one.epochs[-1])
    points = []
    for epoch in longest.epochs:
        if epoch <= lasting:
            there = [_at(one.epochs, of(one), epoch) for one in courses if one.epochs[-1] >= epoch]
            points.append((float(epoch), sum(there) / len(there)))
    return points


def _at(epochs: Sequence[int], values: Sequence[float], epoch: int) -> float:
    """A value at an epoch, on the straight line between those that are known."""
    place = bisect_left(epochs, epoch)
    if epochs[place] == epoch or place == 0:
        return values[place]
    before, after = epochs[place - 1], epochs[place]
    share = (epoch - before) / (after - before)
    return values[place - 1] + share * (values[place] - values[place - 1])
